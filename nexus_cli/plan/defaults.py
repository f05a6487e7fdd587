"""The blast radius of `defaults`: every device whose inherited values change, by who hands them down. Pure.

A value is inherited from the site, an area or a line, or it is built in where no text gives it any more. What only the
device, its template or the tag itself says is no part of this. See docs/decisions/0112.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from nexus_cli.plan.change import Action, Change, altered_keys
from nexus_cli.plan.link_sessions import LinkSessions
from nexus_cli.plan.reach import Reached, reached
from nexus_cli.source.inheritance import AREA, BUILT_IN, LEVELS, LINE, OWN, SITE, Giver

GiverOf = Callable[[str, str, str, str], Giver]
"""Who gives a value, by device path, tag ("" the device itself), written key and the key inside of it."""
OF_TAGS: Mapping[str, str] = {
    "poll_ms": "poll",
    "mode": "mode",
    "retention": "retention",
    "keep_always": "keep",
    "deadband": "deadband",
    "heartbeat_ms": "heartbeat",
    "enabled": "enabled",
    "live_publish": "live",
    "live_qos": "live",
    "live_retain": "live",
    "live_every_ms": "live",
    "classification": "classification",
    "owner": "owner",
    "pii": "pii",
}
"""Inherited keys as they are written, by their name in the normal form. `quality` has rules of its own below it."""
OF_DEVICES = frozenset({"enabled", "owner", "pii", "classification", "on_change"})
SEVERAL = 2
"""A built-in value is worth a line when it reaches so many devices: one device alone lost a line of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultsReach:
    """What a plan does to the devices that inherit from one place.

    Attributes:
        level: `site`, `area`, `line`, or `built-in`.
        path: `area` or `area/line`; "" for the others.
        keys: Inherited keys whose value changes, as they are written, sorted: `poll`, `connection.timeout`.
        reached: What happens; those that do not change are the other devices of the place.
    """

    level: str
    path: str
    keys: tuple[str, ...]
    reached: Reached


@dataclass(slots=True)
class _Found:
    keys: set[str] = field(default_factory=set)
    changes: dict[str, Change] = field(default_factory=dict)
    tags: set[str] = field(default_factory=set)
    connected: set[str] = field(default_factory=set)


def defaults_reach(
    changes: Sequence[Change], giver_of: GiverOf, *, devices: Sequence[str], sessions: LinkSessions
) -> tuple[DefaultsReach, ...]:
    """The places whose inherited values change: the site, then areas and lines by path, then what is built in.

    Args:
        changes: Of a plan. What is new inherits too, but nothing of it changes.
        giver_of: Who gives a value after the change.
        devices: Paths of every declared device.
        sessions: What becomes of the sessions.
    """
    found: dict[Giver, _Found] = {}
    for change in changes:
        if change.type != "device" or change.before is None or change.after is None:
            continue
        for tag, key, inner in _keys(change):
            giver = giver_of(change.name, tag, key, inner)
            if giver.level == OWN:
                continue
            one = found.setdefault(giver, _Found())
            one.keys.add(f"{key}.{inner}" if inner else key)
            one.changes[change.address] = change
            if tag:
                one.tags.add(f"{change.name}/{tag}")
            if key == "connection":
                one.connected.add(change.address)
    inside = _inside(devices) if found else {}
    return tuple(
        DefaultsReach(
            level=giver.level,
            path=giver.path,
            keys=tuple(sorted(one.keys)),
            reached=reached(
                one.changes.values(),
                sessions,
                whole=inside[giver.path],
                tags=len(one.tags),
                restarting=one.connected,
            ),
        )
        for giver, one in sorted(found.items(), key=lambda each: _order(each[0]))
        if giver.level != BUILT_IN or len(one.changes) >= SEVERAL
    )


def _keys(change: Change) -> Iterator[tuple[str, str, str]]:
    """Tag, written key and the key inside of it for each value that differs and can be inherited."""
    before, after = change.before or {}, change.after or {}
    for key in change.keys:
        if key == "connection":
            yield from (("", key, inner) for inner in altered_keys(before.get(key), after.get(key)))
        elif key in OF_DEVICES:
            yield "", key, ""
    for tag in change.tags:
        if tag.action not in (Action.UPDATE, Action.MOVE) or tag.before is None or tag.after is None:
            continue
        name = tag.path.rpartition("/")[2]
        for key in dict.fromkeys(OF_TAGS[key] for key in tag.keys if key in OF_TAGS):
            yield name, key, ""
        if "quality" in tag.keys:
            rules = {
                each.partition("_")[0] for each in altered_keys(tag.before.get("quality"), tag.after.get("quality"))
            }
            yield from ((name, "quality", rule) for rule in sorted(rules))


def _inside(devices: Sequence[str]) -> Counter[str]:
    """How many devices each place has; "" is the site."""
    count: Counter[str] = Counter()
    for path in devices:
        area, line, _ = path.split("/")
        count.update(("", area, f"{area}/{line}"))
    return count


def _order(giver: Giver) -> tuple[int, str]:
    """From the widest to the nearest, with what is built in at the end."""
    return {SITE: 0, AREA: 1, LINE: 2, BUILT_IN: 3}[giver.level], giver.path


__all__ = ["LEVELS", "DefaultsReach", "GiverOf", "defaults_reach"]
