"""Whom a client of NEXUS's own HTTP trusts: NEXUS_HTTP_CA, else the system's CAs."""

from __future__ import annotations

import ssl

from nexus_cli.diagnostics.errors import NexusError


def client_context(url: str, ca: str) -> ssl.SSLContext | None:
    """TLS for an https URL; None for another one.

    Raises:
        NexusError: NX6040, the CA can't be read.
    """
    if not url.startswith("https://"):
        return None
    try:
        return ssl.create_default_context(cafile=ca or None)
    except (OSError, ssl.SSLError) as error:
        raise NexusError(
            f"The CA file '{ca}' can't be read.", code="NX6040", cause=str(error), hint="set NEXUS_HTTP_CA"
        ) from None


def untrusted(error: BaseException | None) -> bool:
    """True when the server's certificate is the reason, anywhere in the chain of causes."""
    seen = 0
    while error is not None and seen < 10:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False
