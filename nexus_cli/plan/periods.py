"""When a user may use a role, compared: periods and hours that grow or shrink are a change of rights, too. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from nexus_cli.access.gains import Gain
from nexus_cli.access.people import period_us
from nexus_cli.model.access import LAST_MINUTE, parse_hours
from nexus_cli.model.access_config import GroupConfig, UserConfig
from nexus_cli.model.resources import every
from nexus_cli.model.snapshot import Snapshot

TIME = "time"
"""Action and kind of a `Gain` that is about when."""
_WEEK = 7 * LAST_MINUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """When a user has a role in one way.

    Attributes:
        from_us, until_us: In µs since 1970 UTC; None is open.
        minutes: Of the week, Monday 00:00 is 0; None is all of them.
        zone: Of the hours; "" without any.
        text: For people.
    """

    from_us: int | None = None
    until_us: int | None = None
    minutes: frozenset[int] | None = None
    zone: str = ""
    text: str = ""

    def covers(self, other: Span) -> bool:
        """True when the other one is nowhere without this one."""
        begins = self.from_us is None or (other.from_us is not None and other.from_us >= self.from_us)
        ends = self.until_us is None or (other.until_us is not None and other.until_us <= self.until_us)
        if not (begins and ends) or self.minutes is None:
            return begins and ends
        return other.minutes is not None and other.zone == self.zone and other.minutes <= self.minutes


Spans = dict[str, dict[str, list[Span]]]
"""By user, by role."""


def times(before: Snapshot, after: Snapshot, *, widened: Collection[str]) -> tuple[Gain, ...]:
    """Who may use a role at more times, or at fewer, than before; by name.

    A role that a user had not before says so by the rights that it gives; where it gives nothing else, its times
    are compared with those of all that it had.

    Args:
        before, after: Both sides.
        widened: Who gains something else.
    """
    sides = _spans(before), _spans(after)
    found = []
    for name in sorted(sides[0].keys() & sides[1].keys()):
        had, has = sides[0][name], sides[1][name]
        more = [*_beyond(has, had, "before"), *(() if name in widened else _new(has, had))]
        less = list(_beyond(had, has, "now"))
        if more or less:
            found.append(Gain(principal=name, action=TIME, kind=TIME, gained=tuple(more), lost=tuple(less)))
    return tuple(found)


def _beyond(ours: dict[str, list[Span]], theirs: dict[str, list[Span]], when: str) -> Iterator[str]:
    """The times of roles that both sides have, as far as the other side does not have them."""
    for role in sorted(ours.keys() & theirs.keys()):
        left = [span for span in ours[role] if not any(other.covers(span) for other in theirs[role])]
        if left:
            yield f"role {role} {_texts(left)} ({when}: {_texts(theirs[role])})"


def _new(has: dict[str, list[Span]], had: dict[str, list[Span]]) -> Iterator[str]:
    old = [span for spans in had.values() for span in spans]
    for role in sorted(has.keys() - had.keys()) if old else ():
        left = [span for span in has[role] if not all(other.covers(span) for other in old)]
        if left:
            yield f"role {role} {_texts(left)}"


def _texts(spans: Collection[Span]) -> str:
    return " or ".join(dict.fromkeys(span.text or "at any time" for span in spans))


def _spans(snapshot: Snapshot) -> Spans:
    name = str(snapshot.resources.get("site", {}).get("time_zone") or "UTC")
    try:
        zone = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        zone = ZoneInfo("UTC")
    groups = {group: (config, _span(config, zone)) for group, config in every(snapshot, "group", GroupConfig)}
    found: Spans = {}
    for user, config in every(snapshot, "user", UserConfig):
        own, roles = _span(config, zone), found.setdefault(user, {})
        for role in config.every_role():
            roles.setdefault(role, []).append(own)
        for group in config.groups:
            given, span = groups.get(group, (GroupConfig(), Span()))
            for role in given.roles:
                roles.setdefault(role, []).append(_both(own, span))
    return found


def _span(member: UserConfig | GroupConfig, zone: ZoneInfo) -> Span:
    begins, ends = period_us(member, zone)
    texts = [f"from {member.valid_from}"] if member.valid_from else []
    texts += [f"until {member.valid_until}"] if member.valid_until else []
    texts += [", ".join(member.hours)] if member.hours else []
    return Span(
        from_us=begins,
        until_us=ends,
        minutes=frozenset(_minutes(member.hours)) if member.hours else None,
        zone=zone.key if member.hours else "",
        text=" ".join(texts),
    )


def _minutes(hours: list[str]) -> Iterator[int]:
    for days, first, last in map(parse_hours, hours):
        length = last - first if last > first else last - first + LAST_MINUTE
        for day in days:
            begin = day * LAST_MINUTE + first
            yield from (minute % _WEEK for minute in range(begin, begin + length))


def _both(one: Span, other: Span) -> Span:
    begins = [each.from_us for each in (one, other) if each.from_us is not None]
    ends = [each.until_us for each in (one, other) if each.until_us is not None]
    hours = [each.minutes for each in (one, other) if each.minutes is not None]
    return Span(
        from_us=max(begins, default=None),
        until_us=min(ends, default=None),
        minutes=frozenset.intersection(*hours) if hours else None,
        zone=one.zone or other.zone,
        text=" and ".join(dict.fromkeys(filter(None, (one.text, other.text)))),
    )
