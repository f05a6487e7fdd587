"""What a change needs: other changes of the same plan that have to be done with it, or before it. Pure.

Two readers: a plan of a part (`targets.py`) takes along what its part needs; the waves of a rollout (`waves.py`) put
nothing before what it needs. Templates are no resources: what they say is in the devices.

See docs/decisions/0104.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from nexus_cli.model.access_config import UserConfig
from nexus_cli.model.procedure_config import SequenceConfig
from nexus_cli.model.resources import RouteConfig, decode, paths_of
from nexus_cli.plan.change import Action, Attributes, Change

Config = TypeVar("Config", bound=msgspec.Struct)
GONE = (Action.FORGET, Action.MOVE)


@dataclass(frozen=True, slots=True, order=True)
class Need:
    """One change needs another one.

    Attributes:
        address: Of the change that needs it.
        needs: Address of the one that is needed.
        because: Why, for people: what the other one is to it.
        firm: True when one without the other makes a state that can't be right; False when it would only be less than meant.
        tag: Path of the tag that has the need, new or old; "" is the whole resource.
        source: Path of the tag that is needed; "" is the whole resource.
    """

    address: str
    needs: str
    because: str
    firm: bool = True
    tag: str = ""
    source: str = ""


def needs_of(changes: Sequence[Change]) -> tuple[Need, ...]:
    """Every need among these changes, sorted; a change that needs nothing of the plan is in none."""
    index = _Index(changes)
    found: set[Need] = set()
    for change in changes:
        if change.type == "device":
            found.update(_of_device(change, index))
        elif change.type in ("user", "group"):
            found.update(_of_person(change, index))
        elif change.type == "alert":
            found.update(_of_alert(change, index))
        elif change.type == "sequence":
            found.update(_of_sequence(change, index))
        elif change.type == "route":
            found.update(_of_route(change, index))
        if change.action is Action.FORGET:
            found.update(_of_forgotten(change, index))
    return tuple(sorted(need for need in found if need.address != need.needs))


class _Index:
    """The changes by what others name them by."""

    def __init__(self, changes: Sequence[Change]) -> None:
        self.by_address = {change.address: change for change in changes}
        self.changes = changes
        self.home_of_new: dict[str, str] = {}
        """Address of the device change that brings a tag, by the tag's path."""
        self.home_of_gone: dict[str, str] = {}
        """The same of tags that go, or move away."""
        self.watchers: dict[str, list[str]] = defaultdict(list)
        """Addresses of changed alerts by the path of a tag that they watch, before or after."""
        self.users: dict[str, list[str]] = defaultdict(list)
        """Addresses of changes whose old side uses a resource, by its address."""
        for change in changes:
            for tag in change.tags:
                if tag.action in (Action.CREATE, Action.MOVE):
                    self.home_of_new[tag.path] = change.address
                if tag.action in GONE:
                    self.home_of_gone[tag.previous_path or tag.path] = change.address
            if change.type == "alert":
                for path in {*paths_of(dict(change.before or {})), *paths_of(dict(change.after or {}))}:
                    self.watchers[path].append(change.address)
            for address in _uses(change, change.before):
                self.users[address].append(change.address)

    def changed(self, address: str) -> bool:
        """Whether the plan brings or alters a resource."""
        found = self.by_address.get(address)
        return found is not None and found.action is not Action.FORGET


def _uses(change: Change, attributes: Attributes | None) -> Iterator[str]:
    """Addresses of gateways, classes, sequences, roles, groups and channels that one side of a change names."""
    if attributes is None:
        return
    if change.type == "device":
        if gateway := attributes.get("gateway"):
            yield f"gateway.{gateway}"
        for tag in (attributes.get("tags") or {}).values():
            yield f"retention.{tag.get('retention') or 'default'}"
        yield from (f"sequence.{name}" for name in (attributes.get("on_change") or {}).values() if name)
    elif change.type in ("user", "group"):
        person = _decoded(attributes, UserConfig)
        yield from (f"role.{name}" for name in person.every_role())
        yield from (f"group.{name}" for name in person.groups)
    elif change.type == "route":
        yield from (f"channel.{name}" for name in _channels(attributes))


_USED_BY_DEVICE = {
    "gateway": "gateway {name} reads it",
    "retention": "retention class {name} keeps its samples",
    "sequence": "sequence {name} runs when it changes",
}
"""Why a device needs what it names, by the kind of that."""


def _of_device(change: Change, index: _Index) -> Iterator[Need]:
    here = change.address
    for address in _uses(change, change.after):
        if index.changed(address):
            kind, _, name = address.partition(".")
            yield Need(here, address, _USED_BY_DEVICE[kind].format(name=name))
    for tag in change.tags:
        if tag.previous_path is not None:
            yield from _counterpart(change, tag.path, tag.previous_path, index)
        for source in _inputs(tag.after):
            home = index.home_of_new.get(source)
            if home is not None:
                yield Need(here, home, f"{tag.path} is computed from {source}", tag=tag.path, source=source)
        for path in {tag.path, tag.previous_path or tag.path}:
            for alert in index.watchers.get(path, ()):
                yield Need(here, alert, f"it watches {path}", firm=False, tag=tag.path)
        gone = tag.previous_path or tag.path
        for reader in _readers_of_gone(gone, index) if tag.action in GONE else ():
            yield Need(here, reader, f"it is computed from {gone} as recorded", tag=tag.path)


def _counterpart(change: Change, new: str, old: str, index: _Index) -> Iterator[Need]:
    """A tag that moves between two devices takes both along."""
    other = f"device.{old.rpartition('/')[0]}"
    if other in index.by_address and other != change.address:
        yield Need(change.address, other, f"{new} comes from there", tag=new, source=old)
        yield Need(other, change.address, f"{old} goes there", tag=old, source=new)


def _readers_of_gone(path: str, index: _Index) -> Iterator[str]:
    """Changed devices whose recorded side computes a tag from one that goes."""
    for change in index.changes:
        if change.type == "device" and any(path in _inputs(tag.before) for tag in change.tags):
            yield change.address


def _of_person(change: Change, index: _Index) -> Iterator[Need]:
    for address in _uses(change, change.after):
        if index.changed(address):
            kind, _, name = address.partition(".")
            yield Need(change.address, address, f"it has the {kind} {name}")


def _of_alert(change: Change, index: _Index) -> Iterator[Need]:
    for path in paths_of(dict(change.after or {})):
        if path in index.home_of_new:
            yield Need(change.address, index.home_of_new[path], f"the alert watches {path}", source=path)


def _of_sequence(change: Change, index: _Index) -> Iterator[Need]:
    config = _decoded(change.after or {}, SequenceConfig)
    for path in sorted(config.written()):
        if path in index.home_of_new:
            yield Need(change.address, index.home_of_new[path], f"the sequence writes {path}", source=path)
    for name in sorted(config.published()):
        if index.changed(f"message.{name}"):
            yield Need(change.address, f"message.{name}", f"the sequence publishes {name}")


def _of_route(change: Change, index: _Index) -> Iterator[Need]:
    for name in _channels(change.after or {}):
        if index.changed(f"channel.{name}"):
            yield Need(change.address, f"channel.{name}", f"the route leads to channel {name}")


def _of_forgotten(change: Change, index: _Index) -> Iterator[Need]:
    """What is forgotten must not be used any more by what is recorded."""
    for user in index.users.get(change.address, ()):
        yield Need(change.address, user, f"it uses {change.address} as recorded")


def _channels(attributes: Attributes) -> list[str]:
    try:
        route = decode(attributes, RouteConfig)
    except msgspec.ValidationError:
        return []
    return list(dict.fromkeys([*route.to, *(name for step in route.escalate for name in step.to)]))


def _inputs(tag: Attributes | None) -> Mapping[str, str]:
    """Paths of what a calculated tag is computed from, as keys."""
    found = (tag or {}).get("inputs") or {}
    return {path: name for name, path in found.items()}


def _decoded(attributes: Attributes, config: type[Config]) -> Config:
    """A side of a change as its Struct; of one that can't be read an empty one: it names nothing."""
    try:
        return decode(attributes, config)
    except msgspec.ValidationError:
        return config()
