"""The results of `up` and `status` as text."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from nexus_cli.cli.console import style
from nexus_cli.cli.views.clock import clock_text
from nexus_cli.cli.views.deployments import confirmation_text
from nexus_cli.cli.views.drift_status import drift_lines
from nexus_cli.cli.views.escaped import escaped
from nexus_cli.cli.views.link_reasons import link_lines
from nexus_cli.local import broker_amqtt, broker_mosquitto
from nexus_cli.local.layout import Runtime
from nexus_cli.local.status_report import DOWN, UP, DeviceReport, RoleReport, ServerReport, StatusReport
from nexus_cli.model.secrets import without_passwords
from nexus_cli.setting_values import LIVE
from nexus_cli.wire.confirmation import Confirmation
from nexus_cli.wire.health import ControlHealth, decode_status

SHOWN = 20
"""Links that are listed, the rest is counted; of more devices than this, all are counted by reason."""
EXAMPLES = 3
"""Devices that are named for each reason, once they are counted."""
COLOURS = {
    "up": "good",
    "connected": "good",
    "degraded": "warning",
    "connecting": "warning",
    "limited": "warning",
    "idle": "dim",
    "backoff": "error",
    "down": "error",
}


def render_up(runtime: Runtime, credentials: Path | None, *, foreground: bool = False, colour: bool) -> str:
    """Where everything is, once it runs."""
    where = "next, in another terminal: nexus apply" if foreground else "next: nexus apply"
    end = "Ctrl-C here stops it" if foreground else "nexus down stops it"
    site = style(runtime.site, "bold", enabled=colour)
    gateways = ", ".join(runtime.gateways) or "none"
    return "\n".join(
        [
            f"{site} is up" + (f" as a {runtime.environment}" if runtime.environment else ""),
            *([f"  {runtime.environment:11}  {runtime.environment_detail}"] if runtime.environment else []),
            f"  broker       {runtime.broker_url} ({runtime.broker_kind})",
            f"               {broker_limits(runtime.broker_kind)}",
            f"  database     {without_passwords(runtime.database_url)} ({runtime.database_kind})",
            f"  control      {runtime.control_url}",
            f"  page         {runtime.web_url}",
            "               for the users under `access: users:`; nexus access rotate USER makes a password",
            f"  gateways     {gateways}",
            f"  credentials  {credentials}",
            "",
            f"{where}; nexus status shows how it is, {end}",
        ]
    )


def broker_limits(kind: str) -> str:
    """The limits of a kind of broker, in a few words."""
    limits = {"amqtt": broker_amqtt.LIMITS, "mosquitto": broker_mosquitto.LIMITS}
    return limits.get(kind, "yours: its rights are not managed here")


def render_status(found: StatusReport, *, colour: bool, now_s: float | None = None) -> str:
    """The whole status: parts, then links that are not connected, then counts."""
    now = time.time() if now_s is None else now_s
    found = escaped(found)
    if not found.site and found.processes:
        return _left_over(found, colour)
    if not found.site and found.state == DOWN:
        return f"nothing runs in {found.home}\n\n  nexus up SITE starts it"
    if found.original:
        return (
            f"no runtime of this folder: it is a copy of {found.original}\n\n  one of {found.site} runs from there: "
            f"nexus --home {found.original} status\n  nexus up --beside starts a second one here"
        )
    state = style(found.state, COLOURS.get(found.state, "dim"), enabled=colour)
    lines = [f"{found.site or 'no site'}: {state}", *_kind(found, colour), ""]
    rows: list[tuple[str, ServerReport | RoleReport]] = [("broker", found.broker), ("database", found.database)]
    if found.simulator:
        rows.append(("simulator", found.simulator))
    rows += [(role.name, role) for role in found.roles]
    width = max(len(name) for name, _ in rows)
    for name, part in rows:
        lines.append(f"  {name:{width}}  {_state(part.state, colour)}  {_facts(part, now)}".rstrip())
        if part.detail and found.state != DOWN:
            lines.append(f"  {'':{width}}  {part.detail}")
    supervisor = found.supervisor
    if supervisor.detail:
        lines.append(f"  {'supervisor':{width}}  {_state(supervisor.state, colour)}  {supervisor.detail}")
    lines += [*_links(found, colour), *_devices(found, colour, now)]
    lines += _unconfirmed(found, colour)
    lines += _rollout(found, colour)
    access = found.access
    if access.managed and found.state != DOWN:
        word = "in force" if access.in_force else "waiting for the broker"
        lines += ["", f"  access: {access.rules} rules, {word}"]
    lines += drift_lines(found, now)
    lines += _old_paths(found)
    doubts = [one.doubt for one in found.certificates if one.doubt]
    lines += ["", *(f"  {doubt}" for doubt in doubts)] if doubts else []
    return "\n".join([*lines, *_next(found, rows)])


def _kind(found: StatusReport, colour: bool) -> list[str]:
    """What is not the plant says so first."""
    if found.environment == LIVE:
        return []
    name = style(found.environment.upper(), "warning", enabled=colour)
    return [f"  {name}: {found.environment_detail}"]


def _rollout(found: StatusReport, colour: bool) -> list[str]:
    """Where the rollout in flight is, or why the newest one was stopped, as control says."""
    for role in found.roles:
        if role.name == "control" and not role.mute:
            words = decode_status(bytes(role.status), ControlHealth).rollout
            if isinstance(words, str) and words:
                return ["", f"  {style(words, 'warning', enabled=colour)}"]
    return []


def _old_paths(found: StatusReport) -> list[str]:
    """Old paths under which values are still published, those that end first in front."""
    if not found.old_paths:
        return []
    ending = sorted(found.old_paths, key=lambda one: (one.until, one.old))
    lines = [f"  {one.to} also under {one.old} until {clock_text(one.until, zone=None)}" for one in ending[:SHOWN]]
    more = len(ending) - SHOWN
    return ["", *lines, *([f"  … and {more} old paths more; nexus show lists them"] if more > 0 else [])]


def _unconfirmed(found: StatusReport, colour: bool) -> list[str]:
    """The deployment that waits to be confirmed, as control says."""
    for role in found.roles:
        if role.name == "control" and not role.mute:
            waits = decode_status(bytes(role.status), ControlHealth).unconfirmed
            if isinstance(waits, Confirmation):
                text = f"deployment {waits.number} {confirmation_text(waits)}"
                return ["", f"  {style(text, 'warning', enabled=colour)}"]
    return []


def _next(found: StatusReport, rows: Sequence[tuple[str, ServerReport | RoleReport]]) -> list[str]:
    """Hints for the problems."""
    ill = [
        part.log or name
        for name, part in rows
        if part.state != UP and not (isinstance(part, ServerReport) and part.kind == "external")
    ]
    if found.state == DOWN:
        return ["", "  nexus up SITE starts it"]
    if found.supervisor.detail:
        return []  # it says what to do
    if ill:
        return ["", f"  why: nexus logs {ill[0]}"]
    return ["", f"  why: nexus logs gateway-{found.devices[0].gateway}"] if found.devices else []


def _left_over(found: StatusReport, colour: bool) -> str:
    """The folder was removed or emptied while its processes run."""
    state = style(found.state, COLOURS.get(found.state, "dim"), enabled=colour)
    lines = [f"the folder {found.home} was removed while its runtime ran: {state}", ""]
    lines += [f"  {one.name}  process {one.pid}" for one in found.processes]
    return "\n".join([*lines, "", "  nexus down ends them"])


def _links(found: StatusReport, colour: bool) -> list[str]:
    links = [link for link in found.links if link.state]
    mute = [role.name for role in found.roles if role.gateway and role.mute]
    unknown = f"; those of {', '.join(mute)} are not known" if mute else ""
    if not links:
        return ["", f"  links: {unknown[2:]}"] if mute and found.state != DOWN else []
    bad = [link for link in links if link.state not in ("connected", "idle")]
    lines = ["", f"  links: {len(links) - len(bad)} of {len(links)} connected{unknown}"]
    lines += link_lines(bad, state=lambda word: _state(word, colour))
    limited = [link for link in links if link.state == "connected" and link.detail]
    lines += [f"    {_state('limited', colour)}  {link.link} {link.detail}" for link in limited[:SHOWN]]
    if len(limited) > SHOWN:
        lines.append(f"    and {len(limited) - SHOWN} more")
    return lines


def _devices(found: StatusReport, colour: bool, now_s: float) -> list[str]:
    """Tags by quality, then the devices that give nothing: with their reason and since when."""
    tags, silent = found.tags, found.devices
    if not any(tags.values()) and not silent:
        return []
    lines = ["", "  tags: " + ", ".join(f"{count} {quality}" for quality, count in tags.items() if count)]
    if not silent:
        return lines
    more, counts = found.devices_left_out, found.device_reasons
    lines.append(f"  devices without a value: {len(silent) + more:,}")
    if len(silent) > SHOWN:
        lines += _by_reason(silent, counts, colour, now_s)
        left = max(0, len(silent) + more - max(len(silent), sum(counts.values())))
        return (
            [*lines, f"    and {left:,} more"] if left else lines
        )  # a gateway of an older version does not count them
    for device in silent:
        reason = _state(device.reason or "BAD", colour)
        lines.append(f"    {reason}  {device.path} {_age(device, now_s)}  {device.detail}".rstrip())
    if more:
        lines.append(f"    and {more:,} more")
    return lines


def _by_reason(silent: Sequence[DeviceReport], counts: Mapping[str, int], colour: bool, now_s: float) -> Iterator[str]:
    """Counted by reason, the most frequent first, each with examples: those without a value for longest."""
    named: dict[str, list[DeviceReport]] = defaultdict(list)
    for device in silent:
        named[device.reason].append(device)
    totals = {reason: max(counts.get(reason, 0), len(named[reason])) for reason in {*counts, *named}}
    for reason, count in sorted(totals.items(), key=lambda one: (-one[1], one[0])):
        devices = sorted(named[reason], key=lambda one: (one.since or now_s * 1_000_000, one.path))
        shown = devices[:EXAMPLES]
        examples = ", ".join(f"{one.path} {_age(one, now_s)}".rstrip() for one in shown)
        left = count - len(shown)
        rest = f"{examples} and {left:,} more" if examples and left else examples
        yield f"    {_state(reason or 'BAD', colour)}  {count:,}  {rest}".rstrip()


def _age(device: DeviceReport, now_s: float) -> str:
    return f"for {age_text(now_s - device.since / 1_000_000)}" if device.since else ""


def _state(state: str, colour: bool) -> str:
    return style(f"{state:10}", COLOURS.get(state, "dim"), enabled=colour)


def _facts(part: ServerReport | RoleReport, now_s: float) -> str:
    facts = [
        f"{part.kind} {part.url}" if isinstance(part, ServerReport) else part.url or f"http://127.0.0.1:{part.port}"
    ]
    if part.since:
        facts.append(f"for {age_text(now_s - part.since)}")
    if part.restarts:
        facts.append(f"{part.restarts} restart" + ("s" if part.restarts > 1 else ""))
    return ", ".join(facts)


def age_text(seconds: float) -> str:
    """A time span for people: `350 ms`, `12 s`, `3 min`, `5 h`, `2 d`."""
    if seconds < 0:
        return "the future"
    for limit, divisor, unit in ((1, 0.001, "ms"), (120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / divisor:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"
