"""TLS to the broker, with a certificate of our own where the broker asks for one; and what a failed handshake means."""

from __future__ import annotations

import ssl
import time

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings
from nexus_cli.wire.url import BrokerUrl

# Source: OpenSSL, x509_vfy.h (X509_V_ERR_…).
_VERDICTS = {
    9: ("is not valid yet", "look at the clocks of both machines"),
    10: ("has expired", "renew it at the broker; nothing here can help"),
    18: ("is signed by itself, and not trusted here", "name that certificate in NEXUS_BROKER_CA"),
    19: ("comes from a CA that is not trusted here", "name the PEM file of its CA in NEXUS_BROKER_CA"),
    20: ("comes from a CA that is not trusted here", "name the PEM file of its CA in NEXUS_BROKER_CA"),
    23: ("was revoked", "renew it at the broker; nothing here can help"),
    62: ("is for another host", "write the host in NEXUS_BROKER_URL as the certificate names it"),
    64: ("is for another address", "write the host in NEXUS_BROKER_URL as the certificate names it"),
}
_OURS = (
    *("CERTIFICATE_REQUIRED", "UNKNOWN_CA", "BAD_CERTIFICATE", "CERTIFICATE_UNKNOWN", "CERTIFICATE_EXPIRED"),
    *("CERTIFICATE_REVOKED", "UNSUPPORTED_CERTIFICATE", "ACCESS_DENIED", "HANDSHAKE_FAILURE"),
)
RENEWED_S = 0.05
"""Between two looks at our certificate and its key, in seconds: one of them may just be replaced by its renewal."""
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL", "HTTP_REQUEST")


def tls_context(url: BrokerUrl, settings: Settings) -> ssl.SSLContext | None:
    """The TLS settings for a broker: its certificate is checked against NEXUS_BROKER_CA or the system's roots; ours is
    NEXUS_BROKER_CERT with the key in NEXUS_BROKER_KEY.

    Raises:
        NexusError: NX6002, a file can't be read, or certificate and key don't belong together.
    """
    if not url.tls:
        return None
    try:
        context = ssl.create_default_context(cafile=settings.broker_ca or None)
    except (OSError, ssl.SSLError) as error:
        raise NexusError(
            f"The broker's CA file '{settings.broker_ca}' can't be read.",
            code="NX6002",
            cause=str(error),
            hint="set NEXUS_BROKER_CA",
        ) from None
    if settings.broker_key and not settings.broker_cert:
        raise NexusError(
            "NEXUS_BROKER_KEY is set and NEXUS_BROKER_CERT is not.",
            code="NX6002",
            hint="name the PEM file of our certificate in NEXUS_BROKER_CERT",
        )
    if settings.broker_cert:
        try:
            _show_ours(context, settings)
        except (OSError, ssl.SSLError, ValueError) as error:
            raise _unusable(settings, error) from None
    return context


def _show_ours(context: ssl.SSLContext, settings: Settings) -> None:
    for again in (True, False):
        try:
            # Without a password given, OpenSSL would ask on the terminal for that of an encrypted key.
            context.load_cert_chain(settings.broker_cert, settings.broker_key or None, password="")
        except ssl.SSLError as error:
            if not again or error.reason != "KEY_VALUES_MISMATCH":
                raise
            time.sleep(RENEWED_S)
        else:
            return


def _unusable(settings: Settings, error: Exception) -> NexusError:
    files = " and ".join(f"'{name}'" for name in (settings.broker_cert, settings.broker_key) if name)
    reason = getattr(error, "reason", "") or ""
    hint = "set NEXUS_BROKER_CERT and NEXUS_BROKER_KEY to PEM files"
    if reason == "KEY_VALUES_MISMATCH":
        hint = "the key in NEXUS_BROKER_KEY belongs to another certificate than that in NEXUS_BROKER_CERT"
    elif isinstance(error, ssl.SSLError) and ("BAD_DECRYPT" in reason or "BAD_PASSWORD" in reason.upper()):
        hint = "the key is encrypted: write it without a password, readable by its owner alone"
    return NexusError(
        f"Our certificate for the broker in {files} can't be used.", code="NX6002", cause=str(error), hint=hint
    )


def tls_trouble(error: BaseException, url: BrokerUrl, *, has_certificate: bool) -> NexusError | None:
    """What a failed handshake means, in one sentence; None when the error is not one of TLS.

    Args:
        error: As the TLS library, or the socket, raised it.
        url: Of the broker.
        has_certificate: True when the client showed one.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        what, hint = _VERDICTS.get(
            error.verify_code, ("is not trusted", "name the PEM file of its CA in NEXUS_BROKER_CA")
        )
        return _wrong(f"The certificate of the broker at {url} {what}.", cause=error.verify_message, hint=hint)
    if not isinstance(error, ssl.SSLError):
        return None
    reason = (error.reason or str(error)).upper()
    if any(word in reason for word in _OURS):
        if has_certificate:
            return _wrong(
                f"The broker at {url} does not accept our certificate.",
                cause=reason.lower().replace("_", " "),
                hint="it must be signed by a CA that the broker trusts, and be valid; it is in NEXUS_BROKER_CERT",
            )
        return _wrong(
            f"The broker at {url} requires a client certificate.",
            cause=reason.lower().replace("_", " "),
            hint="name its PEM file in NEXUS_BROKER_CERT, and that of its key in NEXUS_BROKER_KEY",
        )
    if any(word in reason for word in _NO_TLS):
        return no_tls(url, cause=reason.lower().replace("_", " "))
    return None


def no_tls(url: BrokerUrl, *, cause: str) -> NexusError:
    """TLS was asked of a listener without."""
    return _wrong(
        f"The server at {url} does not support TLS.",
        cause=cause,
        hint="write mqtt:// (or ws://), or the port of its TLS listener, in NEXUS_BROKER_URL",
    )


def _wrong(message: str, *, cause: str, hint: str) -> NexusError:
    return NexusError(message, code="NX6010", cause=cause, hint=hint, retriable=True)
