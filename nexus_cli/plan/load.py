"""The load of links before and after a change: requests, cycle time and share of the interval. Pure.

Only links that a change touches are computed: a plan of ten changes looks at ten links, whatever the site holds.
See docs/decisions/0100.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from nexus_cli.diagnostics.wording import counted, duration
from nexus_cli.drivers.link_load import PollingLoad, polling_load, together
from nexus_cli.model.bound import Place
from nexus_cli.model.config import device_from_json
from nexus_cli.plan.change import Action, Attributes, Change
from nexus_cli.plan.link_sessions import place_of
from nexus_cli.plan.load_facts import LinkFacts

DEVICE_KEYS = frozenset({"connection", "enabled", "gateway", "link", "protocol"})
TAG_KEYS = frozenset({"address", "enabled", "mode", "options", "poll_ms", "type"})
Memory = dict[int, PollingLoad | None]
"""Load by the identity of a device's attributes, which outlive it: to group a large site's reads twice takes seconds."""
NO_FACTS: Mapping[Place, LinkFacts] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkLoad:
    """What a change does to the load of one link.

    Attributes:
        link, gateway, protocol: Which link it is, after the change where it is used then.
        devices: How many share it after the change.
        before, after: The load of all of its devices; None where it can't be known.
        grown: Paths of devices, after the change, that ask more of this link than before, sorted.
        basis: `predicted` from typical answers, `measured` from what a runtime saw, or `unknown`.
    """

    link: str
    gateway: str
    protocol: str
    devices: int
    before: PollingLoad | None
    after: PollingLoad | None
    grown: tuple[str, ...] = ()
    basis: str = "predicted"

    @property
    def over_budget(self) -> bool:
        """True when it can't keep its intervals after the change, and could before or was nearer to it."""
        return (
            self.before is not None
            and self.after is not None
            and self.after.share > 1
            and self.after.busy_ms > self.before.busy_ms
        )

    @property
    def text(self) -> str:
        """What happens, one line."""
        if self.before is None or self.after is None:
            return "load not known: not all of its devices can be read by a driver here"
        if not self.after.requests:
            reported = f"; {counted(self.after.reported, 'tag')} reported by the device" * bool(self.after.reported)
            return f"{counted(self.before.requests, 'request')} a cycle -> no polls{reported}"
        requests = f"{self.before.requests} -> {counted(self.after.requests, 'request')} a cycle"
        cycle = f"{_ms(self.before)} -> {_ms(self.after)} of {duration(self.after.interval_ms)}"
        share = f"busy {self.before.share:.0%} -> {self.after.share:.0%}"
        late = ": it can't keep its intervals" * (self.after.share > 1)
        return f"{requests}, {cycle}, {share}{late} ({self.basis})"


def link_loads(
    changes: Sequence[Change],
    unchanged: Mapping[str, Attributes],
    *,
    facts: Mapping[Place, LinkFacts] = NO_FACTS,
    memory: Memory | None = None,
) -> tuple[LinkLoad, ...]:
    """The links whose load the changes touch, in order of their ids, then of their gateways.

    Each gateway has a session of its own: `serial:/dev/ttyUSB0` of two gateways are two lines.

    Args:
        changes: Of a plan.
        unchanged: Resources that stay as they are, by address; devices on other links may be left out.
        facts: What was measured, by gateway and link.
        memory: Filled with what each device costs, for who needs it again.
    """
    memory = {} if memory is None else memory
    touched = {place for place in _places_touched(changes) if place[1]}
    if not touched:
        return ()
    changed = {change.address for change in changes} | {change.previous_address for change in changes}
    staying: dict[Place, list[Attributes]] = {}
    for address, device in unchanged.items():
        if address.startswith("device.") and address not in changed and (place := place_of(device)) in touched:
            staying.setdefault(place, []).append(device)
    sides: dict[Place, list[Change]] = {}
    for change in changes:
        if change.type == "device":
            for place in {_place(change.before), _place(change.after)} & touched:
                sides.setdefault(place, []).append(change)
    return tuple(
        _link_load(place, sides.get(place, ()), staying.get(place, ()), facts=facts.get(place), memory=memory)
        for place in sorted(touched, key=lambda place: (place[1], place[0]))
    )


def links_touched(changes: Iterable[Change]) -> frozenset[str]:
    """Ids of the links whose requests the changes may alter."""
    return frozenset(link for _, link in _places_touched(changes) if link)


def _places_touched(changes: Iterable[Change]) -> Iterator[Place]:
    for change in changes:
        if change.type == "device" and weighs(change):
            yield from (_place(change.before), _place(change.after))


def weighs(change: Change) -> bool:
    """Whether a change of a device may alter its requests."""
    return (
        change.action in (Action.CREATE, Action.FORGET)
        or bool(DEVICE_KEYS & set(change.keys))
        or any(
            tag.action in (Action.CREATE, Action.FORGET)
            or TAG_KEYS & set(tag.keys)
            or _left(tag.previous_path, tag.path)
            for tag in change.tags
        )
    )


def _left(before: str | None, after: str) -> bool:
    """Whether a tag went to another device."""
    return before is not None and before.rpartition("/")[0] != after.rpartition("/")[0]


def _place(device: Attributes | None) -> Place:
    return place_of(device or {})


def _link_load(
    place: Place, changes: Sequence[Change], staying: Sequence[Attributes], *, facts: LinkFacts | None, memory: Memory
) -> LinkLoad:
    same = [_load(device, facts, memory) for device in staying]
    before: list[PollingLoad | None] = [*same]
    after: list[PollingLoad | None] = [*same]
    grown = []
    for change in changes:
        old = _load(change.before, facts, memory) if change.before and _place(change.before) == place else PollingLoad()
        new = _load(change.after, facts, memory) if change.after and _place(change.after) == place else PollingLoad()
        before.append(old)
        after.append(new)
        if old is not None and new is not None and new.busy_ms > old.busy_ms:
            grown.append(change.name)
    devices = [*staying, *(change.after for change in changes if change.after and _place(change.after) == place)]
    one = devices[0] if devices else next(change.before for change in changes if change.before)
    both = _sum(before), _sum(after)
    known = None not in both
    measured = facts is not None and facts.request_ms() is not None
    return LinkLoad(
        link=place[1],
        gateway=place[0],
        protocol=str(one.get("protocol", "")),
        devices=len(devices),
        before=both[0],
        after=both[1],
        grown=tuple(sorted(grown)),
        basis=("measured" if measured else "predicted") if known else "unknown",
    )


def _load(device: Attributes, facts: LinkFacts | None, memory: Memory) -> PollingLoad | None:
    """Of one device; None when it can't be read, or when no driver here reads it."""
    try:
        config = device_from_json(device)
    except msgspec.ValidationError:  # an outline, or what a later version wrote
        return None
    pause_ms = float(config.connection.get("pause") or 0)
    found = polling_load(config, request_ms=facts.request_ms(pause_ms=pause_ms) if facts else None)
    memory[id(device)] = found
    return found


def _sum(loads: Iterable[PollingLoad | None]) -> PollingLoad | None:
    each = list(loads)
    known = [load for load in each if load is not None]
    return together(known) if len(known) == len(each) else None


def _ms(load: PollingLoad) -> str:
    return f"{load.cycle_ms:,.0f} ms"


def over_budget(loads: Iterable[LinkLoad]) -> Iterator[tuple[str, str]]:
    """`(device path, sentence)` for each device that makes its link too slow for its intervals."""
    for load in loads:
        if load.over_budget and load.before is not None and load.after is not None:
            for path in load.grown:
                yield (
                    path,
                    f"{path} asks more of {load.link} than it can carry: busy {load.before.share:.0%} -> {load.after.share:.0%} of the time ({load.basis})",
                )
