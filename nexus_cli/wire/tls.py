"""TLS to the broker."""

from __future__ import annotations

import ssl

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.wire.url import BrokerUrl


def tls_context(url: BrokerUrl, ca: str) -> ssl.SSLContext | None:
    """The TLS settings for a broker: its certificate is checked against `ca` (PEM file) or the system's roots.

    Raises:
        NexusError: NX6002, the CA file can't be read.
    """
    if not url.tls:
        return None
    try:
        return ssl.create_default_context(cafile=ca or None)
    except (OSError, ssl.SSLError) as error:
        raise NexusError(
            f"The broker's CA file '{ca}' can't be read.", code="NX6002", cause=str(error), hint="set NEXUS_BROKER_CA"
        ) from None
