"""The impact of a change on the plant, by plane: sessions, topics, rights, series, load. Estimates are marked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from nexus_cli.diagnostics.wording import counted
from nexus_cli.model.bound import Place
from nexus_cli.plan.change import Action, Attributes, Change, TagChange, retained_before, series_type, series_unit
from nexus_cli.plan.impact_database import archive_lines, retention_lines
from nexus_cli.plan.impact_notices import channel_lines, digest_lines, route_lines
from nexus_cli.plan.impact_sessions import session_lines
from nexus_cli.plan.impact_topics import alias_lines, gateway_lines
from nexus_cli.plan.link_sessions import LinkSessions
from nexus_cli.plan.load import weighs
from nexus_cli.plan.load_facts import LinkFacts
from nexus_cli.plan.stages import cleared_paths

RIGHTS = ("read", "write", "publish", "subscribe", "run", "acknowledge", "alerts", "apply", "admin")
SHOWN = 6
"""Names in one line; more are counted."""
Cost = Callable[[Attributes], int | None]
"""Read requests of one cycle over all of a device's tags, from the driver's pure grouping; None when not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """One consequence.

    Attributes:
        address: The resource whose change brings it.
        plane: `devices`, `topics`, `rights`, `series`, `load` or `database`.
        text: What happens, one line.
        names: Every tag that it counts, where each one counts.
    """

    address: str
    plane: str
    text: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a change's impact depends on.

    Attributes:
        sessions: What becomes of the sessions of the links that are touched.
        cost: Requests of a device, where a driver can compute them.
        roles: Declared roles by name, after the change, that no user has.
        listed: Addresses of roles, users and groups whose rights the plan lists by principal.
        written: Tags that sequences write which this change leaves alone, and that those it touches wrote before.
        cleared: Tags whose retained message apply clears.
        facts: What a runtime measured, by gateway and link.
    """

    sessions: LinkSessions = field(default_factory=LinkSessions)
    cost: Cost = lambda _: None
    roles: Mapping[str, Attributes] = field(default_factory=dict)
    listed: frozenset[str] = frozenset()
    written: frozenset[str] = frozenset()
    cleared: frozenset[str] = frozenset()
    facts: Mapping[Place, LinkFacts] = field(default_factory=dict)


def written_before(changes: Sequence[Change], desired: Mapping[str, Attributes]) -> frozenset[str]:
    """Tags that some sequence wrote before the change."""
    touched = {change.address for change in changes}
    sequences: list[Attributes | None] = [change.before for change in changes if change.type == "sequence"]
    sequences += [
        value for address, value in desired.items() if address.startswith("sequence.") and address not in touched
    ]
    return frozenset(path for sequence in sequences for path in _subjects(sequence, "write"))


def impacts_of(changes: Sequence[Change], *, around: Surroundings) -> tuple[Impact, ...]:
    """Impacts of every change, in the order of the changes."""
    found: list[Impact] = []
    for change in changes:
        source = _READERS.get(change.type)
        if source is not None:
            found += [
                Impact(address=change.address, plane=plane, text=text, names=names[0] if names else ())
                for plane, text, *names in source(change, around)
            ]
    return tuple(found)


Lines = Iterator[tuple[str, str] | tuple[str, str, tuple[str, ...]]]
"""Plane, text, and the names of what it counts."""


def _device(change: Change, around: Surroundings) -> Lines:
    yield from session_lines(change, around.sessions, around.facts)
    yield from _topics(change, around)
    yield from _series(change)
    yield from _load(change, around)


def _topics(change: Change, around: Surroundings) -> Lines:
    counts = Counter(tag.action for tag in change.tags)
    kept = retained_before(change)
    cleared = tuple(path for path in cleared_paths((change,)) if path in around.cleared and path in kept)
    updated = [tag for tag in change.tags if tag.action is Action.UPDATE]
    if counts[Action.CREATE] + counts[Action.MOVE]:
        yield "topics", f"{counted(counts[Action.CREATE] + counts[Action.MOVE], 'new topic')}"
    if cleared:
        yield "topics", f"{counted(len(cleared), 'retained message')} cleared", cleared
    silenced = Counter(_live(tag.after) for tag in updated if _live(tag.before) != _live(tag.after))
    if silenced[False]:
        yield "topics", f"{counted(silenced[False], 'tag')} no longer published in the live view"
    if silenced[True]:
        yield "topics", f"{counted(silenced[True], 'tag')} published in the live view from now on"


def _live(tag: Attributes | None) -> bool:
    return bool((tag or {}).get("live_publish", True))


def _series(change: Change) -> Lines:
    counts = Counter(tag.action for tag in change.tags)
    if counts[Action.CREATE]:
        begin = "1 begins, or is" if counts[Action.CREATE] == 1 else f"{counts[Action.CREATE]:,} begin, or are"
        yield "series", f"{begin} resumed where the path was known before"
    if counts[Action.MOVE]:
        keep = "1 keeps its" if counts[Action.MOVE] == 1 else f"{counts[Action.MOVE]:,} keep their"
        yield "series", f"{keep} history under a new name"
    if counts[Action.FORGET]:
        whose = "its" if counts[Action.FORGET] == 1 else "their"
        yield "series", f"{counts[Action.FORGET]:,} forgotten; {whose} samples are kept"
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
    if tag.after.get("keep_always") and not tag.before.get("keep_always"):
        yield "series", f"{name} is never dropped from now on"
    elif tag.before.get("keep_always") and not tag.after.get("keep_always"):
        yield "series", f"{name} stays protected: only `nexus keep end {tag.path}` ends that"


def _kind(tag: Attributes) -> str:
    return f"{series_type(tag)} {series_unit(tag)}".rstrip()


def _load(change: Change, around: Surroundings) -> Lines:
    if not weighs(change):
        return
    before = around.cost(change.before) if change.before else 0
    after = around.cost(change.after) if change.after else 0
    if before is None or after is None or before == after:
        return
    link = (change.after or change.before or {}).get("link", "")
    yield "load", f"{before} -> {counted(after, 'request')} for a full read on {link}"


def _rights(change: Change, around: Surroundings) -> Lines:
    if change.address in around.listed:
        return
    before, after = change.before or {}, change.after or {}
    for verb, found in (("gains", _gained(before, after)), ("loses", _gained(after, before))):
        for what, which in found.items():
            yield "rights", f"{change.type} {change.name} {verb} {what} {', '.join(which)}"


def _gained(before: Attributes, after: Attributes) -> Mapping[str, list[str]]:
    """Entries of a role, user or group that are new: by `read`, `write` and the other rights, `roles`, `groups`."""
    found = {}
    for what in (*RIGHTS, "roles", "groups"):
        had = [_entry(each) for each in _entries(before, what)]
        fresh = [entry for each in _entries(after, what) if (entry := _entry(each)) not in had]
        if fresh:
            found[what] = fresh
    return found


def _entries(attributes: Attributes, what: str) -> Sequence[object]:
    value = attributes.get(what) or ()
    return ("the site",) if value is True else list(value)


def _entry(entry: object) -> str:
    """A path glob, or a scope as its path and what else it asks."""
    if not isinstance(entry, Mapping):
        return str(entry)
    asked = ", ".join(f"{key} {_condition(value)}" for key, value in entry.items() if key != "path")
    return f"{entry.get('path', '**')} ({asked})"


def _condition(value: object) -> str:
    """`team=north` for labels, else the value; as `nexus access` writes it."""
    if not isinstance(value, Mapping):
        return str(value)
    return ", ".join(f"{name}={each}" for name, each in sorted(value.items()))


def _sequence(change: Change, around: Surroundings) -> Lines:
    """Writing is no new right: who may run sequences may write every writable tag. That a program does it is new."""
    before, after = _subjects(change.before, "write"), _subjects(change.after, "write")
    gained, lost = sorted(after - before), sorted(before - after)
    if gained:
        yield "rights", f"sequence {change.name} writes {_some(gained)}"
    if fresh := [path for path in gained if path not in around.written]:
        yield "rights", f"written by no sequence before: {_some(fresh)}"
    if lost:
        yield "rights", f"sequence {change.name} no longer writes {_some(lost)}"
    said, silent = _subjects(change.before, "publish"), _subjects(change.after, "publish")
    if new := sorted(silent - said):
        yield "topics", f"sequence {change.name} publishes {_some(new)}"
    if change.action is Action.FORGET:
        yield "devices", "a run in progress continues to its end; no new one starts"
    elif change.before is not None:
        yield "devices", "a run on its way ends as it began; the next one takes the new steps"


def _subjects(sequence: Attributes | None, do: str) -> set[str]:
    steps = [*(sequence or {}).get("steps", ()), *(sequence or {}).get("on_abort", ())]
    return {str(step.get("subject", "")) for step in steps if step.get("do") == do}


def _message(change: Change, around: Surroundings) -> Lines:
    before, after = change.before or {}, change.after or {}
    old, new = str(before.get("topic", "")), str(after.get("topic", ""))
    kept = ", retained" if after.get("retain") else ""
    if change.action is Action.CREATE:
        yield "topics", f"publishes on {new}{kept}"
    elif change.action is Action.FORGET:
        yield "topics", f"nothing is published on {old} any more" + _still_kept(before)
    elif old != new:
        yield "topics", f"publishes on {new}{kept} instead of {old}" + _still_kept(before)
    elif before.get("retain") != after.get("retain"):
        yield "topics", f"{new} is {'' if after.get('retain') else 'not '}retained from now on" + _still_kept(before)
    if old != new:
        roles = [
            name for name, role in around.roles.items() if any(fnmatchcase(change.name, glob) for glob in _globs(role))
        ]
        who = ["nexus.cli", "sequences", *(f"role {name}" for name in sorted(roles))]
        verb = "may publish on" if new else "may no longer publish on"
        yield "rights", f"{', '.join(who)} {verb} {new or old}"


def _still_kept(before: Attributes) -> str:
    return "; what the broker has retained there stays" if before.get("retain") else ""


def _globs(role: Attributes) -> list[str]:
    return [str(glob) for glob in role.get("publish") or ()]


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:SHOWN])
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown


def _view(change: Change, _: Surroundings) -> Lines:
    """What is watched first is for people alone: nothing of the plant changes."""
    before, after = change.before or {}, change.after or {}
    new = [each for each in after.get("filters", ()) if each not in before.get("filters", ())]
    gone = [each for each in before.get("filters", ()) if each not in after.get("filters", ())]
    if new:
        yield "people", f"view {change.name} shows {_some(new)}"
    if gone:
        yield "people", f"view {change.name} no longer shows {_some(gone)}"
    if before and after and before.get("priority") != after.get("priority"):
        yield "people", f"watched with priority {after.get('priority')} instead of {before.get('priority')}"


_READERS: dict[str, Callable[[Change, Surroundings], Lines]] = {
    "alias": lambda change, _: alias_lines(change),
    "archive": lambda change, _: archive_lines(change),
    "channel": lambda change, _: channel_lines(change),
    "device": _device,
    "digest": lambda change, _: digest_lines(change),
    "gateway": lambda change, _: gateway_lines(change),
    "group": _rights,
    "message": _message,
    "retention": lambda change, _: retention_lines(change),
    "role": _rights,
    "route": lambda change, _: route_lines(change),
    "sequence": _sequence,
    "user": _rights,
    "view": _view,
}
