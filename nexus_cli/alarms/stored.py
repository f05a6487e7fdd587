"""An alert as it is stored, and back: the state, the holds, and what runs in it."""

from __future__ import annotations

import msgspec

from nexus_cli.alarms.machine import Alert, OutOfService, State
from nexus_cli.alarms.silence import Silence
from nexus_cli.alarms.timers import (
    Moment,
    Pending,
    Shelf,
    StoredTimer,
    StoredTimers,
    restored_shelf,
    restored_timer,
    stored_shelf,
    stored_timer,
)
from nexus_cli.wire.alert import Alert as Facts


def facts_of(name: str, alert: Alert) -> Facts:
    """What is published and stored of an alert."""
    config, shelf, out = alert.config, alert.shelf, alert.out
    return Facts(
        name=name,
        state=alert.state.value,
        since=alert.since_us,
        value=alert.value,
        severity=config.severity,
        tag=config.tag,
        description=config.description or "",
        acknowledged_by=alert.acknowledged_by,
        priority=config.priority,
        group=config.group,
        response=config.response or "",
        consequence=config.consequence or "",
        occurrence=alert.occurrence_us,
        changed=alert.changed_us,
        first_out=alert.first_out,
        shelved_until=shelf.until_us if shelf else 0,
        shelved_by=shelf.who if shelf else "",
        shelved_reason=shelf.reason if shelf else "",
        out_of_service=out.since_us if out else 0,
        out_of_service_by=out.who if out else "",
        out_of_service_reason=out.reason if out else "",
        suppressed_by=alert.suppressed_by,
    )


def pending_of(alert: Alert, *, boot: str, at_s: float, now_us: int) -> StoredTimer | None:
    """The condition that holds without the alert being active yet; None when there is none."""
    return stored_timer(alert.pending, boot=boot, at_s=at_s, now_us=now_us) if alert.pending else None


def timers_of(alert: Alert, *, boot: str, at_s: float, now_us: int) -> StoredTimers | None:
    """What runs in an alert beside its pending condition; None when nothing does."""
    silent, condition = None, alert.condition
    if isinstance(condition, Silence) and condition.marked and condition.since_s is not None:
        since_us = now_us - round((at_s - condition.since_s) * 1e6)
        silence = Pending(since_us=since_us, began_s=condition.since_s)
        silent = stored_timer(silence, boot=boot, at_s=at_s, now_us=now_us)
    if alert.clearing is None and alert.shelf is None and silent is None:
        return None
    return StoredTimers(
        clearing=stored_timer(alert.clearing, boot=boot, at_s=at_s, now_us=now_us) if alert.clearing else None,
        silent=silent,
        silent_value=condition.value if silent is not None and _plain(condition.value) else None,
        shelf=stored_shelf(alert.shelf, boot=boot, at_s=at_s, now_us=now_us) if alert.shelf else None,
    )


def take_facts(alert: Alert, facts: Facts) -> None:
    """Let a new alert be what was stored."""
    alert.state, alert.since_us = State(facts.state), facts.since
    alert.value, alert.acknowledged_by = facts.value, facts.acknowledged_by or ""
    alert.changed_us = max(facts.changed, facts.since)
    alert.occurrence_us, alert.first_out = facts.occurrence, facts.first_out
    alert.suppressed_by = facts.suppressed_by
    if facts.out_of_service:
        alert.out = OutOfService(
            since_us=facts.out_of_service, who=facts.out_of_service_by, reason=facts.out_of_service_reason
        )


def take_timers(
    alert: Alert, facts: Facts, pending: StoredTimer | None, timers: StoredTimers | None, moment: Moment
) -> None:
    """Let what ran in it continue. A shelf of which no timer can be read ends by the wall clock."""
    if pending is not None:
        alert.pending = restored_timer(pending, moment)
    timers = timers or StoredTimers()
    if timers.clearing is not None:
        alert.clearing = restored_timer(timers.clearing, moment)
    if timers.silent is not None and isinstance(alert.condition, Silence):
        silence = restored_timer(timers.silent, moment)
        alert.condition.restore(silence.began_s, timers.silent_value)
    if timers.shelf is not None:
        alert.shelf = restored_shelf(timers.shelf, moment)
    elif facts.shelved_until:
        left_s = (facts.shelved_until - moment.now_us) / 1e6
        alert.shelf = Shelf(
            until_us=facts.shelved_until,
            ends_s=moment.at_s + left_s,
            who=facts.shelved_by,
            reason=facts.shelved_reason,
        )


def _plain(value: object) -> bool:
    return value is None or isinstance(value, (bool, int, float, str))


def encode_timers(timers: StoredTimers) -> dict[str, object]:
    """As JSON."""
    found: dict[str, object] = msgspec.to_builtins(timers)
    return found
