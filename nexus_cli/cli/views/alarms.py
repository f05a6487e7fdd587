"""Alarms as text. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import tzinfo

from nexus_cli.cli.views.clock import clock_text
from nexus_cli.cli.views.tail import value_text
from nexus_cli.diagnostics.printable import one_line, plain
from nexus_cli.wire.alert import Alert
from nexus_cli.wire.control_alarms import AlertWhy, Journal, JournalLine

Style = Callable[[str, str], str]
_COLOUR = {"active": "error", "returned": "warning", "acknowledged": "warning", "cleared": "good"}
_UNACKNOWLEDGED = {"active": "active", "returned": "returned, not acknowledged"}


def listing_text(found: Sequence[Alert], *, style: Style, zone: tzinfo | None = None) -> str:
    """One alert a line; below it who holds it, and what to do."""
    if not found:
        return "no alarm is active"
    return "\n".join(line for one in found for line in alarm_lines(plain(one), style=style, zone=zone))


def alarm_lines(alert: Alert, *, style: Style, zone: tzinfo | None = None) -> list[str]:
    """Priority, since when, name, state, value; then what belongs to it."""
    rank = alert.priority or alert.severity
    state = _UNACKNOWLEDGED.get(alert.state, alert.state) if alert.priority else alert.state
    by = f" by {alert.acknowledged_by}" if alert.acknowledged_by else ""
    value = "" if alert.value is None else f"  {value_text(alert.value)}"
    marks = "  first out" if alert.first_out and alert.state != "cleared" else ""
    group = f"  ({alert.group})" if alert.group else ""
    lines = [
        f"{style(f'{rank:<8}', _COLOUR.get(alert.state, ''))}  {clock_text(alert.since, zone=zone)}  "
        f"{style(alert.name, 'bold')}{group}  {state}{by}{value}{marks}"
    ]
    lines += [f"    {text}" for text in holds(alert, zone=zone)]
    if alert.description:
        lines.append(style(f"    {one_line(alert.description)}", "dim"))
    if alert.response and alert.state in _UNACKNOWLEDGED:
        lines.append(style(f"    do: {one_line(alert.response)}", "dim"))
    return lines


def holds(alert: Alert, *, zone: tzinfo | None = None) -> list[str]:
    """Who or what keeps it from being announced."""
    found = []
    if alert.shelved_until:
        until = clock_text(alert.shelved_until, zone=zone)
        found.append(f"shelved until {until} by {alert.shelved_by}: {one_line(alert.shelved_reason)}")
    if alert.out_of_service:
        since = clock_text(alert.out_of_service, zone=zone)
        found.append(
            f"out of service since {since} by {alert.out_of_service_by}: {one_line(alert.out_of_service_reason)}"
        )
    if alert.suppressed_by:
        found.append(f"suppressed by {alert.suppressed_by}")
    return found


def why_text(found: AlertWhy, *, style: Style, zone: tzinfo | None = None) -> str:
    """The alert, its condition, the values, what runs, who suppresses, the last lines of its journal."""
    found = plain(found)
    holds_now = {True: "it holds now", False: "it does not hold now", None: "it can't be said whether it holds"}
    lines = alarm_lines(found.alert, style=style, zone=zone)
    lines.append(f"  condition: {found.condition}; {holds_now[found.holds]}")
    if found.problem:
        lines.append(style(f"    {found.problem}", "warning"))
    for one in found.watched:
        value = "no value yet" if not one.quality else f"{value_text(one.value)} {one.quality}"
        label = f" ({one.label})" if one.label else ""
        out = ", its device is out of service" if one.out_of_service else ""
        lines.append(f"  {one.path}: {value}{label}{out}")
    lines += [f"  {one.what}: {one.left_s:g} s to go" for one in found.running]
    lines += [f"  suppressed while active: {name} is {state}" for name, state in found.suppressors.items()]
    lines += told_lines(found, style=style, zone=zone)
    if found.alert.consequence:
        lines.append(f"  if nobody acts: {one_line(found.alert.consequence)}")
    if found.journal:
        lines.append("  journal:")
        lines += [f"    {line_text(line, style=style, zone=zone)}" for line in found.journal]
    return "\n".join(lines)


def told_lines(found: AlertWhy, *, style: Style, zone: tzinfo | None = None) -> list[str]:
    """Whom the newest occurrence reached."""
    words = {"sent": "told", "waiting": "waits for the digest of", "sending": "perhaps told", "failed": "not told"}
    lines = []
    for one in found.notified:
        tries = f", {one.tries} tries" if one.tries > 1 else ""
        detail = f": {one_line(one.detail)}" if one.detail and one.state != "sent" else ""
        text = f"  {words.get(one.state, one.state)} {one.channel}, {clock_text(one.at, zone=zone)} ({one.step}{tries}){detail}"
        lines.append(style(text, "error") if one.state == "failed" else text)
    if not lines and found.alert.priority and found.alert.occurrence and found.alert.state == "active":
        lines.append(style("  nobody was told: no route takes it now, or no worker runs", "warning"))
    return lines


def journal_text(found: Journal, *, since: str, style: Style, zone: tzinfo | None = None) -> str:
    """Every line, newest last."""
    found = plain(found)
    if not found.lines:
        return f"nothing happened since {since}"
    lines = [line_text(line, style=style, zone=zone) for line in found.lines]
    if found.truncated:
        lines.insert(0, style("older ones are left out: raise --limit or narrow --since", "dim"))
    return "\n".join(lines)


def line_text(line: JournalLine, *, style: Style, zone: tzinfo | None = None) -> str:
    """When, what, which alert, its value, by whom and why."""
    at, who = clock_text(line.at, zone=zone), f"  by {line.who}" if line.who else ""
    value = f"  {value_text(line.value)}" if line.name and line.value is not None and line.kind in _COLOUR else ""
    reason = f"  {one_line(line.reason)}" if line.reason else ""
    held = "  (held)" if line.held and line.kind in _COLOUR else ""
    first = "  first out" if line.first_out else ""
    name = f"{line.priority or line.severity:<8}  {line.name}" if line.name else "the site"
    return f"{at}  {style(f'{line.kind:<14}', _COLOUR.get(line.kind, ''))}  {name}{value}{who}{reason}{held}{first}"
