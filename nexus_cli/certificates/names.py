"""What a certificate may name: files, hosts, addresses and ApplicationURIs, checked before they are signed."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from enum import StrEnum

from nexus_cli.diagnostics.errors import NexusError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+")
LONGEST_HOST = 253
"""Source: RFC 1035 §2.3.4, without the dot at the end."""
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class CertificateKind(StrEnum):
    """What a certificate is for.

    SERVER: A listener. CLIENT: A client that a listener asks for its certificate. OPCUA: An OPC UA application.
    """

    SERVER = "server"
    CLIENT = "client"
    OPCUA = "opcua"


def _wrong(message: str, hint: str) -> NexusError:
    return NexusError(message, code="NX6037", hint=hint)


def check_name(name: str) -> str:
    """The name of a certificate: its common name and its files'. Raises NexusError NX6037."""
    if not _NAME.fullmatch(name) or name.endswith((".pem", ".key")):
        raise _wrong(
            f"'{name}' can't name a certificate.",
            "1 to 64 letters, digits, . _ and -, first a letter or digit, without .pem or .key",
        )
    return name


def check_hosts(names: Iterable[str]) -> tuple[str, ...]:
    """DNS names in lower case, each once, in order; a leading `*.` is allowed. Raises NexusError NX6037."""
    found: dict[str, None] = {}
    for name in names:
        labels = name.removeprefix("*.").split(".")
        if address_of(name) is not None:
            raise _wrong(f"'{name}' is an address, not a DNS name.", f"write --ip {name}")
        if len(name) > LONGEST_HOST or not all(_LABEL.fullmatch(label) for label in labels):
            raise _wrong(f"'{name}' is not a DNS name.", "write it as clients write it: plant-server.example")
        found[name.lower()] = None
    return tuple(found)


def check_addresses(texts: Iterable[str]) -> tuple[str, ...]:
    """IP addresses in their normal form, each once, in order. Raises NexusError NX6037."""
    found: dict[str, None] = {}
    for text in texts:
        address = address_of(text)
        if address is None:
            raise _wrong(f"'{text}' is not an IP address.", "write --ip 10.0.0.5, or --dns NAME for a name")
        if address.is_unspecified:
            raise _wrong(f"'{text}' is no machine's address.", "write the addresses at which clients reach it")
        found[str(address)] = None
    return tuple(found)


def check_uri(text: str) -> str:
    """An ApplicationURI. Raises NexusError NX6037."""
    if not _URI.fullmatch(text):
        raise _wrong(f"'{text}' is not an ApplicationURI.", "write a URI in ASCII, such as urn:HOST:PRODUCT")
    return text


def address_of(text: str) -> Address | None:
    """An IP address; None when the text is none."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
