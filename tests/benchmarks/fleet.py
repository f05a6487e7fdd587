"""The same devices for two readers: how many, where, what they hold, and how a site names them."""

from __future__ import annotations

from dataclasses import dataclass

_NETWORK = {"modbus": 31, "s7": 32}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Devices that are alike.

    Attributes:
        protocol: `modbus`, `s7` or `opcua`.
        devices: How many; each has an address of its own in 127.0.0.0/8 (OPC UA: 127.0.0.1).
        tags: float32 values of each (OPC UA: float64), one after the other.
        poll: Interval, as a site writes it.
        publishing_ms: OPC UA: publishing and sampling interval, milliseconds.
        namespace, namespace_index: OPC UA: of the nodes; the index is what the server gives it.
    """

    protocol: str
    devices: int
    tags: int
    poll: str = "1s"
    publishing_ms: int = 500
    namespace: str = "urn:bench"
    namespace_index: int = 2

    @property
    def values(self) -> int:
        """Of all devices."""
        return self.devices * self.tags


def element(at: int) -> str:
    """Name of a device's value."""
    return f"v{at:04}"


def host_of(fleet: Fleet, number: int) -> str:
    """Address of a device."""
    if fleet.protocol == "opcua":
        return "127.0.0.1"
    return f"127.{_NETWORK[fleet.protocol]}.{number // 250}.{number % 250 + 1}"


def hosts(fleet: Fleet) -> list[str]:
    """Addresses of all, in order."""
    return [host_of(fleet, number) for number in range(fleet.devices)]


def site_text(fleet: Fleet, *, port: int, enterprise: str = "bench", site: str = "peers") -> str:
    """The fleet as a site, every device of one template."""
    tags = (f"      {element(at)}: {_tag(fleet, at)}\n" for at in range(fleet.tags))
    subscribed = "    mode: subscribe\n" if fleet.protocol == "opcua" else ""
    rows = (
        f"          d{number}: {{template: one, connection: {_connection(fleet, number, port)}}}\n"
        for number in range(fleet.devices)
    )
    return (
        f"nexus: 1\nenterprise: {enterprise}\nsite: {site}\ndefaults: {{poll: {_poll(fleet)}, retention: process}}\n"
        f"retention: {{process: {{keep: 30d}}}}\ntemplates:\n  one:\n    protocol: {fleet.protocol}\n{subscribed}    tags:\n"
        + "".join(tags)
        + "areas:\n  hall:\n    lines:\n      line:\n        devices:\n"
        + "".join(rows)
    )


def _poll(fleet: Fleet) -> str:
    return f"{fleet.publishing_ms}ms" if fleet.protocol == "opcua" else fleet.poll


def _tag(fleet: Fleet, at: int) -> str:
    return {
        "modbus": f'{{address: "holding:{at * 2}", type: float32}}',
        "s7": f'{{address: "DB1.DBD{at * 4}", type: float32}}',
        "opcua": f'{{node: "nsu={fleet.namespace};s={element(at)}", type: float64}}',
    }[fleet.protocol]


def _connection(fleet: Fleet, number: int, port: int) -> str:
    if fleet.protocol == "opcua":
        return f'{{endpoint: "opc.tcp://{host_of(fleet, number)}:{port}"}}'
    return f"{{host: {host_of(fleet, number)}, port: {port}}}"
