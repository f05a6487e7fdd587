"""The certificates in files of one machine, and when each ends."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from nexus_cli.certificates.authority import authority_of
from nexus_cli.certificates.expiry import Expiry, expiry_of
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings

RENEW_CA = "make a new one in time: move .nexus/certs away, nexus certs init, issue again"


def expiries_of(home: Path, settings: Settings, *, more: Iterable[Expiry] = ()) -> list[Expiry]:
    """The CA, what it issued, the files that the settings name, and more; each file once."""
    authority = authority_of(home)
    try:
        current = authority.index().current()
    except NexusError:
        current = {}
    found = [expiry_of(authority.ca_file, "ca", hint=RENEW_CA)]
    found += [expiry_of(authority.files(name)[0], name, hint=f"nexus certs renew {name}") for name in current]
    named = {
        "http": settings.http_cert,
        "broker-client": settings.broker_cert,
        "broker-ca": settings.broker_ca,
        "database-client": settings.database_cert,
        "database-ca": settings.database_ca,
    }
    found += [expiry_of(file, name) for name, file in named.items() if file]
    found += more
    by_file: dict[str, Expiry] = {}
    for one in found:
        if one is not None:
            by_file.setdefault(one.file, one)
    return list(by_file.values())
