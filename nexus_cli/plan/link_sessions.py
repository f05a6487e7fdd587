"""Which sessions a change opens, closes and sets up again. Pure.

A gateway has one session for each link that a device in service is behind, and opens another one only when what the
session is opened with changes (`drivers.link_facts`): devices that come and go leave it alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from nexus_cli.drivers.link_facts import session_facts
from nexus_cli.drivers.registry import kinds
from nexus_cli.model.bound import Place
from nexus_cli.plan.change import Attributes, Change


class Effect(StrEnum):
    """What happens to a session."""

    OPENS = "opens"
    CLOSES = "closes"
    RESTARTS = "restarts"
    STAYS = "stays"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSessions:
    """The sessions of the links that a change touches.

    Attributes:
        effects: What happens, by gateway and link. What is not in it stays as it is.
        active: Devices in service after the change, by gateway and link.
        declared: Devices after the change, by gateway and link.
    """

    effects: Mapping[Place, Effect] = field(default_factory=dict)
    active: Mapping[Place, int] = field(default_factory=dict)
    declared: Mapping[Place, int] = field(default_factory=dict)

    def effect(self, device: Attributes) -> Effect:
        """On the session that a device uses."""
        return self.effects.get(place_of(device), Effect.NONE)


def place_of(device: Attributes) -> Place:
    """Gateway and link of a device; "" for none."""
    return str(device.get("gateway") or ""), str(device.get("link") or "")


def in_service(device: Attributes) -> bool:
    """Whether a session is opened for it."""
    return bool(device.get("link")) and bool(device.get("enabled", True))


def sessions_of(changes: Sequence[Change], devices: Mapping[str, Attributes]) -> LinkSessions:
    """What becomes of each session that the changes touch.

    Args:
        changes: The plan's.
        devices: Every declared device by address, after the change.
    """
    changed = [change for change in changes if change.type == "device"]
    touched = {place_of(side) for change in changed for side in (change.before, change.after) if side is not None}
    touched = {place for place in touched if place[1]}
    addresses = {change.address for change in changed}
    before: dict[Place, list[Attributes]] = {place: [] for place in touched}
    after: dict[Place, list[Attributes]] = {place: [] for place in touched}
    for place, device in _placed(device for address, device in devices.items() if address not in addresses):
        if place in touched:
            before[place].append(device)
            after[place].append(device)
    for place, device in _placed(change.before for change in changed):
        before[place].append(device)
    for place, device in _placed(change.after for change in changed):
        after[place].append(device)
    return LinkSessions(
        effects={place: _effect(before[place], after[place]) for place in touched},
        active={place: sum(map(in_service, after[place])) for place in touched},
        declared={place: len(after[place]) for place in touched},
    )


def _placed(devices: Iterable[Attributes | None]) -> Iterator[tuple[Place, Attributes]]:
    for device in devices:
        if device is not None and (place := place_of(device))[1]:
            yield place, device


def _effect(before: Sequence[Attributes], after: Sequence[Attributes]) -> Effect:
    was, will = any(map(in_service, before)), any(map(in_service, after))
    if not was or not will:
        return Effect.OPENS if will else Effect.CLOSES if was else Effect.NONE
    return Effect.STAYS if _facts(before) == _facts(after) else Effect.RESTARTS


def _facts(devices: Sequence[Attributes]) -> object:
    kind = kinds().get(str(devices[0].get("protocol")))
    keys = kind.link_keys if kind is not None else frozenset()
    return session_facts((device.get("connection") or {} for device in devices), keys)
