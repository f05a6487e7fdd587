"""What a person points at: `opcua://host:port/path`, `modbus://host?unit=3`, … become a protocol and its connection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import ValidationError

from nexus_cli.diagnostics import Outcome
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.model.config import DeviceConfig
from nexus_cli.model.driver_kind import AddressError, DriverKind
from nexus_cli.model.problems import findings_of

SCHEMES = {
    "opcua": "opcua",
    "opc.tcp": "opcua",
    "modbus": "modbus",
    "modbus+tcp": "modbus",
    "s7": "s7",
    "ads": "ads",
    "mqtt": "mqtt",
    "mqtts": "mqtt",
}
ALIASES = {"unit": "unit_id", "net_id": "ams_net_id", "netid": "ams_net_id", "source": "source_net_id"}
"""Short names of connection keys in an address."""
HERE = "discovered/here/device"
"""Path of a device that no site has yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One device to discover.

    Attributes:
        text: For people, without secrets.
        protocol: `opcua`, `modbus`, `s7`, `ads` or `mqtt`.
        connection: Keys of the site language as they would be written.
        device: The device in normal form, None for mqtt.
    """

    text: str
    protocol: str
    connection: dict[str, Any]
    device: DeviceConfig | None = None


def is_address(text: str) -> bool:
    """True when a text is `scheme://…` rather than the name of a file."""
    return "://" in text


def parse_target(
    text: str, kinds: Mapping[str, DriverKind], *, extra: Mapping[str, Any] | None = None
) -> Outcome[Target]:
    """Read an address.

    Args:
        text: `scheme://host[:port][/path][?key=value&…]`; the keys are those of `connection:`.
        kinds: Driver kinds by protocol.
        extra: Further connection keys from options (security, user, a reference to a password).

    Returns:
        No value with NX6600 (not a target) or NX6601 (a key that the connection does not have).
    """
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        return _refused(text, "it has no readable port")
    protocol = SCHEMES.get(parts.scheme.lower())
    if protocol is None:
        near = did_you_mean(parts.scheme.lower(), SCHEMES)
        return _refused(text, f"'{parts.scheme}' is not a protocol", hint=near)
    if not parts.hostname:
        return _refused(text, "it names no host")
    if parts.password is not None:
        return _refused(
            f"{parts.scheme}://…@{parts.hostname}",
            "a password in an address ends in shell histories and logs",
            hint="--user NAME --password '${env:PLC_PASSWORD}'",
        )
    keys: dict[str, Any] = {ALIASES.get(key, key): _value(value) for key, value in parse_qsl(parts.query)}
    if parts.username:
        keys.setdefault("user", parts.username)
    keys.update({key: value for key, value in (extra or {}).items() if value is not None})
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if protocol == "mqtt":
        url = f"{parts.scheme.lower()}://{host}:{port}" if port else f"{parts.scheme.lower()}://{host}"
        return Outcome(Target(text=url, protocol="mqtt", connection={"url": url, **keys}))
    if protocol == "opcua":
        path = parts.path.rstrip("/")
        keys = {"endpoint": f"opc.tcp://{host}:{port or 4840}{path}", **keys}
    else:
        keys = {"host": parts.hostname, **({"port": port} if port else {}), **keys}
    return connected(f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path}", protocol, keys, kinds)


def connected(text: str, protocol: str, connection: dict[str, Any], kinds: Mapping[str, DriverKind]) -> Outcome[Target]:
    """A target from connection keys of the site language."""
    kind = kinds[protocol]
    try:
        bound = kind.connection.model_validate(connection)
        link = kind.link_of(bound)
    except ValidationError as error:
        wrong = findings_of(error, base=("connection",), raw=connection, shape=kind.connection)
        found = [finding("NX6601", f"{text}: {item.message}", hint=item.hint) for item in wrong]
        return Outcome(None, tuple(found))
    except AddressError as error:
        return Outcome(None, (finding("NX6601", f"{text}: {error}", hint=error.hint),))
    config = DeviceConfig(
        path=HERE, protocol=protocol, link=link, connection=bound.model_dump(mode="json", exclude_none=True)
    )
    return Outcome(Target(text=text, protocol=protocol, connection=connection, device=config))


def _value(text: str) -> Any:
    if text.isdecimal():
        return int(text)
    return {"true": True, "false": False}.get(text, text)


def _refused(text: str, why: str, *, hint: str = "") -> Outcome[Target]:
    hint = hint or "opcua://host:4840, modbus://host?unit=1, s7://host, ads://host?net_id=…, mqtt://broker, or a file"
    return Outcome(None, (finding("NX6600", f"'{text}' can't be discovered: {why}", hint=hint),))
