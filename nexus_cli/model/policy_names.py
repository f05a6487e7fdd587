"""The names that a policy may use: their types, and how each is read from what is judged.

A name is text, a number, a truth value or an enumeration; what is not set is "" or 0. Durations are in milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from nexus_cli.model.datatype import DataType
from nexus_cli.wire.sample import Value

Facts = Mapping[str, Any]
TEXT, INTEGER, BOOL = DataType("string"), DataType("int64"), DataType("bool")
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
ACTIONS = ("create", "update", "move", "forget")
LABELS: Mapping[str, Mapping[int, str]] = {
    "weekday": dict(enumerate(WEEKDAYS)),
    "action": dict(enumerate(ACTIONS)),
}
"""Names that are compared with a few words: another word is a finding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When and why a plan is judged.

    Attributes:
        at: Local time of the site.
        reason: As `--reason` gave it; "".
    """

    at: datetime
    reason: str = ""


class TagFact(NamedTuple):
    """A tag as it is recorded or declared, with its device."""

    path: str
    tag: Facts
    device: Facts


class DeviceFact(NamedTuple):
    """A device."""

    path: str
    device: Facts


class ChangeFact(NamedTuple):
    """A change of a resource or tag; `before` and `after` are {} where there is none."""

    type: str
    action: str
    path: str
    before: Facts
    after: Facts
    moment: Moment


class HazardFact(NamedTuple):
    """A hazard."""

    hazard: str
    scope: str
    address: str
    moment: Moment


class PlanFact(NamedTuple):
    """A whole plan: `counts` as `Plan.counts`."""

    counts: Mapping[str, int]
    hazards: int
    first: bool
    moment: Moment


class Name(NamedTuple):
    """One name: its type, what it is, and how it is read."""

    type: DataType
    text: str
    read: Callable[[Any], Value]


def _level(position: int) -> Callable[[Any], Value]:
    return lambda fact: (fact.path.split("/") + [""] * 4)[position]


def _tag(key: str, default: Value) -> Callable[[Any], Value]:
    return lambda fact: fact.tag.get(key, default)


def _device(key: str, default: Value) -> Callable[[Any], Value]:
    return lambda fact: fact.device.get(key, default)


_MOMENT: dict[str, Name] = {
    "weekday": Name(
        INTEGER, "day of the week where the site is: 'monday' to 'sunday'", lambda f: f.moment.at.weekday()
    ),
    "hour": Name(INTEGER, "0 to 23 where the site is", lambda f: f.moment.at.hour),
    "minute": Name(INTEGER, "0 to 59", lambda f: f.moment.at.minute),
    "day": Name(INTEGER, "day of the month, from 1", lambda f: f.moment.at.day),
    "month": Name(INTEGER, "1 to 12", lambda f: f.moment.at.month),
    "year": Name(INTEGER, "e.g. 2026", lambda f: f.moment.at.year),
    "date": Name(TEXT, "e.g. '2026-12-24'", lambda f: f.moment.at.date().isoformat()),
    "reason": Name(TEXT, "what --reason says; '' without one", lambda f: f.moment.reason),
}
_PLACE: dict[str, Name] = {
    "path": Name(TEXT, "area/line/device of a device, area/line/device/tag of a tag", lambda f: f.path),
    "area": Name(TEXT, "first level of the path", _level(0)),
    "line": Name(TEXT, "second level of the path", _level(1)),
    "protocol": Name(TEXT, "of the device", _device("protocol", "")),
    "gateway": Name(TEXT, "that reads the device", _device("gateway", "")),
    "link": Name(TEXT, "that the device is reached through", _device("link", "")),
}
_TAG: dict[str, Name] = {
    **_PLACE,
    "device": Name(TEXT, "third level of the path", _level(2)),
    "name": Name(TEXT, "last level of the path", _level(3)),
    "type": Name(TEXT, "on the device", _tag("type", "")),
    "unit": Name(TEXT, "of the device's value", _tag("unit", "")),
    "published_unit": Name(
        TEXT, "of the published value", lambda f: f.tag.get("publish_unit", "") or f.tag.get("unit", "")
    ),
    "address": Name(TEXT, "on the device", _tag("address", "")),
    "mode": Name(TEXT, "'poll', 'subscribe' or 'cyclic'", _tag("mode", "poll")),
    "poll_ms": Name(INTEGER, "poll interval", _tag("poll_ms", 1000)),
    "heartbeat_ms": Name(INTEGER, "0 is none", _tag("heartbeat_ms", 0)),
    "writable": Name(BOOL, "commands may write it", _tag("writable", False)),
    "enabled": Name(BOOL, "it is read", _tag("enabled", True)),
    "calculated": Name(BOOL, "it is an expression", lambda f: bool(f.tag.get("expr"))),
    "has_range": Name(BOOL, "it has a range", lambda f: f.tag.get("range") is not None),
    "retention": Name(TEXT, "class of its history", _tag("retention", "default")),
    "classification": Name(TEXT, "class of its data", lambda f: f.tag.get("classification", "") or "internal"),
    "owner": Name(TEXT, "who answers for the data", _tag("owner", "")),
    "pii": Name(BOOL, "it says something about persons", _tag("pii", False)),
    "description": Name(TEXT, "for people", _tag("description", "")),
}
_DEVICE: dict[str, Name] = {
    **_PLACE,
    "name": Name(TEXT, "third level of the path", _level(2)),
    "enabled": Name(BOOL, "it is read", _device("enabled", True)),
    "owner": Name(TEXT, "who answers for the data", _device("owner", "")),
    "description": Name(TEXT, "for people", _device("description", "")),
    "tags": Name(INTEGER, "how many", lambda f: len(f.device.get("tags", {}))),
    "writable_tags": Name(
        INTEGER, "how many", lambda f: sum(bool(one.get("writable")) for one in f.device.get("tags", {}).values())
    ),
}


def _side(side: str, key: str, default: Value) -> Callable[[Any], Value]:
    def read(fact: Any) -> Value:
        found = getattr(fact, side).get(key, default)
        return found if type(found) is type(default) else default

    return read


_CHANGE: dict[str, Name] = {
    **_MOMENT,
    "type": Name(TEXT, "'device', 'tag', 'role', 'user', 'retention' …", lambda f: f.type),
    "action": Name(INTEGER, "'create', 'update', 'move' or 'forget'", lambda f: ACTIONS.index(f.action)),
    "path": Name(TEXT, "path of a device or tag; name of anything else", lambda f: f.path),
    "area": Name(TEXT, "first level of the path", _level(0)),
    "line": Name(TEXT, "second level of the path", _level(1)),
    "writable": Name(BOOL, "of a tag, after it", _side("after", "writable", False)),
    "was_writable": Name(BOOL, "of a tag, before it", _side("before", "writable", False)),
    "poll_ms": Name(INTEGER, "of a tag, after it; 0 without one", _side("after", "poll_ms", 0)),
    "was_poll_ms": Name(INTEGER, "of a tag, before it; 0 without one", _side("before", "poll_ms", 0)),
    "unit": Name(TEXT, "of a tag, after it", _side("after", "unit", "")),
    "was_unit": Name(TEXT, "of a tag, before it", _side("before", "unit", "")),
}
_HAZARD: dict[str, Name] = {
    **_MOMENT,
    "hazard": Name(TEXT, "e.g. 'data-loss'", lambda f: f.hazard),
    "scope": Name(TEXT, "a path, or the name of a user or class", lambda f: f.scope),
    "address": Name(TEXT, "of the resource that changes", lambda f: f.address),
}


def _count(key: str) -> Callable[[Any], Value]:
    return lambda fact: fact.counts.get(key, 0)


_PLAN: dict[str, Name] = {
    **_MOMENT,
    "first": Name(BOOL, "nothing was recorded before", lambda f: f.first),
    "hazards": Name(INTEGER, "how many", lambda f: f.hazards),
    **{f"{word}d": Name(INTEGER, "resources", _count(word)) for word in ("create", "update", "move")},
    "forgotten": Name(INTEGER, "resources", _count("forget")),
    **{f"tags_{word}d": Name(INTEGER, "tags", _count(f"tags_{word}")) for word in ("create", "update", "move")},
    "tags_forgotten": Name(INTEGER, "tags", _count("tags_forget")),
}
NAMES: Mapping[str, Mapping[str, Name]] = {
    "tag": _TAG,
    "device": _DEVICE,
    "change": _CHANGE,
    "hazard": _HAZARD,
    "plan": _PLAN,
}
"""Every name by subject."""
