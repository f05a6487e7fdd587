"""The content of a certificate, for people: fingerprints, names, validity, and what is doubtful about it. No network."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import serialization

SOON = timedelta(days=30)
"""So long before its end our own certificate is reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A certificate as it is shown.

    Attributes:
        thumbprint: SHA-1 in upper-case hex, as servers' trust lists show it.
        sha256: SHA-256 in upper-case hex.
        uri: ApplicationURI, "" without one.
        hosts: DNS names and addresses.
        valid_from, valid_until: UTC.
        subject: Its name.
    """

    thumbprint: str
    sha256: str
    uri: str
    hosts: tuple[str, ...]
    valid_from: datetime
    valid_until: datetime
    subject: str


def read(data: bytes) -> x509.Certificate:
    """A certificate from PEM or DER. Raises ValueError."""
    return x509.load_pem_x509_certificate(data) if b"-----BEGIN" in data else x509.load_der_x509_certificate(data)


def facts(certificate: x509.Certificate) -> Facts:
    """What is worth showing of a certificate."""
    der = certificate.public_bytes(serialization.Encoding.DER)
    uris, hosts = _names(certificate)
    return Facts(
        thumbprint=hashlib.sha1(der, usedforsecurity=False).hexdigest().upper(),
        sha256=hashlib.sha256(der).hexdigest().upper(),
        uri=uris[0] if uris else "",
        hosts=hosts,
        valid_from=certificate.not_valid_before_utc,
        valid_until=certificate.not_valid_after_utc,
        subject=certificate.subject.rfc4514_string(),
    )


def facts_of(path: Path) -> Facts | None:
    """`facts` of a file; None when it can't be read."""
    try:
        return facts(read(path.read_bytes()))
    except (OSError, ValueError):
        return None


def doubts(der: bytes, *, endpoint: str, uri: str, now: datetime | None = None) -> list[str]:
    """What a server's certificate says that is not so.

    Args:
        der: The certificate.
        endpoint: Where it was shown.
        uri: ApplicationURI that the server says it has, "" when it says none.
        now: Left out, the time of this machine.
    """
    try:
        found = facts(read(der))
    except ValueError:
        return ["the server's certificate can't be read"]
    name = f"the server's certificate {found.thumbprint}"
    doubtful = _validity(found, name, now or datetime.now(UTC))
    host = urlsplit(endpoint).hostname or ""
    if found.hosts and host and host.lower() not in {one.lower() for one in found.hosts}:
        doubtful.append(f"{name} is for {', '.join(found.hosts[:4])}, not for {host}")
    if uri and found.uri and uri != found.uri:
        doubtful.append(f"{name} is of {found.uri}, and the server calls itself {uri}")
    return doubtful


def own_doubts(path: Path, *, now: datetime | None = None) -> list[str]:
    """What is doubtful, or soon will be, about our own certificate."""
    found, now = facts_of(path), now or datetime.now(UTC)
    if found is None:
        return []
    name = f"our certificate {path}"
    doubtful = _validity(found, name, now)
    if not doubtful and found.valid_until - now < SOON:
        doubtful = [f"{name} expires on {found.valid_until:%Y-%m-%d}"]
    return [f"{one} (nexus certs renew)" for one in doubtful]


def _validity(found: Facts, name: str, now: datetime) -> list[str]:
    if now > found.valid_until:
        return [f"{name} expired on {found.valid_until:%Y-%m-%d}"]
    if now < found.valid_from:
        return [f"{name} is not valid before {found.valid_from:%Y-%m-%d}"]
    return []


def _names(certificate: x509.Certificate) -> tuple[list[str], tuple[str, ...]]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return [], ()
    hosts = names.get_values_for_type(x509.DNSName)
    addresses = [str(one) for one in names.get_values_for_type(x509.IPAddress)]
    return list(names.get_values_for_type(x509.UniformResourceIdentifier)), (*hosts, *addresses)
