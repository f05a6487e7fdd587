"""Random sites over devices of four protocols, and random next ones: what `tests/e2e/test_applied_pairs.py` applies.

A site is drawn as plain data (`Drawn`) and written as YAML's JSON, so that what the plant must observe, and what moved, is
known without the code under test.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

URI = "http://acme/pairs"
SIZE = 5
"""Values that each slot has."""
WRITABLE = SIZE - 1
"""The one that may be written."""
Slot = tuple[str, int, int]
"""Protocol, server of it, and the part of its memory that one device reads."""
PROTOCOLS = ("modbus", "opcua", "s7", "ads")
SLOTS: tuple[Slot, ...] = tuple(
    (protocol, server, part) for protocol in PROTOCOLS for server in range(2) for part in range(2)
)
GLOBS = ("hall/**", "hall/*/*/t0*", "hall/one/**", "hall/*/*/t1*", "hall/two*/**")
WRITES = ("hall/**", "hall/one/**", f"hall/*/*/t{WRITABLE}*")


def value_at(slot: Slot, at: int) -> int:
    """What a place of a slot holds: another number at each of them."""
    return 1000 * (1 + SLOTS.index(slot)) + at


def address_at(slot: Slot, at: int) -> dict[str, Any]:
    """Keys of a tag that lead there."""
    protocol, _, part = slot
    if protocol == "opcua":
        return {"node": f"nsu={URI};s=part{part}.t{at}"}
    address = {
        "modbus": f"holding:{2 * at}",
        "s7": f"%DB{part + 1}:{4 * at}:UDINT",
        "ads": f"GVL{part}.t{at}",
    }[protocol]
    return {"address": address}


def connection_to(slot: Slot, port: int) -> dict[str, Any]:
    """Keys of `connection:` without time-outs."""
    protocol, server, part = slot
    if protocol == "opcua":
        return {"endpoint": f"opc.tcp://127.0.0.1:{port}"}
    return {
        "modbus": {"host": "127.0.0.1", "port": port, "unit_id": part + 1},
        "s7": {"host": "127.0.0.1", "port": port, "rack": 0, "slot": 1},
        "ads": {"host": "127.0.0.1", "tcp_port": port, "ams_net_id": f"5.12.82.20.{server + 1}.1"},
    }[protocol]


@dataclass(kw_only=True)
class DrawnDevice:
    """One device.

    Attributes:
        tags: Name, whether it has a unit and whether it is in service, by the place in the slot.
        total: It has a calculated tag.
    """

    slot: Slot
    line: int
    name: str
    enabled: bool = True
    poll: str = "200ms"
    template: bool = False
    total: bool = False
    tags: dict[int, tuple[str, bool, bool]] = field(default_factory=dict)


@dataclass(kw_only=True)
class Drawn:
    """One site.

    Attributes:
        lines: Names of the lines, by number.
        timeouts: Time-out by protocol and server, ms: devices that share a link agree on it.
        devices: By a key that a rename leaves alone.
        alert: Device and place whose value is watched; None without.
        sequence: Device whose writable value a sequence writes; None without.
    """

    lines: dict[int, str]
    timeouts: dict[tuple[str, int], int]
    devices: dict[str, DrawnDevice]
    reads: list[str]
    writes: list[str]
    users: list[str]
    keep: str
    alert: tuple[str, int] | None = None
    sequence: str | None = None

    def path(self, key: str) -> str:
        """Of a device."""
        device = self.devices[key]
        return f"hall/{self.lines[device.line]}/{device.name}"

    def tag(self, key: str, at: int) -> str:
        """Path of a tag."""
        return f"{self.path(key)}/{self.devices[key].tags[at][0]}"

    def places(self) -> Iterator[tuple[str, int]]:
        """Device and place of every tag that is read."""
        for key, device in self.devices.items():
            for at in device.tags:
                yield key, at

    def values(self) -> dict[str, int | None]:
        """What each topic of a tag must show: None where the device or the tag is out of service."""
        found: dict[str, int | None] = {}
        for key, at in self.places():
            device = self.devices[key]
            on = device.enabled and device.tags[at][2]
            found[self.tag(key, at)] = value_at(device.slot, at) if on else None
        for key, device in self.devices.items():
            if device.total:
                first = found[self.tag(key, 0)]
                found[f"{self.path(key)}/total"] = None if first is None else 2 * first
        return found


def first_site(chance: random.Random) -> Drawn:
    """Some devices, at least one of each protocol."""
    site = Drawn(
        lines={0: "one", 1: "two"},
        timeouts={(protocol, server): 1000 for protocol in PROTOCOLS for server in range(2)},
        devices={},
        reads=[],
        writes=[],
        users=["ann", "bob"],
        keep="30d",
    )
    for protocol in PROTOCOLS:
        free = [slot for slot in SLOTS if slot[0] == protocol]
        for slot in chance.sample(free, chance.randint(1, 3)):
            _add(site, slot, chance)
    _around(site, chance)
    return site


def next_site(before: Drawn, chance: random.Random) -> Drawn:
    """The same with a few random changes of every kind."""
    site = copy.deepcopy(before)
    for key in list(site.devices):
        _change(site, key, chance)
    if chance.random() < 0.3:
        line = chance.choice([0, 1])
        site.lines[line] = {"one": "one-b", "one-b": "one", "two": "two-b", "two-b": "two"}[site.lines[line]]
    if chance.random() < 0.5:
        link = chance.choice(list(site.timeouts))
        site.timeouts[link] = 2500 - site.timeouts[link]
    taken = {device.slot for device in site.devices.values()}
    for slot in chance.sample(SLOTS, len(SLOTS)):
        if slot not in taken and chance.random() < 0.15:
            _add(site, slot, chance)
    _around(site, chance)
    return site


def _add(site: Drawn, slot: Slot, chance: random.Random) -> None:
    number = 1
    while f"d{number}" in site.devices:
        number += 1
    device = DrawnDevice(slot=slot, line=chance.choice([0, 1]), name=f"d{number}", enabled=chance.random() < 0.9)
    device.template = slot[0] == "modbus" and chance.random() < 0.5
    for at in range(SIZE) if device.template else [0, *chance.sample(range(1, SIZE), 2)]:
        device.tags[at] = (f"t{at}", chance.random() < 0.3 and not device.template, True)
    device.total = chance.random() < 0.3 and not device.template
    site.devices[f"d{number}"] = device


def _change(site: Drawn, key: str, chance: random.Random) -> None:
    """One device: mostly left alone."""
    device = site.devices[key]
    what = chance.choice(["", "", "", "", "gone", "elsewhere", "poll", "service", "renamed", "line", "tags", "tags"])
    if what == "gone" and len(site.devices) > 1:
        del site.devices[key]
    elif what == "elsewhere":
        taken = {each.slot for each in site.devices.values()}
        free = [slot for slot in SLOTS if slot[0] == device.slot[0] and slot not in taken]
        device.slot = chance.choice(free) if free else device.slot
    elif what == "poll":
        device.poll = "100ms" if device.poll == "200ms" else "200ms"
    elif what == "service":
        device.enabled = not device.enabled
    elif what == "renamed":
        device.name = device.name.removesuffix("x") if device.name.endswith("x") else f"{device.name}x"
    elif what == "line":
        device.line = 1 - device.line
    elif what == "tags" and not device.template:
        _change_tags(device, chance)


def _change_tags(device: DrawnDevice, chance: random.Random) -> None:
    at = chance.randrange(1, SIZE)
    name, unit, on = device.tags.get(at, (f"t{at}", False, True))
    what = chance.choice(["gone", "renamed", "unit", "service", "total"])
    if what == "total":
        device.total = not device.total
    elif at not in device.tags:
        device.tags[at] = (name, unit, on)
    elif what == "gone" and len(device.tags) > 1:
        del device.tags[at]
    elif what == "renamed":
        device.tags[at] = (name.removesuffix("y") if name.endswith("y") else f"{name}y", unit, on)
    elif what == "unit":
        device.tags[at] = (name, not unit, on)
    else:
        device.tags[at] = (name, unit, not on)


def _around(site: Drawn, chance: random.Random) -> None:
    """Rights, alarms, sequences and retention, drawn anew half of the time, and always where what they name is gone."""
    if chance.random() < 0.5 or not site.reads:
        site.reads, site.writes = chance.sample(GLOBS, 2), chance.sample(WRITES, 1)
        site.users = ["ann", "bob"] if chance.random() < 0.7 else ["ann"]
        site.keep = chance.choice(["30d", "60d"])
    places = list(site.places())
    if site.alert not in places or chance.random() < 0.3:
        site.alert = chance.choice(places) if chance.random() < 0.8 else None
    writable = [key for key, at in places if at == WRITABLE]
    if site.sequence not in writable or chance.random() < 0.3:
        site.sequence = chance.choice(writable) if writable and chance.random() < 0.8 else None


def written(site: Drawn, ports: Mapping[tuple[str, int], int], *, before: Drawn | None = None) -> dict[str, Any]:
    """The site as YAML's JSON; with `moved:` where it follows another."""
    lines: dict[str, Any] = {}
    for key, device in site.devices.items():
        path = site.path(key).split("/")
        lines.setdefault(path[1], {"devices": {}})["devices"][path[2]] = _device(site, device, ports)
    found: dict[str, Any] = {
        "nexus": 1,
        "enterprise": "acme",
        "site": "pairs",
        "defaults": {"retention": "process"},
        "retention": {"process": {"keep": site.keep}},
        "templates": {
            "drive": {"protocol": "modbus", "tags": {f"t{at}": _tag(("modbus", 0, 0), at) for at in range(SIZE)}}
        },
        "access": {
            "roles": {"operator": {"read": site.reads, "write": site.writes}},
            "users": {user: {"role": "operator"} for user in site.users},
        },
        "areas": {"hall": {"lines": lines}},
    }
    if site.alert is not None:
        found["alerts"] = {"watched": {"tag": site.tag(*site.alert), "above": 5}}
    if site.sequence is not None:
        found["sequences"] = {"set-it": {"steps": [{"write": site.tag(site.sequence, WRITABLE), "value": 1}]}}
    if before is not None:
        found["moved"] = [{"from": old, "to": new} for old, new in moves(before, site)]
    return found


def _device(site: Drawn, device: DrawnDevice, ports: Mapping[tuple[str, int], int]) -> dict[str, Any]:
    protocol, server, _ = device.slot
    connection = connection_to(device.slot, ports[protocol, server]) | {
        "timeout": f"{site.timeouts[protocol, server]}ms"
    }
    found: dict[str, Any] = {"connection": connection, "poll": device.poll}
    if not device.enabled:
        found["enabled"] = False
    if device.template:
        return {"template": "drive", **found}
    found["protocol"] = protocol
    found["tags"] = {
        name: _tag(device.slot, at) | ({"unit": "kWh"} if unit else {}) | ({} if on else {"enabled": False})
        for at, (name, unit, on) in device.tags.items()
    }
    if device.total:
        found["calculated"] = {"total": {"expr": "t0 * 2", "type": "float64"}}
    return found


def _tag(slot: Slot, at: int) -> dict[str, Any]:
    return address_at(slot, at) | {"type": "uint32"} | ({"writable": True} if at == WRITABLE else {})


def moves(before: Drawn, after: Drawn) -> list[tuple[str, str]]:
    """From one to the next, deeper ones first: tags under their new names, devices, and a line with what stays on it."""
    both = [key for key in before.devices if key in after.devices]
    found = [
        (before.tag(key, at), after.tag(key, at))
        for key in both
        for at, (name, _, _) in before.devices[key].tags.items()
        if at in after.devices[key].tags and name != after.devices[key].tags[at][0]
    ]
    lines: set[tuple[str, str]] = set()
    for key in both:
        old, new = before.path(key), after.path(key)
        line, name = before.devices[key].line, before.devices[key].name
        renamed = f"hall/{before.lines[line]}", f"hall/{after.lines[line]}"
        if old != new and new == f"{renamed[1]}/{name}":
            lines.add(renamed)
        elif old != new:
            found.append((old, new))
    return found + sorted(lines)


def moved_tags(before: Drawn, after: Drawn) -> dict[str, str]:
    """Old path of every tag of both sites by its new one, the calculated ones, too."""
    found = {
        after.tag(key, at): before.tag(key, at)
        for key, at in after.places()
        if key in before.devices and at in before.devices[key].tags
    }
    for key, device in after.devices.items():
        if device.total and key in before.devices and before.devices[key].total:
            found[f"{after.path(key)}/total"] = f"{before.path(key)}/total"
    return found


def universe(ports: Mapping[tuple[str, int], int]) -> dict[str, Any]:
    """A site with every place of every slot, for the simulators: one device a slot."""
    devices = {
        "-".join(map(str, slot)): {
            "protocol": slot[0],
            "connection": connection_to(slot, ports[slot[0], slot[1]]),
            "tags": {
                f"t{at}": _tag(slot, at) | {"simulate": {"signal": "constant", "value": value_at(slot, at)}}
                for at in range(SIZE)
            },
        }
        for slot in SLOTS
    }
    return {
        "nexus": 1,
        "enterprise": "acme",
        "site": "universe",
        "areas": {"hall": {"lines": {"one": {"devices": devices}}}},
    }
