"""The certificates that a runtime depends on, and when each ends: files here, and those that broker and database show."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from nexus_cli.certificates.expiry import Expiry, expiry_of_der, utc_now
from nexus_cli.certificates.files import expiries_of
from nexus_cli.database_url import database_hosts
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.drivers.opcua import certificates, security
from nexus_cli.settings import Settings
from nexus_cli.wire.url import parse_broker_url

HANDSHAKE_S = 2.0
_SSL_REQUEST = bytes.fromhex("0000000804d2162f")
"""Source: PostgreSQL documentation, 55.7 "Message Formats", SSLRequest."""


def of_files(home: Path, settings: Settings) -> list[Expiry]:
    """The CA, what it issued, our OPC UA certificate, and the files that the settings name; each file once."""
    ours = security.folder(str(home)) / "own" / "certificate.der"
    facts = certificates.facts_of(ours)
    own = [] if facts is None else [_own(ours, facts.valid_until)]
    return expiries_of(home, settings, more=own)


def _own(file: Path, not_after: datetime) -> Expiry:
    return Expiry(name="opcua-client", file=str(file), not_after=not_after, hint="nexus certs renew")


async def of_servers(settings: Settings) -> list[Expiry]:
    """What broker and database show at a connection over TLS; nothing of one that does not answer."""
    asked: list[tuple[str, Callable[[], bytes | None]]] = [
        ("broker-server", lambda: _of_broker(settings)),
        ("database-server", lambda: _of_database(settings)),
    ]
    found = []
    for name, ask in asked:
        try:
            der = await asyncio.to_thread(ask)
        except (OSError, ValueError, NexusError):
            continue
        one = expiry_of_der(der, name, hint="renew it at the server") if der else None
        if one is not None:
            found.append(one)
    return found


def findings(expiries: list[Expiry]) -> tuple[Diagnostic, ...]:
    """NX6041 for each that has ended, or ends within 30 days."""
    now = utc_now()
    return tuple(
        finding("NX6041", one.doubt(now).partition(": ")[0] + ".", hint=one.hint) for one in expiries if one.doubt(now)
    )


def _of_broker(settings: Settings) -> bytes | None:
    if not settings.broker_url:
        return None
    url = parse_broker_url(settings.broker_url)
    if not url.tls:
        return None
    with socket.create_connection((url.host, url.port), HANDSHAKE_S) as plain:
        return _shown(plain, url.host)


def _of_database(settings: Settings) -> bytes | None:
    address = settings.database_url
    if not address or dict(parse_qsl(urlsplit(address).query)).get("sslmode") == "disable":
        return None
    host, port = database_hosts(address)[0]
    if not host or host.startswith("/") or not (settings.database_ca or "sslmode" in address):
        return None
    with socket.create_connection((host, port), HANDSHAKE_S) as plain:
        plain.sendall(_SSL_REQUEST)
        return _shown(plain, host) if plain.recv(1) == b"S" else None


def _shown(plain: socket.socket, host: str) -> bytes | None:
    """The certificate that a server shows. It is only looked at: the client that uses the connection verifies it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(plain, server_hostname=host) as secured:
        return secured.getpeercert(binary_form=True)
