"""Who has which roles at a moment, and when that changes next.

Days and hours are those of the site (`time_zone`, UTC without one). A period of a user bounds everything that it has;
a group's bounds what the group gives. Elevation gives `admin` within the user's period, at any hour.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from nexus_cli.access.grants import RESERVED
from nexus_cli.model.access import LAST_MINUTE, parse_hours
from nexus_cli.model.access_config import APPLICATION, GroupConfig, RoleConfig, UserConfig, shipped_role
from nexus_cli.model.resources import every
from nexus_cli.model.snapshot import Snapshot

ADMIN = "admin"
NO_RIGHTS = RoleConfig()
"""Of a role that is not declared."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAYS_AHEAD = 9
"""Every time of the week begins and ends within so many days."""
_DAY_TEXT = len("2026-12-31")
_EARLIEST_US = (datetime(10, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_LATEST_US = (datetime(9990, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
"""Periods are cut here: 9999-12-31 is written for "without end", and the day after it is no date."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When rights are asked for, and who was given more for a while.

    Attributes:
        at_us: µs since 1970 UTC; None leaves periods and hours out of account: everybody as if it were their time.
        elevated: Until when each user has the role `admin`, too, in µs since 1970 UTC (`nexus access elevate`).
        any_hour: True leaves hours out of account and periods in: for rules that stay at a broker for days.
    """

    at_us: int | None = None
    any_hour: bool = False
    elevated: Mapping[str, int] = field(default_factory=dict)


ANY_TIME = Moment()


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A role that a user has.

    Attributes:
        name: Of the role.
        config: Its rights; those of an unknown role are none.
        via: `role`, `group NAME` or `elevated`.
    """

    name: str
    config: RoleConfig
    via: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A user or an application at a moment.

    Attributes:
        name: As the broker knows it.
        kind: `user` or `application`.
        roles: What it has now: its own, those of its groups, elevation; a role that comes twice is named by its first way.
        idle: Roles that it has at another time, with the reason: `operator (group shift-a): not at this hour`.
    """

    name: str
    kind: str
    roles: tuple[Held, ...]
    idle: tuple[str, ...] = ()


def people(snapshot: Snapshot, when: Moment = ANY_TIME) -> tuple[Person, ...]:
    """Every declared user and application, by name; those without a role at this moment, too."""
    site = _Site.of(snapshot)  # once: a site may have a thousand users, each with a role
    return tuple(_person(name, user, site, when) for name, user in _users(snapshot))


def next_change_us(snapshot: Snapshot, when: Moment, *, only: str = "") -> int | None:
    """The next moment, in µs since 1970 UTC, at which roles of a user begin or end; None when they stay.

    Args:
        snapshot: What is recorded.
        when: The moment to look from; its `at_us` must be given.
        only: A user, instead of all of them.
    """
    if when.at_us is None:
        return None
    site = _Site.of(snapshot)
    users = [(name, user) for name, user in _users(snapshot) if only in ("", name)]
    now = _held(users, site, when)
    for at_us in sorted({one for one in _edges(users, site, when) if one > when.at_us}):
        if _held(users, site, replace(when, at_us=at_us)) != now:
            return at_us
    return None


@dataclass(frozen=True, slots=True)
class _Site:
    zone: ZoneInfo
    roles: Mapping[str, RoleConfig]
    groups: Mapping[str, GroupConfig]

    @classmethod
    def of(cls, snapshot: Snapshot) -> _Site:
        zone = str(snapshot.resources.get("site", {}).get("time_zone") or "UTC")
        roles, groups = every(snapshot, "role", RoleConfig), every(snapshot, "group", GroupConfig)
        return cls(_zone(zone), dict(roles), dict(groups))


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):  # recorded where the zone was known
        return ZoneInfo("UTC")


def _users(snapshot: Snapshot) -> Iterator[tuple[str, UserConfig]]:
    return ((name, user) for name, user in every(snapshot, "user", UserConfig) if not name.startswith(RESERVED))


def _held(users: list[tuple[str, UserConfig]], site: _Site, when: Moment) -> tuple[tuple[tuple[str, str], ...], ...]:
    found = (_person(name, user, site, when).roles for name, user in users)
    return tuple(tuple((one.name, one.via) for one in roles) for roles in found)


def _person(name: str, user: UserConfig, site: _Site, when: Moment) -> Person:
    roles: dict[str, Held] = {}
    idle: list[str] = []
    own = _why_not(user, site.zone, when)
    for role in user.every_role():
        if own:
            idle.append(f"{role}: {own}")
        else:
            roles.setdefault(role, Held(name=role, config=site.roles.get(role, NO_RIGHTS), via="role"))
    for group in user.groups:
        config = site.groups.get(group, GroupConfig())
        why = own or _why_not(config, site.zone, when)
        for role in config.roles:
            if why:
                idle.append(f"{role} (group {group}): {why}")
            else:
                given = Held(name=role, config=site.roles.get(role, NO_RIGHTS), via=f"group {group}")
                roles.setdefault(role, given)
    if _elevated(name, user, site.zone, when):
        config_of = site.roles.get(ADMIN) or shipped_role(ADMIN)
        roles.setdefault(ADMIN, Held(name=ADMIN, config=config_of, via="elevated"))
    kind = "application" if user.kind else "user"
    return Person(name=name, kind=kind, roles=tuple(roles.values()), idle=tuple(idle))


def _elevated(name: str, user: UserConfig, zone: ZoneInfo, when: Moment) -> bool:
    until = when.elevated.get(name)
    if user.kind == APPLICATION:  # elevation is for people
        return False
    if until is None or when.at_us is None:
        return until is not None
    return when.at_us < until and not _outside(user, zone, when.at_us)


def _why_not(member: UserConfig | GroupConfig, zone: ZoneInfo, when: Moment) -> str:
    """Why a member has no rights at a moment; "" when it has."""
    at_us = when.at_us
    if at_us is None:
        return ""
    if why := _outside(member, zone, at_us):
        return why
    if (
        member.hours
        and not when.any_hour
        and not any(begin <= at_us < end for begin, end in _spans(member, zone, at_us, days=1))
    ):
        return "not at this hour"
    return ""


def _outside(member: UserConfig | GroupConfig, zone: ZoneInfo, at_us: int) -> str:
    begin, end = period_us(member, zone)
    if begin is not None and at_us < begin:
        return f"not before {member.valid_from}"
    return f"over since {member.valid_until}" if end is not None and at_us >= end else ""


def period_us(member: UserConfig | GroupConfig, zone: ZoneInfo) -> tuple[int | None, int | None]:
    """When a member's rights begin, and the first moment after them, in µs since 1970 UTC; None is open.

    A day is the whole day in this zone: `until` has it in.
    """
    return (
        _moment_us(member.valid_from, zone, days=0) if member.valid_from else None,
        _moment_us(member.valid_until, zone, days=1) if member.valid_until else None,
    )


def _moment_us(text: str, zone: ZoneInfo, *, days: int) -> int:
    try:
        if len(text) > _DAY_TEXT:
            found = _us(datetime.fromisoformat(text).astimezone(UTC))
        else:
            found = _wall_us(date.fromisoformat(text) + timedelta(days=days), 0, zone)
    except OverflowError:
        found = _LATEST_US if text > "5000" else _EARLIEST_US
    return min(max(found, _EARLIEST_US), _LATEST_US)


def _spans(member: UserConfig | GroupConfig, zone: ZoneInfo, at_us: int, *, days: int) -> Iterator[tuple[int, int]]:
    """The member's hours, as spans, from the day before a moment to so many days behind it."""
    today = (_EPOCH + timedelta(microseconds=at_us)).astimezone(zone).date()
    for weekdays, first, last in map(parse_hours, member.hours):
        for step in range(-1, days + 1):
            day = today + timedelta(days=step)
            if day.weekday() in weekdays:
                following = day + timedelta(days=1) if last <= first else day
                yield _wall_us(day, first, zone), _wall_us(following, last, zone, late=True)


def _edges(users: list[tuple[str, UserConfig]], site: _Site, when: Moment) -> Iterator[int]:
    """Moments at which something may begin or end. Hours count from now, and from each begin of a period or end of elevation."""
    members: list[UserConfig | GroupConfig] = [*(user for _, user in users), *site.groups.values()]
    periods = [edge for member in members for edge in period_us(member, site.zone) if edge is not None]
    starts = {when.at_us or 0, *periods, *when.elevated.values()}
    yield from periods
    yield from when.elevated.values()
    for member in members:
        for start in starts if member.hours else ():
            for span in _spans(member, site.zone, start, days=_DAYS_AHEAD):
                yield from span


def _wall_us(day: date, minute: int, zone: ZoneInfo, *, late: bool = False) -> int:
    """A minute of a day in a zone, in µs since 1970 UTC.

    A time that the clock shows twice is the first one, or with `late` the second; one that it skips is the moment
    of the skip.
    """
    if minute == LAST_MINUTE:
        day, minute = day + timedelta(days=1), 0
    wall = datetime(day.year, day.month, day.day, minute // 60, minute % 60)
    first, second = wall.replace(tzinfo=zone, fold=0), wall.replace(tzinfo=zone, fold=1)
    early, last = _us(first.astimezone(UTC)), _us(second.astimezone(UTC))
    if last >= early:
        return last if late else early
    return _skip_us(last, early, zone)


def _skip_us(low_us: int, high_us: int, zone: ZoneInfo) -> int:
    """The moment between two others at which a zone's offset changes."""
    before = _offset(low_us, zone)
    while high_us - low_us > 1:
        middle = (low_us + high_us) // 2
        low_us, high_us = (middle, high_us) if _offset(middle, zone) == before else (low_us, middle)
    return high_us


def _offset(at_us: int, zone: ZoneInfo) -> timedelta | None:
    return (_EPOCH + timedelta(microseconds=at_us)).astimezone(zone).utcoffset()


def _us(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
