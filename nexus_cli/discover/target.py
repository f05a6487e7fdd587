"""What a person points at: `opcua://host:port/path`, `modbus://host?unit=3`, `modbus:///dev/ttyUSB0?unit=3`, … become
a protocol and its connection."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

from pydantic import ValidationError

from nexus_cli.diagnostics import Outcome
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.model.config import DeviceConfig
from nexus_cli.model.driver_kind import AddressError, DriverKind
from nexus_cli.model.problems import findings_of
from nexus_cli.model.secrets import without_passwords

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
ALIASES = {
    "unit": "unit_id",
    "net_id": "ams_net_id",
    "netid": "ams_net_id",
    "ams": "ams_net_id",
    "ams_netid": "ams_net_id",
    "ams_port": "port",
    "source": "source_net_id",
}
"""Short names of connection keys in an address."""
HINTS = {
    "slave": "unit=3",
    "id": "unit=3",
    "address": "unit=3",
    "baud": "baudrate=9600",
    "bauds": "baudrate=9600",
    "speed": "baudrate=9600",
    "databits": "leave it out: RTU frames have eight data bits",
    "stop": "stopbits=1",
}
"""How other tools call a key of a Modbus address."""
RTU = frozenset(("rtu", "modbus+rtu", "modbus-rtu", "modbusrtu", "mbrtu", "serial", "modbus+serial", "modbus-serial"))
SERIAL = re.compile(r"/dev/\S+|(\\\\\.\\)?COM\d{1,3}", re.IGNORECASE)
"""A serial line of this machine."""
ADS_TCP_PORT = 48898
"""Source: Beckhoff, ADS/AMS over TCP. No runtime has it as its AMS port."""
_NET_ID = re.compile(r"\d{1,3}(\.\d{1,3}){5}")
_MISSING = re.compile(r"add '(\w+): …'")
PLACE = ("unit_id", "ams_net_id", "port", "rack", "slot")
"""Connection keys that tell two devices of one link apart."""
LAST_UNIT = 255
_RANGE = re.compile(r"\d{1,3}(-\d{1,3})?(,\d{1,3}(-\d{1,3})?)*")
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
        units: Modbus: unit ids to ask one after the other, when a range was written instead of one.
    """

    text: str
    protocol: str
    connection: dict[str, Any]
    device: DeviceConfig | None = None
    units: tuple[int, ...] = ()


def is_address(text: str) -> bool:
    """True when a text is `scheme://…` rather than the name of a file."""
    return "://" in text


def parse_target(
    text: str, kinds: Mapping[str, DriverKind], *, extra: Mapping[str, Any] | None = None
) -> Outcome[Target]:
    """Read an address.

    Args:
        text: `scheme://host[:port][/path][?key=value&…]`, `modbus:///dev/ttyUSB0[?…]` for a serial line; the keys are
            those of `connection:`. The port of an ads:// is the AMS port; 48898 there is the TCP port.
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
    if parts.scheme.lower() in RTU:
        line = parts.path if SERIAL.fullmatch(parts.path) else "/dev/ttyUSB0"
        return _refused(text, f"'{parts.scheme}' is not a protocol", hint=f"modbus://{line}?unit=1&baudrate=9600")
    if protocol is None:
        near = did_you_mean(parts.scheme.lower(), SCHEMES)
        return _refused(text, f"'{parts.scheme}' is not a protocol", hint=near)
    if protocol == "modbus" and (refusal := _misspelt(text, parts)) is not None:
        return refusal
    if protocol == "ads" and _NET_ID.fullmatch(parts.hostname or ""):
        return _net_id_as_host(text, parts)
    serial = _serial(parts) if protocol == "modbus" else ""
    if not parts.hostname and not serial:
        return _refused(text, "it names no host")
    if protocol in ("s7", "ads", "mqtt") and parts.path.strip("/"):
        where = {"s7": "?rack=0&slot=1", "ads": "?net_id=5.1.2.3.1.1", "mqtt": " --start 'a/b/#'"}[protocol]
        return _refused(text, f"'{parts.path}' says nothing here", hint=f"{parts.scheme}://{parts.netloc}{where}")
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
    units: tuple[int, ...] = ()
    if protocol == "modbus":
        try:
            units = units_of(str(keys.get("unit_id", ""))) or ()
        except ValueError as error:
            return Outcome(None, (finding("NX6601", f"{text}: {error}", hint="unit=1-10, or unit=1,3,7-9"),))
        keys.update({"unit_id": units[0]} if units else {})
    if serial:
        keys = {"serial": serial, **keys}
        return connected(f"{parts.scheme}://{parts.path}", protocol, keys, kinds, units=units)
    name = parts.hostname or ""
    host = f"[{name}]" if ":" in name else name
    if protocol == "mqtt":
        url = f"{parts.scheme.lower()}://{host}:{port}" if port else f"{parts.scheme.lower()}://{host}"
        return Outcome(Target(text=url, protocol="mqtt", connection={"url": url, **keys}))
    if protocol == "opcua":
        path = parts.path.rstrip("/")
        keys = {"endpoint": f"opc.tcp://{host}:{port or 4840}{path}", **keys}
    else:
        meant = "tcp_port" if protocol == "ads" and port == ADS_TCP_PORT else "port"
        keys = {"host": parts.hostname, **({meant: port} if port else {}), **keys}
    shown = f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path}"
    return connected(shown, protocol, keys, kinds, units=units)


def units_of(text: str) -> tuple[int, ...] | None:
    """`1-10`, `1,3,7-9` as unit ids; None when it is a single id, or none.

    Raises:
        ValueError: A range that runs backwards or leaves 0…255.
    """
    if text.isdecimal() or not _RANGE.fullmatch(text):
        return None
    units: dict[int, None] = {}
    for part in text.split(","):
        first, _, last = part.partition("-")
        low, high = int(first), int(last or first)
        if low > high or high > LAST_UNIT:
            raise ValueError(f"'{part}' is no range of unit ids from 0 to {LAST_UNIT}")
        units.update(dict.fromkeys(range(low, high + 1)))
    return tuple(units)


def _serial(parts: SplitResult) -> str:
    """The serial line that a Modbus address names, "" when it names a host."""
    path = parts.path.lstrip("/") if re.match(r"/(\\\\\.\\)?COM\d", parts.path, re.IGNORECASE) else parts.path
    return path if not parts.netloc and path.strip("/") else ""


def _misspelt(text: str, parts: SplitResult) -> Outcome[Target] | None:
    """A Modbus address as other tools write it, with how it is written here."""
    netloc, query = parts.netloc, f"?{parts.query}" if parts.query else "?unit=1&baudrate=9600"
    if netloc.lower() == "dev" or SERIAL.fullmatch(netloc):
        line = f"dev{parts.path}" if netloc.lower() == "dev" else netloc
        return _refused(text, "a serial line follows three slashes", hint=f"modbus:///{line}{query}")
    if netloc and parts.path.strip("/"):
        unit = parts.path.strip("/")
        hint = f"modbus://{netloc}?unit={unit}" if unit.isdecimal() else f"modbus://{netloc}?unit=1"
        return _refused(text, f"'{parts.path}' says nothing here", hint=hint)
    keys = dict(parse_qsl(parts.query))
    for key in keys:
        if key in HINTS and key not in ALIASES:
            hint = HINTS[key] if "=" not in HINTS[key] else f"{HINTS[key].partition('=')[0]}={keys[key]}"
            return Outcome(None, (finding("NX6601", f"{text}: unknown key '{key}'", hint=hint),))
    letter = keys.get("parity", "")
    if letter.lower() in ("n", "e", "o"):
        name = {"n": "none", "e": "even", "o": "odd"}[letter.lower()]
        return Outcome(None, (finding("NX6601", f"{text}: parity is a word here", hint=f"parity={name}"),))
    return None


def connected(
    text: str,
    protocol: str,
    connection: dict[str, Any],
    kinds: Mapping[str, DriverKind],
    *,
    units: tuple[int, ...] = (),
) -> Outcome[Target]:
    """A target from connection keys of the site language."""
    kind = kinds[protocol]
    try:
        bound = kind.connection.model_validate(connection)
        link = kind.link_of(bound)
    except ValidationError as error:
        wrong = findings_of(error, base=("connection",), raw=connection, shape=kind.connection)
        found = [finding("NX6601", f"{text}: {item.message}", hint=_typed(item.hint, connection)) for item in wrong]
        return Outcome(None, tuple(found))
    except AddressError as error:
        return Outcome(None, (finding("NX6601", f"{text}: {error}", hint=error.hint),))
    config = DeviceConfig(
        path=HERE, protocol=protocol, link=link, connection=bound.model_dump(mode="json", exclude_none=True)
    )
    return Outcome(Target(text=text, protocol=protocol, connection=connection, device=config, units=units))


def _net_id_as_host(text: str, parts: SplitResult) -> Outcome[Target]:
    port = f":{parts.port}" if parts.port else ""
    hint = f"ads://10.0.0.7{port}?net_id={parts.hostname}"
    return _refused(text, f"{parts.hostname} is an AMS NetId, no host", hint=hint)


def _typed(hint: str, connection: Mapping[str, Any]) -> str:
    """What to type on the command line, where a hint names a key of a site file."""
    if hint.startswith("password: '"):
        return f"--{hint.replace(': ', ' ', 1)}"
    missing = _MISSING.fullmatch(hint)
    if missing is None:
        return hint
    if missing[1] == "ams_net_id":
        host = str(connection.get("host", ""))
        usual = f"{host}.1.1" if re.fullmatch(r"\d{1,3}(\.\d{1,3}){3}", host) else "5.12.82.20.1.1"
        return (
            f"?net_id={usual} behind the address, or --set ams_net_id={usual}; TwinCAT shows it under System > Routes"
        )
    return f"?{missing[1]}=… behind the address, or --set {missing[1]}=…"


def _value(text: str) -> Any:
    if text.isdecimal():
        return int(text)
    return {"true": True, "false": False}.get(text, text)


def _refused(text: str, why: str, *, hint: str = "") -> Outcome[Target]:
    hint = hint or "opcua://host:4840, modbus://host?unit=1, s7://host, ads://host?net_id=…, mqtt://broker, or a file"
    message = f"'{without_passwords(text, mask='…')}' can't be discovered: {why}"
    return Outcome(None, (finding("NX6600", message, hint=without_passwords(hint, mask="…")),))
