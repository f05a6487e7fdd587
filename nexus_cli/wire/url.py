"""Broker addresses: `mqtt://`, `mqtts://`, `ws://`, `wss://`, read once and shown without credentials."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from nexus_cli.diagnostics.errors import NexusError

PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 8083, "wss": 8084}
"""Default port by scheme: 1883 and 8883 are IANA's, 8083 and 8084 EMQX's."""
_SAME_AS = {"tcp": "mqtt", "ssl": "mqtts", "tls": "mqtts"}
_HINT = "write NEXUS_BROKER_URL as mqtt://host:1883, mqtts://host:8883, ws://host:8083/mqtt or wss://host:8084/mqtt"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerUrl:
    """Where a broker listens.

    Attributes:
        scheme: `mqtt`, `mqtts`, `ws` or `wss`.
        host: Name or address, without brackets.
        port: TCP port.
        path: Path of the WebSocket, `/mqtt` unless given; "" for plain MQTT.
    """

    scheme: str
    host: str
    port: int
    path: str = ""

    @property
    def tls(self) -> bool:
        """True when the connection is encrypted."""
        return self.scheme in ("mqtts", "wss")

    @property
    def websocket(self) -> bool:
        """True for MQTT over WebSocket."""
        return self.scheme in ("ws", "wss")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path if self.websocket else ''}"


def parse_broker_url(text: str) -> BrokerUrl:
    """Read a broker's address; a user name or password in it is refused, they belong in the settings.

    Raises:
        NexusError: NX6002, empty or not such an address. Credentials are not repeated in the message.
    """
    if not text:
        raise NexusError(
            "No broker is configured.",
            code="NX6002",
            exit_code=6,
            hint="start one with `nexus up`, or set NEXUS_BROKER_URL",
        )
    try:
        parts = urlsplit(text if "://" in text else f"mqtt://{text}")
        port = parts.port
    except ValueError:
        # The parser's own words may quote a piece of a password that holds a slash.
        cause = "the port is not a number from 0 to 65535, or the host is not a name or address"
        raise NexusError("The broker's address can't be read.", code="NX6002", cause=cause, hint=_HINT) from None
    scheme = _SAME_AS.get(parts.scheme, parts.scheme)
    if parts.username is not None or parts.password is not None:
        raise NexusError(
            "The broker's address holds credentials; they would show in logs and process lists.",
            code="NX6002",
            hint="put them in NEXUS_BROKER_USER and NEXUS_BROKER_PASSWORD (or NEXUS_BROKER_PASSWORD_FILE)",
        )
    if scheme not in PORTS or not parts.hostname:
        # Only what can hold no secret of it is repeated: behind the host may be a token, or half of a password.
        shown = f"{scheme}://{parts.hostname or ''}"
        raise NexusError(f"'{shown}' is not a broker's address.", code="NX6002", hint=_HINT)
    path = (parts.path or "/mqtt") if scheme in ("ws", "wss") else ""
    return BrokerUrl(scheme=scheme, host=parts.hostname, port=port or PORTS[scheme], path=path)
