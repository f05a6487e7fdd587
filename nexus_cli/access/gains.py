"""What a change of rights means: who may do what that they could not before, and the reverse, in tags and names.

Both states are asked about the tags of either, so that a new tag below an old right is no gain, and a right in other
words is no change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from nexus_cli.access.evaluate import covers
from nexus_cli.access.grants import RESERVED, Action, Grant
from nexus_cli.access.lines import NAME_RIGHTS, Line, Right, means
from nexus_cli.access.people import ANY_TIME, Moment
from nexus_cli.access.questions import Book, ask
from nexus_cli.access.subjects import KIND_OF, Subject
from nexus_cli.model.config import DeviceOutline
from nexus_cli.model.procedure_config import MessageConfig, filter_of
from nexus_cli.model.resources import every
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.wire.topic import Topics

ORDER: tuple[str, ...] = ("write", "apply", "admin", "run", "acknowledge", "publish", "read", "subscribe", "alerts")
"""The rights that change a plant first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """What one principal gains and loses of one right.

    Attributes:
        principal: Who.
        action: A right (`read`, `write`, `run`, …); of NEXUS's own, and of topics that are no tags, `publish` or
            `subscribe`.
        kind: What is listed: `tag` (by path), `topic`, `message`, `sequence`, `alert`, or `site` (of `admin`).
        gained, lost: Sorted.
    """

    principal: str
    action: str
    kind: str
    gained: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()

    @property
    def widens(self) -> bool:
        """True when the principal may do more than before."""
        return bool(self.gained)


def gains(before: Snapshot, after: Snapshot, when: Moment = ANY_TIME) -> tuple[Gain, ...]:
    """Every difference of rights, by principal; for one principal the rights that change a plant first.

    Args:
        before: What is recorded.
        after: What is wanted.
        when: As for `compile_grants`.
    """
    if before.digests and before.digest == after.digest:
        return ()
    sides = _Side(before, when), _Side(after, when)
    devices = _devices(*sides)
    found: list[Gain] = []
    for principal in sorted({*sides[0].principals, *sides[1].principals}):
        if principal.startswith(RESERVED):
            found += _topics(principal, *sides)
            continue
        found += _tags(principal, *sides, devices)
        found += _names(principal, *sides)
        found += _topics(principal, *sides, told=_Told(sides))
    return tuple(sorted(found, key=lambda gain: (gain.principal, ORDER.index(gain.action), gain.kind)))


@dataclass(slots=True)
class _Node:
    """One level of a tree of filters."""

    below: dict[str, _Node] = field(default_factory=dict)
    rest: bool = False
    """A filter ends below with `#`, which means this level, too (MQTT 3.1.1 §4.7.1.2)."""
    ends: bool = False
    """A filter ends here."""


class _Side:
    """The rights of one snapshot."""

    def __init__(self, snapshot: Snapshot, when: Moment) -> None:
        self.snapshot = snapshot
        self.topics = Topics(snapshot.enterprise, snapshot.site)
        self.devices = dict(every(snapshot, "device", DeviceOutline))
        self.of: dict[tuple[str, Action], list[str]] = {}
        self.book = Book(snapshot, when)
        for grant in self.book.grants:
            self.of.setdefault((grant.principal, grant.action), []).append(_text(grant))
        self.people = {holder.name: holder for holder in self.book.holders if holder.kind != "nexus"}
        self.principals = {principal for principal, _ in self.of} | set(self.people)

    def lines(self, principal: str, right: Right) -> list[Line]:
        """The lines of the roles that count."""
        holder = self.people.get(principal)
        lines = self.book.lines_on(holder, right) if holder is not None else ()
        return [line for has, line in lines if not has.not_now]

    def names(self, principal: str, right: Right, names: Iterable[str]) -> set[str]:
        """Those of the names on which a principal has a right."""
        holder = self.people.get(principal)
        if holder is None or not self.lines(principal, right):
            return set()
        about = (Subject(kind="names", text=name, names=(name,)) for name in names)
        return {one.text for one in about if ask(self.book, holder, right, one)[0].allowed}

    def tree(self, principal: str, action: Action, prefix: str, suffix: str = "") -> _Node:
        """The filters below a prefix, without it, as a tree of at most four levels; `suffix` is the level behind."""
        root = _Node()
        for text in self.of.get((principal, action), ()):
            filter_ = text.partition(" ")[0]
            if filter_.startswith(f"{prefix}/") and filter_.endswith(suffix):
                _add(root, filter_[len(prefix) + 1 : len(filter_) - len(suffix)].split("/"))
        return root


def _text(grant: Grant) -> str:
    """The filter, and in words what binds a message."""
    bound = [f"QoS {', '.join(map(str, grant.qos))}"] if grant.qos is not None else []
    bound += [] if grant.retain is None else ["retained" if grant.retain else "not retained"]
    return f"{grant.filter} ({'; '.join(bound)})" if bound else grant.filter


def _add(node: _Node, levels: list[str]) -> None:
    for level in levels:
        if level == "#":
            node.rest = True
            return
        node = node.below.setdefault(level, _Node())
    node.ends = True


def _devices(before: _Side, after: _Side) -> dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Path of every device of either side → its tags of both."""
    nothing: Mapping[str, Any] = {}
    return {
        path: tuple(side.devices[path].tags if path in side.devices else nothing for side in (before, after))  # type: ignore[misc]
        for path in sorted({*before.devices, *after.devices})
    }


def _tags(
    principal: str, before: _Side, after: _Side, devices: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]]
) -> list[Gain]:
    read = [side.tree(principal, "subscribe", side.topics.live) for side in (before, after)]
    command = [
        side.tree(principal, "publish", f"{side.topics.platform}/cmd", f"/{principal}") for side in (before, after)
    ]
    direct = [side.tree(principal, "publish", side.topics.live) for side in (before, after)]
    changes: dict[str, tuple[list[str], list[str]]] = {"read": ([], []), "write": ([], [])}
    for path, tags in devices.items():
        levels = path.split("/")
        reads, writes, sends = ([_names_at(tree, levels) for tree in trees] for trees in (read, command, direct))
        same = tags[0] == tags[1]
        if reads[0] != reads[1]:
            _compare(changes["read"], path, tags, partial(_reads, reads))
        if writes[0] == writes[1] and sends[0] == sends[1] and (same or not writes[0]):
            continue

        def may_write(side: int, tag: str, at: Any = writes, to: Any = sends, of: Any = tags) -> bool:
            if _has(to[side], tag):
                return True
            # A tag that a side does not have is asked about as the other one declares it.
            known = of[side].get(tag) or of[1 - side].get(tag) or {}
            return bool(known.get("writable")) and _has(at[side], tag)

        _compare(changes["write"], path, tags, may_write)
    listed = [_gain(principal, action, "tag", *change) for action, change in changes.items()]
    return [gain for gain in (*listed, _applies(principal, before, after)) if gain is not None]


def _names_at(root: _Node, levels: list[str]) -> frozenset[str]:
    """What a tree has below a device: names of tags, `+` or `#` for all of them."""
    nodes = [root]
    found: set[str] = set()
    for level in levels:
        found.update("#" for node in nodes if node.rest)
        nodes = [node.below[each] for node in nodes for each in (level, "+") if each in node.below]
    for node in nodes:
        found.update(level for level, below in node.below.items() if below.ends or below.rest)
        if node.rest:
            found.add("#")
    return frozenset("#" if each in ("+", "#") else each for each in found)


def _reads(at: list[frozenset[str]], side: int, tag: str) -> bool:
    return _has(at[side], tag)


def _has(names: frozenset[str], tag: str) -> bool:
    return "#" in names or tag in names


def _compare(
    change: tuple[list[str], list[str]],
    path: str,
    tags: tuple[Mapping[str, Any], Mapping[str, Any]],
    may: Callable[[int, str], bool],
) -> None:
    for tag in sorted({*tags[0], *tags[1]}):
        had, has = may(0, tag), may(1, tag)
        if had != has:
            change[0 if has else 1].append(f"{path}/{tag}")


def _gain(principal: str, action: str, kind: str, gained: Iterable[str], lost: Iterable[str]) -> Gain | None:
    more, less = tuple(sorted(gained)), tuple(sorted(lost))
    return Gain(principal=principal, action=action, kind=kind, gained=more, lost=less) if more or less else None


def _applies(principal: str, before: _Side, after: _Side) -> Gain | None:
    lines = [side.lines(principal, "apply") for side in (before, after)]
    if [line.scope for line in lines[0]] == [line.scope for line in lines[1]]:
        return None
    facts = {**before.book.facts, **after.book.facts}
    may = [{path for path, tag in facts.items() if any(means(line, tag) for line in side)} for side in lines]
    return _gain(principal, "apply", "tag", may[1] - may[0], may[0] - may[1])


def _names(principal: str, before: _Side, after: _Side) -> list[Gain]:
    found = []
    for right in NAME_RIGHTS:
        kind = KIND_OF[right]
        names = {name for side in (before, after) for name, _ in side.snapshot.of_kind(kind)}
        may = [side.names(principal, right, names) for side in (before, after)]
        found.append(_gain(principal, right, kind, may[1] - may[0], may[0] - may[1]))
    admin = [{"the site"} if side.lines(principal, "admin") else set() for side in (before, after)]
    found.append(_gain(principal, "admin", "site", admin[1] - admin[0], admin[0] - admin[1]))
    return [gain for gain in found if gain is not None]


class _Told:
    """True for filters that the gains of tags and names say already."""

    def __init__(self, sides: tuple[_Side, _Side]) -> None:
        self._sides = sides
        topics = [_message_topics(side) for side in sides]
        moved = [name for name in topics[0].keys() & topics[1].keys() if topics[0][name] != topics[1][name]]
        # Who may publish a message may publish on its new topic from then on: its name does not say so.
        self._moved = {each[name] for each in topics for name in moved}

    def __call__(self, filter_: str) -> bool:
        if filter_ in self._moved:
            return False
        for side in self._sides:
            path = side.topics.path(filter_)
            if path is not None and any(_outside(path, device.globs) for device in side.devices.values()):
                return False
        return True  # a tag's, a command's, an answer's, an alert's or a message's


def _message_topics(side: _Side) -> dict[str, str]:
    return {name: filter_of(message.topic) for name, message in every(side.snapshot, "message", MessageConfig)}


def _outside(filter_: str, globs: Iterable[str]) -> bool:
    """True when a filter is about topics that only a glob declares."""
    plain = filter_.replace("+", "*").replace("#", "**")
    return any(covers(glob.replace("**", "#").replace("*", "+"), filter_) or plain == glob for glob in globs)


def _topics(principal: str, before: _Side, after: _Side, told: Callable[[str], bool] | None = None) -> list[Gain]:
    """Filters that the other side does not cover."""
    found = []
    actions: tuple[Action, ...] = ("publish", "subscribe")
    for action in actions:
        have = [side.of.get((principal, action), []) for side in (before, after)]
        more, less = (_uncovered(have[1], have[0]), _uncovered(have[0], have[1]))
        if told is not None:
            more, less = ([text for text in each if not told(text.partition(" ")[0])] for each in (more, less))
        found.append(_gain(principal, action, "topic", more, less))
    return [gain for gain in found if gain is not None]


def _uncovered(texts: list[str], by: list[str]) -> list[str]:
    known = set(by)
    plain = [text for text in by if " " not in text]
    left = [text for text in texts if text not in known]
    return [text for text in left if not any(covers(each, text.partition(" ")[0]) for each in plain)]
