"""What a change does to the plant, plane by plane: sessions, topics, rights, series, load. Estimates are said as such."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from nexus_cli.plan.change import Action, Attributes, Change, TagChange, series_type, series_unit
from nexus_cli.plan.hazards import days, gains

Cost = Callable[[Attributes], int | None]
"""Read requests of one cycle over all of a device's tags, from the driver's pure grouping; None when not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """One consequence.

    Attributes:
        address: The resource whose change brings it.
        plane: `devices`, `topics`, `rights`, `series`, `load` or `database`.
        text: What happens, one line.
    """

    address: str
    plane: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What stands around a change.

    Attributes:
        links: Declared devices by link, after the change.
        cost: Requests of a device, where a driver can tell.
    """

    links: Mapping[str, int] = field(default_factory=dict)
    cost: Cost = lambda _: None


def links_of(devices: Mapping[str, Attributes]) -> Counter[str]:
    """How many devices share each link."""
    return Counter(str(device["link"]) for device in devices.values() if device.get("link"))


def impacts_of(changes: Sequence[Change], *, around: Surroundings) -> tuple[Impact, ...]:
    """Impacts of every change, in the order of the changes."""
    found: list[Impact] = []
    for change in changes:
        source = _READERS.get(change.type)
        if source is not None:
            found += [Impact(address=change.address, plane=plane, text=text) for plane, text in source(change, around)]
    return tuple(found)


Lines = Iterator[tuple[str, str]]


def _device(change: Change, around: Surroundings) -> Lines:
    yield from _session(change, around)
    yield from _topics(change)
    yield from _series(change)
    yield from _load(change, around)


def _session(change: Change, around: Surroundings) -> Lines:
    before, after = change.before or {}, change.after or {}
    old, new = str(before.get("link", "")), str(after.get("link", ""))
    if change.action is Action.CREATE:
        if new:
            others = around.links.get(new, 1) - 1
            shared = f", shared with {_count(others, 'device')}" if others > 0 else ""
            yield "devices", f"gateway {after.get('gateway')} reads it over {new}{shared}"
    elif change.action is Action.FORGET:
        if old:
            left = around.links.get(old, 0)
            yield "devices", f"{old} is closed" if not left else f"{old} stays open for {_count(left, 'device')}"
    elif old != new:
        yield "devices", f"session restarts: {old or 'none'} closes, {new or 'none'} opens; gap of about one connect"
    elif before.get("gateway") != after.get("gateway"):
        yield (
            "devices",
            f"moves from gateway {before.get('gateway')} to {after.get('gateway')}; gap of about one connect",
        )
    elif before.get("connection") != after.get("connection"):
        yield "devices", f"session on {new or 'its link'} is set up again with the new connection"
    elif change.tags:
        yield "devices", "its session stays; only the tags below start anew"
    if change.before is not None and change.after is not None:
        enabled = after.get("enabled", True)
        if before.get("enabled", True) != enabled:
            yield "devices", "comes into service" if enabled else "goes out of service: BAD out_of_service"


def _topics(change: Change) -> Lines:
    counts = Counter(tag.action for tag in change.tags)
    cleared = counts[Action.FORGET] + counts[Action.MOVE]
    if counts[Action.CREATE] + counts[Action.MOVE]:
        yield "topics", f"{_count(counts[Action.CREATE] + counts[Action.MOVE], 'new topic')}"
    if cleared:
        yield "topics", f"{_count(cleared, 'retained message')} cleared"


def _series(change: Change) -> Lines:
    counts = Counter(tag.action for tag in change.tags)
    if counts[Action.CREATE]:
        yield "series", f"{counts[Action.CREATE]} begin, or are resumed where the path was known before"
    if counts[Action.MOVE]:
        yield "series", f"{counts[Action.MOVE]} keep their history under a new name"
    if counts[Action.FORGET]:
        yield "series", f"{counts[Action.FORGET]} forgotten; their samples are kept"
    for tag in change.tags:
        yield from _segment(tag)


def _segment(tag: TagChange) -> Lines:
    if tag.before is None or tag.after is None:
        return
    name = tag.path.rpartition("/")[2]
    was, now = _kind(tag.before), _kind(tag.after)
    if was != now:
        yield "series", f"{name} starts a new segment: {was} -> {now}; samples stored so far stay as they are"
    if tag.before.get("retention", "default") != tag.after.get("retention", "default"):
        yield "series", f"{name} is kept in class {tag.after.get('retention', 'default')} from now on"


def _kind(tag: Attributes) -> str:
    return f"{series_type(tag)} {series_unit(tag)}".rstrip()


def _load(change: Change, around: Surroundings) -> Lines:
    before = around.cost(change.before) if change.before else 0
    after = around.cost(change.after) if change.after else 0
    if before is None or after is None or before == after:
        return
    link = (change.after or change.before or {}).get("link", "")
    yield "load", f"{before} -> {_count(after, 'request')} for a full read on {link}"


def _retention(change: Change, _: Surroundings) -> Lines:
    before, after = change.before or {}, change.after or {}
    if change.action is Action.CREATE:
        yield "database", f"table for class {change.name}, samples kept {days(int(after.get('keep_ms', 0)))}"
    elif change.action is Action.FORGET:
        yield "database", "the table and its samples stay until they are purged"
    elif before.get("keep_ms") != after.get("keep_ms"):
        yield (
            "database",
            f"samples kept {days(int(before.get('keep_ms', 0)))} -> {days(int(after.get('keep_ms', 0)))}",
        )


def _rights(change: Change, _: Surroundings) -> Lines:
    before, after = change.before or {}, change.after or {}
    for verb, found in (("gains", gains(before, after)), ("loses", gains(after, before))):
        for what, which in found.items():
            yield "rights", f"{change.type} {change.name} {verb} {what} {', '.join(which)}"


_READERS: dict[str, Callable[[Change, Surroundings], Lines]] = {
    "device": _device,
    "retention": _retention,
    "role": _rights,
    "user": _rights,
}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
