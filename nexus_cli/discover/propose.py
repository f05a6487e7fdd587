"""From what was found to what would be written in the site file: devices, tag names, keys, an interval. Pure.

Nothing proposed is ever `writable`: that is a person's decision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from nexus_cli.discover import naming
from nexus_cli.discover.facts import Facts
from nexus_cli.discover.found import Discovery, Found, Skipped
from nexus_cli.discover.naming import common_levels, plain, tag_name, unique
from nexus_cli.discover.site_keys import HeadKeys, TagKeys
from nexus_cli.drivers.opcua.address import is_whole
from nexus_cli.drivers.registry import kinds
from nexus_cli.json_value import JsonObject

INTERVALS_MS = (1_000, 2_000, 5_000, 10_000, 30_000, 60_000)
"""Proposed intervals; 1 s is the language's default and is not written."""
LOAD = 0.25
"""Share of an interval that the reads of one cycle may take."""
SUBSCRIBE_MOST = 10_000
"""Largest number of monitored items that is proposed (the limit of an S7-1500)."""
OPAQUE_KEYS = ("address", "node", "symbol")
"""A device's own names: kept letter by letter, or skipped."""
KEY_ORDER = (
    "address",
    "node",
    "index",
    "symbol",
    "type",
    "raw_type",
    "scale_from",
    "order",
    "unit",
    "scale",
    "offset",
    "range",
    "values",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedTag:
    """One tag as it would be written.

    Attributes:
        name: Slug, unique in its device.
        original: Original names, outermost first.
        keys: Keys of the site language, in the usual order of a site file.
    """

    name: str
    original: tuple[str, ...]
    keys: TagKeys


@dataclass(slots=True, kw_only=True)
class ProposedDevice:
    """One device as it would be written.

    Attributes:
        place: Suggested device name, or a whole `area/line/device`; "" for the device being discovered.
        head: Keys before the tags: protocol, connection, mode, poll, topics.
        tags: In the order of discovery.
    """

    place: str
    head: HeadKeys
    tags: list[ProposedTag] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Proposal:
    """Everything that would be added.

    Attributes:
        devices: In the order of discovery.
        skipped: What was not taken, in order, with the reasons.
        complete: False when a filter, a limit or an interruption left a part unseen: nothing may be pruned then.
        facts: As in `Discovery`.
    """

    source: str
    protocol: str
    devices: list[ProposedDevice]
    skipped: list[Skipped]
    complete: bool = True
    facts: Facts = field(default_factory=Facts)

    @property
    def tags(self) -> int:
        """How many tags are proposed."""
        return sum(len(device.tags) for device in self.devices)


Requests = Callable[[str, Mapping[str, Any], Sequence[ProposedTag]], int]
"""How many requests one cycle of a device takes: protocol, connection, tags."""


def propose(discovery: Discovery, *, requests: Requests | None = None, trim: bool = True) -> Proposal:
    """Name everything that was found.

    Args:
        discovery: What was found.
        requests: Counts the requests of a cycle; without it 50 tags are taken for one request.
        trim: Leave out the leading folders that every name of a device shares.
    """
    groups: dict[str, list[Found]] = {}
    skipped = list(discovery.skipped)
    for found in discovery.found:
        if reference := next((text for key in OPAQUE_KEYS if "${" in (text := str(found.tag.get(key, "")))), ""):
            reason = f"its address {reference} holds '${{', which a site file reads as a reference"
            skipped.append(Skipped("/".join(found.name), reason))
            continue
        groups.setdefault(found.device, []).append(found)
    devices = []
    for place, members in groups.items():
        tags = _tags(members, trim=trim and discovery.protocol != "external")
        head: HeadKeys = {"protocol": discovery.protocol}
        if discovery.connection and discovery.protocol != "external":
            head["connection"] = dict(discovery.connection)
        head.update(discovery.facts.get("heads", {}).get(place, {}))
        count = requests or _guess
        if discovery.protocol in kinds():
            head.update(_pace(discovery.protocol, len(tags), count(discovery.protocol, discovery.connection, tags)))
        devices.append(ProposedDevice(place=place, head=head, tags=tags))
    for place, head in discovery.facts.get("heads", {}).items():
        if place not in groups:
            devices.append(ProposedDevice(place=place, head={"protocol": discovery.protocol, **head}))
    facts = discovery.facts.copy()
    facts.pop("heads", None)
    facts.pop("complete", None)
    return Proposal(
        source=discovery.source,
        protocol=discovery.protocol,
        devices=devices,
        skipped=skipped,
        complete=bool(discovery.facts.get("complete", True)),
        facts=facts,
    )


def _tags(members: Sequence[Found], *, trim: bool) -> list[ProposedTag]:
    drop = common_levels([found.name for found in members]) if trim else 0
    names = [tag_name(found.name[drop:] or found.name[-1:]) for found in members]
    indexed = naming.elements((name, found.name) for name, found in zip(names, members, strict=True))
    taken: set[str] = set()
    tags = []
    for wanted, found in zip(names, members, strict=True):
        name = unique(wanted, taken, elements=indexed)
        taken.add(plain(name))
        tags.append(ProposedTag(name=name, original=found.name, keys=_keys(found, name)))
    return tags


def _keys(found: Found, name: str) -> TagKeys:
    keys: JsonObject = {key: value for key, value in found.tag.items() if key != "writable" and value not in (None, "")}
    if "node" in keys and not is_whole(str(keys["node"])):
        keys.setdefault("index", "")  # brackets at the end of a server's own id are its name, no element of an array
    original = "/".join(found.name)
    if str(keys.get("description", "")).lower() in {level.lower() for level in found.name}:
        keys.pop("description", None)  # many servers repeat the name as description
    if original and not ".".join(found.name).lower().endswith(name):
        if "description" not in keys:
            keys["description"] = original
        elif keys["description"] != original:
            keys["labels"] = {**keys.get("labels", {}), "original": original}
    if found.tag.get("index") == "":
        keys["index"] = ""  # that brackets belong to the node's name is said by nothing in it
    keys = {key: _harmless(value) for key, value in keys.items()}
    order = {key: place for place, key in enumerate(KEY_ORDER)}
    return cast("TagKeys", dict(sorted(keys.items(), key=lambda pair: order.get(pair[0], len(order)))))


def _harmless(value: Any) -> Any:
    """Texts of a device can't become references to secrets or variables of the site."""
    if isinstance(value, str):
        return value.replace("${", "$ {")
    if isinstance(value, Mapping):
        return {key: _harmless(item) for key, item in value.items()}
    return value


def _pace(protocol: str, tags: int, requests: int) -> HeadKeys:
    """Mode and interval: reporting where the protocol has it, otherwise as fast as half the link allows."""
    kind = kinds()[protocol]
    if kind.modes[0] == "poll" and "subscribe" in kind.modes and tags <= SUBSCRIBE_MOST:
        return {"mode": "subscribe"}
    needed_ms = requests * kind.answer_ms / LOAD
    chosen = next((interval for interval in INTERVALS_MS if needed_ms <= interval), INTERVALS_MS[-1])
    return {} if chosen == INTERVALS_MS[0] else {"poll": f"{chosen // 1000}s"}


def _guess(_protocol: str, _connection: Mapping[str, Any], tags: Sequence[ProposedTag]) -> int:
    return -(-len(tags) // 50)
