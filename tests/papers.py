"""Certificates for tests: a CA in a folder, and one whose clock is elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from nexus_cli.certificates.authority import Authority, authority_of
from nexus_cli.certificates.build import Wanted
from nexus_cli.certificates.names import CertificateKind
from nexus_cli.project import certs_ca

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def made_ca(home: Path) -> Authority:
    """A CA in a `.nexus` folder, with the server's certificate for this machine."""
    certs_ca.init(home)
    certs_ca.issue(home, "server", kind=CertificateKind.SERVER)
    return authority_of(home)


def client(authority: Authority, name: str) -> tuple[str, str]:
    """Files of a new client certificate."""
    authority.issue(Wanted(name=name, kind=CertificateKind.CLIENT, days=30))
    certificate, key = authority.files(name)
    return str(certificate), str(key)


def expired_client(authority: Authority, name: str) -> tuple[str, str]:
    """Files of a client certificate that ended yesterday."""
    past = Authority(authority.folder, now=lambda: datetime.now(UTC) - timedelta(days=31))
    return client(past, name)
