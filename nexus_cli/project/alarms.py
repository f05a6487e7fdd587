"""`nexus alarms`: alarms through control: their list, what people do to them, why, the journal, key figures."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo

from nexus_cli.access.globs import matches_glob
from nexus_cli.history.moment import parse_moment
from nexus_cli.model.alarms import PRIORITIES
from nexus_cli.model.calendar import microseconds
from nexus_cli.settings import Settings, load_settings
from nexus_cli.wire.alert import Alert
from nexus_cli.wire.control_alarms import AlertWhy, Journal, KeyFigures
from nexus_cli.wire.http_alarms import AlarmClient

_RANK: dict[str, int] = {name: len(PRIORITIES) - place for place, name in enumerate(PRIORITIES)}
OPEN = ("active", "acknowledged", "returned")
HELD = ("shelved", "out-of-service", "suppressed")


async def listing(
    *,
    states: Sequence[str] = (),
    priorities: Sequence[str] = (),
    groups: Sequence[str] = (),
    path: str = "",
    everything: bool = False,
    settings: Settings | None = None,
) -> list[Alert]:
    """Alerts by priority (the most urgent first, those without one last), then the newest first.

    Args:
        states: `OPEN`, `cleared` or `HELD`; () is every one that is not cleared, without the held ones.
        priorities, groups: Only of these; () is all.
        path: A path or glob of tags.
        everything: Cleared and held ones, too.
        settings: Instead of those of this folder.

    Raises:
        NexusError: NX6400, NX6401 control is away or refuses.
    """
    async with AlarmClient(settings or load_settings()) as control:
        found = await control.alerts()
    wanted = [
        one
        for one in found
        if (everything or _in_state(one, states))
        and (not priorities or one.priority in priorities)
        and (not groups or one.group in groups)
        and (not path or matches_glob(path, one.tag) or one.tag.startswith(path.rstrip("/") + "/"))
    ]
    return sorted(wanted, key=lambda one: (_RANK.get(one.priority, len(PRIORITIES) + 1), -one.since, one.name))


def _in_state(alert: Alert, states: Sequence[str]) -> bool:
    holds = {
        "shelved": alert.shelved_until > 0,
        "out-of-service": alert.out_of_service > 0,
        "suppressed": alert.suppressed_by != "",
    }
    if not states:
        return alert.state in OPEN and not alert.held
    return any(holds.get(one, alert.state == one and not alert.held) for one in states)


async def acknowledge(names: Sequence[str], *, reason: str = "", settings: Settings | None = None) -> list[Alert]:
    """Acknowledge alarms, one after the other, with a comment or none. Raises NexusError NX6406, NX6407, NX6403, NX6400, NX6401."""
    async with AlarmClient(settings or load_settings()) as control:
        return [await control.acknowledge(name, reason=reason) for name in names]


async def shelve(name: str, *, for_s: int, reason: str, settings: Settings | None = None) -> Alert:
    """Hide an alert for 1 min to 30 d. Raises NexusError NX6406, NX6403, NX6400, NX6401."""
    async with AlarmClient(settings or load_settings()) as control:
        return await control.shelve(name, for_s=for_s, reason=reason)


async def unshelve(name: str, *, settings: Settings | None = None) -> Alert:
    """End it before its time. Raises NexusError as `shelve`, and NX6430."""
    async with AlarmClient(settings or load_settings()) as control:
        return await control.unshelve(name)


async def take_out(name: str, *, reason: str, settings: Settings | None = None) -> Alert:
    """Take an alert out of service. Raises NexusError as `shelve`, and NX6431."""
    async with AlarmClient(settings or load_settings()) as control:
        return await control.take_alert_out(name, reason=reason)


async def take_in(name: str, *, settings: Settings | None = None) -> Alert:
    """Take it into service again. Raises NexusError as `take_out`."""
    async with AlarmClient(settings or load_settings()) as control:
        return await control.take_alert_in(name)


async def why(name: str, *, settings: Settings | None = None) -> AlertWhy:
    """Why an alert is as it is. Raises NexusError NX6406, NX6403, NX6408 a standby was asked, NX6400, NX6401."""
    async with AlarmClient(settings or load_settings()) as control:
        return await control.why(name)


async def journal(
    names: Sequence[str] = (),
    *,
    since: str = "24h",
    kinds: Sequence[str] = (),
    priorities: Sequence[str] = (),
    groups: Sequence[str] = (),
    limit: int = 100,
    zone: tzinfo | None = None,
    settings: Settings | None = None,
    now: datetime | None = None,
) -> Journal:
    """The newest lines, oldest first. Raises NexusError NX6211 not a time; NX6400, NX6401."""
    since_us = max(0, microseconds(parse_moment(since, now=now or datetime.now(UTC), zone=zone)))
    async with AlarmClient(settings or load_settings()) as control:
        return await control.journal(
            since_us=since_us, names=names, kinds=kinds, priorities=priorities, groups=groups, limit=limit
        )


async def key_figures(
    *,
    since: str = "30d",
    until: str = "now",
    operators: int = 1,
    zone: tzinfo | None = None,
    settings: Settings | None = None,
    now: datetime | None = None,
) -> KeyFigures:
    """Key figures of a span for so many operators. Raises NexusError as `journal`."""
    now = now or datetime.now(UTC)
    since_us = max(0, microseconds(parse_moment(since, now=now, zone=zone)))
    until_us = max(0, microseconds(parse_moment(until, now=now, zone=zone)))
    async with AlarmClient(settings or load_settings()) as control:
        return await control.key_figures(since_us=since_us, until_us=until_us, operators=operators)
