"""The segments of a series: type, unit and value names of its samples over time. Pure.

A series records a segment each time that its tag's type, unit or names change, or that it is declared again. Neighbouring
segments of which one can be shown in the terms of the other make a stretch; nothing is ever added up across stretches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

import orjson

from nexus_cli.model.calendar import microseconds
from nexus_cli.model.datatype import parse_type
from nexus_cli.model.quantities import UnitError, conversion

Kind = Literal["bool", "number", "text", "json"]
NEVER_US = 1 << 62
ALWAYS_US = -(1 << 62)


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Samples with `since_us <= time < until_us` (µs since 1970 UTC) were stored in these terms.

    Attributes:
        since_us, until_us: From when to when; the first is open to the past, the last to the future.
        type, unit: Of the published value.
        labels: Names of an enumeration's codes.
        ended_us: When its tag was no longer declared: no value holds from there on. None while it is, or not known.
        factor, shift: Into the terms of its stretch: `shown = value * factor + shift`.
    """

    since_us: int
    until_us: int
    type: str
    unit: str
    labels: dict[str, str] = field(default_factory=dict)
    ended_us: int | None = None
    factor: float = 1.0
    shift: float = 0.0

    @property
    def converts(self) -> bool:
        """True when its values are shown in another unit than they were stored in."""
        return (self.factor, self.shift) != (1.0, 0.0)

    def shown(self, value: Any) -> Any:
        """A number in the terms of the stretch; anything else as it is."""
        if not self.converts or value is None or isinstance(value, (bool, str)):
            return value
        return value * self.factor + self.shift


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Neighbouring segments in the terms of the last one.

    Attributes:
        segments: At least one, ascending, each with its conversion into `type` and `unit`.
    """

    segments: tuple[Segment, ...]

    @property
    def last(self) -> Segment:
        """Whose terms it has."""
        return self.segments[-1]

    @property
    def kind(self) -> Kind:
        """What its values are."""
        return kind_of(self.last.type)

    def at(self, time_us: int) -> Segment:
        """The segment of a moment; what is before the first belongs to it."""
        for segment in reversed(self.segments):
            if segment.since_us <= time_us:
                return segment
        return self.segments[0]


def kind_of(type_name: str) -> Kind:
    """The name of a published type for people; one that this version does not know is a structure."""
    try:
        parsed = parse_type(type_name)
    except ValueError:
        return "json"
    if parsed.count or parsed.base == "json":
        return "json"
    if parsed.base in ("string", "datetime"):
        return "text"
    return "bool" if parsed.base == "bool" else "number"


def is_exact(type_name: str) -> bool:
    """True for the 64-bit integers, which a double can't hold."""
    try:
        parsed = parse_type(type_name)
    except ValueError:
        return False
    return not parsed.count and parsed.exact64


def segments_of(stored: str | bytes, *, type: str, unit: str, labels: dict[str, str]) -> list[Segment]:
    """The segments of a series, ascending; the newest has the terms of today.

    Args:
        stored: The column `segments`, as JSON: `[{segment, type, unit, since, labels, until}]`. No `labels` are no
            names; older versions wrote none (those of the newest are known), and no `until`.
        type: Of the series today.
        unit: Of the series today.
        labels: Of the series today.
    """
    entries = [each for each in orjson.loads(stored) if isinstance(each, dict) and "since" in each]
    entries.sort(key=lambda each: microseconds(datetime.fromisoformat(each["since"])))
    if not entries:
        return [Segment(since_us=ALWAYS_US, until_us=NEVER_US, type=type, unit=unit, labels=labels)]
    starts = [microseconds(datetime.fromisoformat(each["since"])) for each in entries]
    starts[0] = ALWAYS_US
    found = []
    for number, (entry, start) in enumerate(zip(entries, starts, strict=True)):
        newest = number == len(entries) - 1
        found.append(
            Segment(
                since_us=start,
                until_us=NEVER_US if newest else starts[number + 1],
                type=type if newest else entry.get("type", type),
                unit=unit if newest else entry.get("unit", unit),
                labels=labels if newest else dict(entry.get("labels") or {}),
                ended_us=microseconds(datetime.fromisoformat(entry["until"])) if entry.get("until") else None,
            )
        )
    return [each for each in found if each.since_us < each.until_us]


def stretches_of(segments: Sequence[Segment], *, since_us: int, until_us: int) -> list[Stretch]:
    """The stretches that touch `[since, until)`, ascending; at least one."""
    touching = [each for each in segments if each.since_us < until_us and each.until_us > since_us] or [segments[-1]]
    found: list[list[Segment]] = [[touching[-1]]]
    for segment in reversed(touching[:-1]):
        target = found[0][-1]
        converted = _converted(segment, target)
        if converted is None:
            found.insert(0, [segment])
        else:
            found[0].insert(0, converted)
    return [Stretch(segments=tuple(each)) for each in found]


def _converted(segment: Segment, target: Segment) -> Segment | None:
    """A segment in the terms of a later one; None when they can't be mixed."""
    if kind_of(segment.type) != kind_of(target.type) or segment.labels != target.labels:
        return None
    if segment.unit == target.unit:
        return segment
    if kind_of(segment.type) != "number":
        return None
    try:
        factor, shift = conversion(segment.unit, target.unit)
    except UnitError:
        return None
    return replace(segment, factor=factor, shift=shift)
