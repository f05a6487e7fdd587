"""TLS of a role's HTTP: needed beyond the loopback interface; a renewed certificate is shown to the next connection.

See docs/decisions/0073.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import ssl
from pathlib import Path

from nexus_cli.certificates.expiry import Expiry, expiry_of, utc_now
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.logging import event
from nexus_cli.runtime.metrics import Metrics
from nexus_cli.settings import Settings

FOLLOW_S = 1.0
"""How often the files are looked at, in seconds."""
METRIC = "nexus_certificate_expires_seconds"

_log = logging.getLogger("nexus.http")


def is_loopback(host: str) -> bool:
    """True for an address that only this machine reaches."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def server_context(settings: Settings, host: str) -> ssl.SSLContext | None:
    """TLS for a listener on this host; None serves without.

    Raises:
        NexusError: NX6031, other machines would be served without TLS; NX6040, certificate or key can't be used.
    """
    if not settings.http_cert:
        if settings.http_key:
            raise _unusable(settings, "NEXUS_HTTP_KEY is set and NEXUS_HTTP_CERT is not")
        if is_loopback(host) or settings.http_insecure:
            return None
        raise NexusError(
            f"HTTP on {host} would be open to other machines without TLS.",
            code="NX6031",
            hint="set NEXUS_HTTP_CERT and NEXUS_HTTP_KEY (nexus certs issue), or NEXUS_HTTP_INSECURE=1 behind a proxy "
            "that encrypts",
        )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        _load(context, settings)
    except (OSError, ssl.SSLError, ValueError) as error:
        raise _unusable(settings, str(error)) from None
    return context


async def follow(context: ssl.SSLContext, settings: Settings, ended: asyncio.Event) -> None:
    """Load certificate and key again when their files have changed. Two that don't belong together (yet) are left alone."""
    seen = _stamps(settings)
    while not ended.is_set():
        try:
            async with asyncio.timeout(FOLLOW_S):
                await ended.wait()
        except TimeoutError:
            pass
        now = _stamps(settings)
        if now == seen:
            continue
        try:
            # Tried elsewhere first: a live context that got the certificate without its key would refuse everybody.
            _load(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), settings)
            _load(context, settings)
        except (OSError, ssl.SSLError, ValueError) as error:
            event(_log, "the certificate for HTTP stays as it is", level=logging.WARNING, cause=str(error))
        else:
            event(_log, "the certificate for HTTP was renewed", file=settings.http_cert)
        seen = now


def expiries(settings: Settings) -> list[Expiry]:
    """The ends of the certificates that a role with these settings shows, and of the CAs that it trusts."""
    files = {
        "http": settings.http_cert,
        "http-ca": settings.http_ca,
        "broker-client": settings.broker_cert,
        "broker-ca": settings.broker_ca,
        "database-client": settings.database_cert,
        "database-ca": settings.database_ca,
    }
    found = [expiry_of(file, name) for name, file in files.items() if file]
    return [one for one in found if one is not None]


def show_expiries(metrics: Metrics, settings: Settings) -> None:
    """The gauge `nexus_certificate_expires_seconds{name}` of a role that uses certificates."""
    if not expiries(settings):
        return

    def read() -> dict[tuple[str, ...], float]:
        now = utc_now()
        return {(one.name,): one.seconds(now) for one in expiries(settings)}

    metrics.watch_gauges(METRIC, "Seconds until this certificate expires, negative after it", ("name",), read)


def _load(context: ssl.SSLContext, settings: Settings) -> None:
    # Without a password given, OpenSSL would ask on the terminal for that of an encrypted key.
    context.load_cert_chain(settings.http_cert, settings.http_key or None, password="")


def _stamps(settings: Settings) -> tuple[tuple[int, int], ...]:
    return tuple(_stamp(Path(name)) for name in (settings.http_cert, settings.http_key) if name)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return (0, 0)
    return (stat.st_mtime_ns, stat.st_ino)


def _unusable(settings: Settings, cause: str) -> NexusError:
    files = " and ".join(f"'{name}'" for name in (settings.http_cert, settings.http_key) if name)
    return NexusError(
        f"The certificate for HTTP in {files} can't be used.",
        code="NX6040",
        cause=cause,
        hint="NEXUS_HTTP_CERT and NEXUS_HTTP_KEY name PEM files that belong together, the key without a password",
    )
