"""The site of a run: devices that count, what a deployment changes in it, and its YAML."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

ENTERPRISE, NAME = "acme", "chaos"
AREA = "hall"
URI = "http://acme.example/chaos"
COMMAND_REGISTER = 1000
"""The writable register of a Modbus device; registers below it count."""
RISE_PER_S = 10.0
"""How fast the values of S7 and ADS devices rise."""


@dataclass(kw_only=True)
class Device:
    """One device.

    Attributes:
        kind: `modbus` or `opcua` (they count), `s7` or `ads` (their values rise with time).
        gateway: `a` or `b`; its line carries the same letter.
        host: Last number of its loopback address (Modbus).
        port: Where the gateway connects: the proxy's port where there is one.
        unit: Unit id (Modbus).
        tags: How many.
        poll_ms: Interval.
        extra: Names of tags that deployments added, by register.
        names: Shown name by original name, for renamed tags.
    """

    name: str
    kind: str
    gateway: str
    port: int
    tags: int
    host: int = 1
    unit: int = 1
    poll_ms: int = 1000
    extra: dict[str, int] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """`area/line/device`."""
        return f"{AREA}/line-{self.gateway}/{self.name}"

    def counted(self) -> Iterator[tuple[str, int]]:
        """Name and place (register, or number of the node) of every tag that counts or rises."""
        for number in range(self.tags):
            original = f"c{number:02}"
            yield self.names.get(original, original), 2 * number if self.kind == "modbus" else number
        yield from self.extra.items()


@dataclass(kw_only=True)
class Ports:
    """Where the field listens; the gateways connect to the proxies where those have one.

    Attributes:
        modbus: Of the counting servers, on every loopback address.
        modbus_a: Proxy in front of the first Modbus device of gateway a.
        modbus_b: The same for gateway b.
        opcua_a: Proxy in front of the OPC UA server for gateway a.
        opcua_b: The same for gateway b.
    """

    modbus: int
    modbus_a: int
    modbus_b: int
    opcua_a: int
    opcua_b: int
    s7: int = 0
    ads: int = 0


@dataclass
class Site:
    """What is declared at a moment.

    Attributes:
        alerts: Limit by name.
        moved: Renames of the last change.
        gone: Registers of tags that were removed, by device and name.
        changes: How many changes were made.
    """

    devices: list[Device]
    alerts: dict[str, float] = field(default_factory=dict)
    moved: list[tuple[str, str]] = field(default_factory=list)
    gone: dict[str, dict[str, int]] = field(default_factory=dict)
    changes: int = 0

    @property
    def tag_count(self) -> int:
        """Counting and rising tags."""
        return sum(len(list(device.counted())) for device in self.devices)

    def of_kind(self, *kinds: str) -> list[Device]:
        """Devices of these kinds."""
        return [device for device in self.devices if device.kind in kinds]

    def change(self, what: str, rng: random.Random) -> str:
        """Change one thing of a Modbus device in place; gives what it was in words."""
        self.moved, self.changes = [], self.changes + 1
        device = rng.choice(self.of_kind("modbus"))
        if what == "remove" and (grown := [one for one in self.of_kind("modbus") if one.extra]):
            device = rng.choice(grown)
            name, register = device.extra.popitem()
            self.gone.setdefault(device.path, {})[name] = register
            return f"remove {device.path}/{name}"
        if what == "rename":
            original = f"c{rng.randrange(device.tags):02}"
            old, new = device.names.get(original, original), f"{original}-r{self.changes}"
            device.names[original] = new
            self.moved = [(f"{device.path}/{old}", f"{device.path}/{new}")]
            return f"rename {device.path}/{old} to {new}"
        if what == "poll":
            device.poll_ms = rng.choice([ms for ms in (500, 1000, 2000) if ms != device.poll_ms])
            return f"poll {device.path} every {device.poll_ms} ms"
        if what == "alert":
            self.alerts["count"] = self.alerts.get("count", 50.0) + rng.choice((10.0, 25.0))
            return f"alert count above {self.alerts['count']}"
        name = f"x{self.changes}"
        device.extra[name] = next(
            register
            for register in range(2 * device.tags, COMMAND_REGISTER, 2)
            if register not in device.extra.values()
        )
        return f"add {device.path}/{name}"

    def yaml(self, *kinds: str) -> str:
        """The site file; with kinds, of these devices alone (for `nexus sim`)."""
        shown = self.of_kind(*kinds) if kinds else self.devices
        lines = ["nexus: 1", f"enterprise: {ENTERPRISE}", f"site: {NAME}", "defaults: {poll: 1s, retention: process}"]
        lines += ["retention: {process: {keep: 30d}}", "areas:", f"  {AREA}:", "    lines:"]
        for gateway in sorted({device.gateway for device in shown}):
            lines += [f"      line-{gateway}:", "        devices:"]
            for device in shown:
                if device.gateway == gateway:
                    lines += [" " * 10 + line for line in _DEVICE[device.kind](device)]
        lines += ["gateways:"] + [
            f'  gw-{name}: {{select: ["line:{AREA}/line-{name}"]}}' for name in sorted({one.gateway for one in shown})
        ]
        if not kinds:
            lines += ["access:", "  roles:", f'    operator: {{read: ["**"], write: ["{AREA}/*/*/command"]}}']
            lines += ["  users:", "    panel: {role: operator}"]
            first = self.of_kind("modbus")[0]
            tag = f"{first.path}/{next(first.counted())[0]}"
            lines += ["alerts:"] + [
                f"  {name}: {{tag: {tag}, above: {limit}, severity: warning}}" for name, limit in self.alerts.items()
            ]
            if self.moved:
                lines += ["moved:"] + [f"  - {{from: {old}, to: {new}}}" for old, new in self.moved]
        return "\n".join(lines) + "\n"


def _modbus(device: Device) -> Iterator[str]:
    yield f"{device.name}:"
    yield "  protocol: modbus"
    yield f"  connection: {{host: 127.0.0.{device.host}, port: {device.port}, unit_id: {device.unit}}}"
    yield f"  poll: {device.poll_ms}ms"
    yield "  tags:"
    for name, register in device.counted():
        yield f'    {name}: {{address: "holding:{register}", type: uint32}}'
    yield f'    command: {{address: "holding:{COMMAND_REGISTER}", type: uint32, writable: true}}'


def _opcua(device: Device) -> Iterator[str]:
    yield f"{device.name}:"
    yield "  protocol: opcua"
    yield f'  connection: {{endpoint: "opc.tcp://127.0.0.1:{device.port}"}}'
    yield "  mode: subscribe"
    yield "  tags:"
    for name, number in device.counted():
        yield f'    {name}: {{node: "nsu={URI};s={device.name}.{number}", type: uint32, poll: 500ms}}'


def _rising(device: Device, connection: str, address: str) -> Iterator[str]:
    yield f"{device.name}:"
    yield f"  protocol: {device.kind}"
    yield f"  connection: {connection}"
    yield "  tags:"
    ramp = f"{{signal: ramp, low: 0, high: {RISE_PER_S * 1e6:.0f}, period: 1000000s}}"
    for name, number in device.counted():
        yield f"    {name}: {{address: {address.format(number, 4 * number)}, type: uint32, simulate: {ramp}}}"


def _s7(device: Device) -> Iterator[str]:
    return _rising(device, f"{{host: 127.0.0.1, port: {device.port}}}", "DB1.DBD{1}")


def _ads(device: Device) -> Iterator[str]:
    net_id = "5.12.82.20.1.1"
    return _rising(device, f"{{host: 127.0.0.1, tcp_port: {device.port}, ams_net_id: {net_id}}}", "MAIN.n{0}")


_DEVICE = {"modbus": _modbus, "opcua": _opcua, "s7": _s7, "ads": _ads}


def demo(ports: Ports) -> Site:
    """Four protocols and few tags, as the demo has them; the first device of each gateway is behind a proxy."""
    devices = [
        Device(name="meter-1", kind="modbus", gateway="a", host=1, port=ports.modbus_a, tags=6),
        Device(name="meter-2", kind="modbus", gateway="a", host=1, port=ports.modbus_a, unit=2, tags=6),
        Device(name="conveyor", kind="modbus", gateway="a", host=2, port=ports.modbus, tags=4, poll_ms=100),
        Device(name="pump", kind="modbus", gateway="b", unit=3, port=ports.modbus_b, tags=4),
        Device(name="filler", kind="opcua", gateway="b", port=ports.opcua_b, tags=5),
        Device(name="capper", kind="opcua", gateway="b", port=ports.opcua_b, tags=3),
        Device(name="press", kind="s7", gateway="a", port=ports.s7, tags=5),
        Device(name="plc", kind="ads", gateway="b", port=ports.ads, tags=5),
    ]
    return Site([device for device in devices if device.port], alerts={"count": 60.0})


def thousand(ports: Ports) -> Site:
    """A thousand tags: 46 Modbus devices of 20 tags and 8 OPC UA devices of 10."""
    devices = []
    for number in range(46):
        gateway = "ab"[number % 2]
        port = (ports.modbus_a, ports.modbus_b)[number] if number < 2 else ports.modbus
        host = 1 if number < 2 else number
        unit = 1 if number != 1 else 3
        devices.append(
            Device(name=f"m{number:02}", kind="modbus", gateway=gateway, host=host, port=port, unit=unit, tags=20)
        )
    for number in range(8):
        port = (ports.opcua_a, ports.opcua_b)[number % 2]
        devices.append(Device(name=f"u{number}", kind="opcua", gateway="ab"[number % 2], port=port, tags=10))
    return Site(devices, alerts={"count": 60.0})


SITES = {"demo": demo, "thousand": thousand}
