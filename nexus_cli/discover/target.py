"""Targets: `opcua://host:port/path`, `modbus://host?unit=3`, `modbus:///dev/ttyUSB0?unit=3`, … become
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
from nexus_cli.discover.site_keys import ConnectionKeys
from nexus_cli.model.config import DeviceConfig
from nexus_cli.model.device_url import UrlError, host_of, without_path
from nexus_cli.model.driver_kind import AddressError, DriverKind
from nexus_cli.model.problems import findings_of
from nexus_cli.model.secrets import without_passwords

MQTT = ("mqtt", "mqtts")
_MISSING = re.compile(r"add '(\w+): …'")
PLACE = ("unit_id", "ams_net_id", "port", "rack", "slot")
"""Connection keys that distinguish devices of one link."""
HERE = "discovered/here/device"
"""Path of a device that no site has yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One device to discover.

    Attributes:
        text: For people, without secrets.
        protocol: The value of `protocol:`, or `mqtt`.
        connection: Keys of the site language as they would be written.
        device: The device in normal form, None for mqtt.
        units: Modbus: unit ids to ask one after the other, when a range was written instead of one.
    """

    text: str
    protocol: str
    connection: ConnectionKeys
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
        _ = parts.port
    except ValueError:
        return _refused(text, "it has no readable port", hint=_examples(kinds))
    scheme = parts.scheme.lower()
    readers = [(kind, kind.url) for kind in kinds.values() if kind.url is not None]
    kind, url = next((one for one in readers if scheme in (*one[1].schemes, *one[1].mistaken)), (None, None))
    if kind is None and scheme not in MQTT:
        near = did_you_mean(scheme, [*(name for _, reader in readers for name in reader.schemes), *MQTT])
        return _refused(text, f"'{parts.scheme}' is not a protocol", hint=near or _examples(kinds))
    if parts.password is not None:
        return _refused(
            f"{parts.scheme}://…@{parts.hostname}",
            "a password in an address ends in shell histories and logs",
            hint="--user NAME --password '${env:PLC_PASSWORD}'",
        )
    aliases = url.aliases if url is not None else {}
    keys: ConnectionKeys = {aliases.get(key, key): _value(value) for key, value in parse_qsl(parts.query)}
    if parts.username:
        keys.setdefault("user", parts.username)
    keys.update({key: value for key, value in (extra or {}).items() if value is not None})
    try:
        if kind is None or url is None:
            return Outcome(_broker(parts, keys))
        read = url.read(parts, keys)
    except UrlError as error:
        if error.code == "NX6600":
            return _refused(text, str(error), hint=error.hint or _examples(kinds))
        return Outcome(None, (finding(error.code, f"{text}: {error}", hint=error.hint),))
    return connected(read.shown, kind.name, read.connection, kinds, units=read.units)


def _broker(parts: SplitResult, keys: Mapping[str, Any]) -> Target:
    """Raises UrlError."""
    host = host_of(parts)
    without_path(parts, hint=" --start 'a/b/#'")
    scheme = parts.scheme.lower()
    url = f"{scheme}://{host}:{parts.port}" if parts.port else f"{scheme}://{host}"
    return Target(text=url, protocol="mqtt", connection={"url": url, **keys})


def _examples(kinds: Mapping[str, DriverKind]) -> str:
    return ", ".join(
        [*(kind.url.example for kind in kinds.values() if kind.url is not None), "mqtt://broker, or a file"]
    )


def connected(
    text: str,
    protocol: str,
    connection: ConnectionKeys,
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


def _typed(hint: str, connection: Mapping[str, Any]) -> str:
    """The option of the command line, where a hint names a key of a site file."""
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


def _refused(text: str, why: str, *, hint: str) -> Outcome[Target]:
    message = f"'{without_passwords(text, mask='…')}' can't be discovered: {why}"
    return Outcome(None, (finding("NX6600", message, hint=without_passwords(hint, mask="…")),))
