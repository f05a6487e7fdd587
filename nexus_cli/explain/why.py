"""Why a tag has no value, or why its value is not GOOD: every part between the device and the row, and which one is the cause.

From what is recorded, and from the health messages of gateways and historians. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from nexus_cli.explain.present import how_it_is_read
from nexus_cli.model.config import DeviceConfig
from nexus_cli.wire.gateway_health import GatewayHealth
from nexus_cli.wire.health import HistorianHealth

State = Literal["ok", "bad", "unknown"]
RUNNING = "running"
CONNECTED = "connected"
CAUSES = (
    "declared",
    "broker",
    "gateway",
    "link",
    "device",
    "value",
    "outbox",
    "historian",
    "database",
    "dead_letter",
    "gap",
)
"""Parts in the order in which one that is bad explains those behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One part of the way.

    Attributes:
        part: `declared`, `gateway`, `link`, `device`, `value`, `outbox`, `broker`, `historian`, `database`, `gap` or
            `dead_letter`.
        name: Which one; "".
        state: `ok`, `bad`, or `unknown` where nothing was said.
        text: In words.
        since: Since when, µs since 1970 UTC; 0 when it is not known.
    """

    part: str
    state: State
    text: str
    name: str = ""
    since: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known.

    Attributes:
        device: Of the tag, as recorded.
        tag: Its name.
        quality, reason: Of its newest value; "" where none came.
        received: When that came, µs since 1970 UTC; 0 for never.
        gateway: The newest health of its gateway; None when there was none.
        historians: The newest health of each.
        broker: Why web has no connection to the broker; "" when it has.
        database: Why the database can't be asked; "" when it can.
        open_gaps: `(reason, since)` of gaps of its device that have not ended.
        dead_letters: `(reason, detail, time)` of the newest ones of its topic.
        stored: When its newest stored sample was, µs since 1970 UTC; 0 without one, None when that is not known.
    """

    device: DeviceConfig
    tag: str
    quality: str = ""
    reason: str = ""
    received: int = 0
    gateway: GatewayHealth | None = None
    historians: Sequence[HistorianHealth] = ()
    broker: str = ""
    database: str = ""
    open_gaps: Sequence[tuple[str, int]] = ()
    dead_letters: Sequence[tuple[str, str, int]] = ()
    stored: int | None = None


def checks(facts: Facts) -> list[Check]:
    """Every part, from the declaration to the row."""
    found = [_declared(facts)]
    if facts.device.gateway:
        found.append(_gateway(facts))
        if facts.gateway is not None and facts.gateway.state == RUNNING:
            found += [*_link(facts, facts.gateway), *_device(facts, facts.gateway), *_outbox(facts.gateway)]
    found.append(_broker(facts))
    found.append(_value(facts))
    found += [_historian(facts), _database(facts)]
    for reason, since in facts.open_gaps:
        found.append(Check(part="gap", state="bad", text=f"samples are missing: {reason}", since=since))
    for reason, detail, time in facts.dead_letters:
        text = f"a message of it could not be stored: {reason} {detail}".rstrip()
        found.append(Check(part="dead_letter", state="bad", text=text, since=time))
    return found


def verdict(facts: Facts, found: Sequence[Check]) -> str:
    """One sentence: the first part that is the cause; else how the tag is read."""
    for part in CAUSES:
        for check in found:
            silent = check.part == "gateway" and check.state == "unknown"
            if check.part == part and (check.state == "bad" or silent):
                return check.text
    if not facts.device.gateway:
        return "nothing is wrong here: it is published by others"
    if facts.device.tags[facts.tag].expr:
        return "nothing is wrong here: it is computed when an input changes"
    if facts.gateway is None:
        return "nothing is known to be wrong"
    return how_it_is_read(facts.gateway, facts.device, facts.tag)


def _declared(facts: Facts) -> Check:
    device, tag = facts.device, facts.device.tags[facts.tag]
    if not device.enabled or not tag.enabled:
        which = "its device" if not device.enabled else "it"
        return Check(part="declared", state="bad", text=f"{which} is out of service by the site file")
    if not tag.live_publish:
        return Check(part="declared", state="bad", text="it is not published on its topic, only stored")
    return Check(part="declared", state="ok", text="it is declared and in service")


def _gateway(facts: Facts) -> Check:
    name, health = facts.device.gateway, facts.gateway
    if health is None:
        return Check(part="gateway", name=name, state="unknown", text=f"gateway {name} has not reported")
    since = health.time if isinstance(health.time, int) else 0
    if health.state != RUNNING:
        state = health.state if isinstance(health.state, str) else "unknown"
        text = f"gateway {name} is not running ({state})"
        return Check(part="gateway", name=name, state="bad", text=text, since=since)
    problem = health.waiting or health.configuration or health.clock.doubt or "; ".join(health.stalled)
    if problem:
        return Check(part="gateway", name=name, state="bad", text=f"gateway {name}: {problem}", since=since)
    return Check(part="gateway", name=name, state="ok", text=f"gateway {name} is running", since=since)


def _link(facts: Facts, health: GatewayHealth) -> list[Check]:
    name = facts.device.link
    link = health.links.get(name)
    if facts.device.tags[facts.tag].expr:
        return []
    if link is None:
        text = f"gateway {facts.device.gateway} does not run this device (yet)"
        return [Check(part="link", name=name, state="bad", text=text)]
    if link.state != CONNECTED:
        text = f"its link is not connected ({link.state}): {link.detail}".rstrip(": ")
        return [Check(part="link", name=name, state="bad", text=text, since=link.since)]
    text = f"its link is connected{': ' if link.detail else ''}{link.detail}"
    return [Check(part="link", name=name, state="ok", text=text, since=link.since)]


def _device(facts: Facts, health: GatewayHealth) -> list[Check]:
    path = facts.device.path
    for one in health.silent:
        if one.path == path:
            text = f"its device gives no value: {one.reason} {one.detail}".rstrip()
            return [Check(part="device", name=path, state="bad", text=text, since=one.since)]
    reads = health.reads.get(path)
    if reads is None:
        return []
    said = f"{reads.polls:,} polls, {reads.missed:,} missed, {reads.errors:,} errors"
    answered = reads.answered_s * 1_000_000
    return [Check(part="device", name=path, state="ok", text=f"its device answers: {said}", since=answered)]


def _outbox(health: GatewayHealth) -> list[Check]:
    outbox = health.outbox
    if outbox.failing:
        return [Check(part="outbox", state="bad", text=f"the gateway's disk takes no samples: {outbox.failing}")]
    if outbox.waiting_topics:
        text = f"the broker does not pass on records of {len(outbox.waiting_topics)} topics (too large?)"
        return [Check(part="outbox", state="bad", text=text)]
    return [Check(part="outbox", state="ok", text=f"{outbox.uncommitted:,} frames wait for their receipt")]


def _broker(facts: Facts) -> Check:
    if facts.broker:
        return Check(part="broker", state="bad", text=f"the broker is away: {facts.broker}")
    return Check(part="broker", state="ok", text="the broker is connected")


def _value(facts: Facts) -> Check:
    if not facts.received:
        return Check(part="value", state="bad", text="nothing was published on its topic")
    if facts.quality == "GOOD":
        return Check(part="value", state="ok", text="its newest value is GOOD", since=facts.received)
    text = f"its newest value is {facts.quality}: {facts.reason or 'no reason given'}"
    return Check(part="value", state="bad", text=text, since=facts.received)


def _historian(facts: Facts) -> Check:
    running = [one for one in facts.historians if one.state == RUNNING]
    if not facts.historians:
        return Check(part="historian", state="unknown", text="no historian has reported")
    if not running:
        return Check(part="historian", state="bad", text="no historian is running: samples wait in the gateways")
    for one in running:
        problem = "; ".join(one.stalled) or one.clock_doubt
        problem = problem or ("" if one.database in ("", CONNECTED) else f"database: {one.database}")
        problem = problem or ("" if one.broker in ("", CONNECTED) else f"broker: {one.broker}")
        if problem:
            name = one.name if isinstance(one.name, str) else ""
            return Check(part="historian", name=name, state="bad", text=f"the historian does not store: {problem}")
    return Check(part="historian", state="ok", text="a historian is running", since=facts.stored or 0)


def _database(facts: Facts) -> Check:
    if facts.database:
        return Check(part="database", state="bad", text=facts.database)
    return Check(part="database", state="ok", text="the database answers", since=facts.stored or 0)
