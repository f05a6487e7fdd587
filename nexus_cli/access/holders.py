"""Who has which roles, through what, and whether it is their time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from nexus_cli.access.compile import ANY_TIME, Moment
from nexus_cli.access.grants import CLI, CONTROL, HISTORIAN, RESERVED, WEB, gateway_principal
from nexus_cli.model.access import parse_hours
from nexus_cli.model.access_config import APPLICATION, GroupConfig, UserConfig
from nexus_cli.model.resources import every
from nexus_cli.model.snapshot import Snapshot

ELEVATED = "admin"
"""The role that `nexus access elevate` gives for a while."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One role of somebody's.

    Attributes:
        role: Its name.
        group: Through which group; "" of their own.
        elevated: True for the role that was given for a while.
        not_now: Why it does not count at the moment that was asked about; "" when it does.
    """

    role: str
    group: str = ""
    elevated: bool = False
    not_now: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A principal and the roles that it has.

    Attributes:
        name: As the broker of `nexus up` knows it.
        kind: `user`, `application`, or `nexus` for NEXUS's own.
        held: Its roles, its own first, then those of its groups.
        groups: Names of its groups.
        valid: When its rights begin and end, in words; "" when they do not.
        hours: Times of the week, as written.
        until_us: When its rights end, µs since 1970 UTC; None when they do not.
        description: For people.
    """

    name: str
    kind: str
    held: tuple[Held, ...] = ()
    groups: tuple[str, ...] = ()
    valid: str = ""
    hours: tuple[str, ...] = ()
    until_us: int | None = None
    description: str = ""

    @property
    def roles(self) -> tuple[str, ...]:
        """Names of the roles that count at that moment, each once."""
        return tuple(dict.fromkeys(each.role for each in self.held if not each.not_now))


def zone_of(snapshot: Snapshot) -> tzinfo:
    """The zone in which a site's days begin; UTC where it names none."""
    name = str(snapshot.resources.get("site", {}).get("time_zone", ""))
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def holders(snapshot: Snapshot, when: Moment = ANY_TIME) -> tuple[Holder, ...]:
    """Every declared user and application with its roles, by name, and NEXUS's own behind them."""
    zone, groups = zone_of(snapshot), dict(every(snapshot, "group", GroupConfig))
    people = [
        _holder(name, user, groups, when, zone)
        for name, user in every(snapshot, "user", UserConfig)
        if not name.startswith(RESERVED)
    ]
    return (*people, *_own(snapshot))


def _own(snapshot: Snapshot) -> Iterator[Holder]:
    for name, text in ((CONTROL, "control"), (HISTORIAN, "the historian"), (WEB, "the pages"), (CLI, "nexus here")):
        yield Holder(name=name, kind="nexus", description=text)
    for gateway, _ in snapshot.of_kind("gateway"):
        yield Holder(name=gateway_principal(gateway), kind="nexus", description=f"the gateway {gateway}")


def _holder(name: str, user: UserConfig, groups: dict[str, GroupConfig], when: Moment, zone: tzinfo) -> Holder:
    own = not_now(user, when, zone)
    held = [Held(role=role, not_now=own) for role in user.every_role()]
    for group in user.groups:
        config = groups.get(group, GroupConfig())
        held += [Held(role=role, group=group, not_now=own or not_now(config, when, zone)) for role in config.roles]
    until = when.elevated.get(name)
    if until is not None and (when.at_us is None or when.at_us < until):
        held.append(Held(role=ELEVATED, elevated=True))
    return Holder(
        name=name,
        kind=APPLICATION if user.kind == APPLICATION else "user",
        held=tuple(held),
        groups=tuple(user.groups),
        valid=_period(user),
        hours=tuple(user.hours),
        until_us=ends_us(user.valid_until, zone) if user.valid_until else None,
        description=user.description,
    )


def not_now(config: UserConfig | GroupConfig, when: Moment, zone: tzinfo) -> str:
    """Why rights do not count at a moment: `not valid before …`, `valid until …`, `only mon-fri 06:00-22:00`; else ""."""
    if when.at_us is None:
        return ""
    at = datetime.fromtimestamp(when.at_us / 1e6, zone)
    if config.valid_from and at < _begins(config.valid_from, zone):
        return f"not valid before {config.valid_from}"
    if config.valid_until and when.at_us >= ends_us(config.valid_until, zone):
        return f"valid until {config.valid_until}"
    if config.hours and not any(_within(hours, at) for hours in config.hours):
        return f"only {', '.join(config.hours)}"
    return ""


def ends_us(until: str, zone: tzinfo) -> int:
    """The first µs since 1970 UTC that is not valid any more: a day counts with its whole length."""
    return round(_end(until, zone).timestamp() * 1e6)


def _begins(text: str, zone: tzinfo) -> datetime:
    return _midnight(date.fromisoformat(text), zone) if _is_day(text) else datetime.fromisoformat(text)


def _end(text: str, zone: tzinfo) -> datetime:
    if _is_day(text):
        return _midnight(date.fromisoformat(text) + timedelta(days=1), zone)
    return datetime.fromisoformat(text)


def _is_day(text: str) -> bool:
    return len(text) <= len("2026-12-31")


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone)


def _within(text: str, at: datetime) -> bool:
    """A time of day that runs past midnight belongs to the day that it begins on."""
    days, begin, end = parse_hours(text)
    minute = at.hour * 60 + at.minute
    if begin < end:
        return at.weekday() in days and begin <= minute < end
    return (at.weekday() in days and minute >= begin) or ((at.weekday() - 1) % 7 in days and minute < end)


def _period(user: UserConfig) -> str:
    begins = f"from {user.valid_from}" if user.valid_from else ""
    ends = f"until {user.valid_until}" if user.valid_until else ""
    return " ".join(filter(None, (begins, ends)))
