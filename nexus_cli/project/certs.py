"""The OPC UA certificates of a `.nexus` folder: what there is, a new one of ours, a copy for a server, one to forget."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.drivers.base import DriverError
from nexus_cli.drivers.opcua import certificates, security
from nexus_cli.drivers.opcua.certificates import Facts
from nexus_cli.drivers.opcua.kind import normal_endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A certificate in a file.

    Attributes:
        file: Where it is.
        facts: What stands in it; None when it can't be read.
        doubts: What is doubtful about it, as sentences.
    """

    file: Path
    facts: Facts | None
    doubts: tuple[str, ...] = ()


@contextmanager
def _told() -> Iterator[None]:
    """The driver's errors about files, as those of a command."""
    try:
        yield
    except DriverError as error:
        raise NexusError(error.message, code="NX6525") from None


def show(home: Path) -> tuple[Kept | None, list[Kept]]:
    """Ours (None before the first secured connection), and those of servers that were seen, by file."""
    certificate = security.folder(str(home)) / "own" / "certificate.der"
    ours = None
    if certificate.exists():
        ours = Kept(
            file=certificate,
            facts=certificates.facts_of(certificate),
            doubts=tuple(certificates.own_doubts(certificate)),
        )
    servers = []
    for file in sorted((security.folder(str(home)) / "servers").glob("*.der")):
        doubts = tuple(certificates.doubts(file.read_bytes(), endpoint="", uri=""))
        servers.append(Kept(file=file, facts=certificates.facts_of(file), doubts=doubts))
    return ours, servers


def renew(home: Path) -> tuple[Kept, Path | None]:
    """Make a new certificate of ours with a key of its own; gives where the last one is kept, None when there was none.

    Raises:
        NexusError: The folder can't be written.
    """
    with _told():
        before = security.renew(str(home))
        certificate, _ = security.own_certificate(str(home))
    return Kept(file=certificate, facts=certificates.facts_of(certificate)), before


def export(home: Path, target: Path, *, pem: bool) -> Kept:
    """Copy our certificate, without its key, for a server's trust list; it is made when there is none.

    Raises:
        NexusError: The file can't be written.
    """
    with _told():
        certificate, _ = security.own_certificate(str(home))
        loaded = security.load_certificate(certificate)
    file = target / f"nexus.{'pem' if pem else 'der'}" if target.is_dir() else target
    try:
        file.write_bytes(loaded.public_bytes(serialization.Encoding.PEM if pem else serialization.Encoding.DER))
    except OSError as error:
        raise NexusError(f"{file} can't be written.", code="NX6523", cause=error.strerror or str(error)) from None
    return Kept(file=file, facts=certificates.facts(loaded))


def forget(home: Path, endpoint: str) -> Path | None:
    """Remove the certificate that is kept of a server; gives its file, None when there is none.

    Raises:
        NexusError: It is no endpoint.
    """
    try:
        file = security.kept_file(normal_endpoint(endpoint), str(home))
    except ValueError as error:
        raise NexusError(str(error), code="NX6525") from None
    if not file.exists():
        return None
    file.unlink()
    return file
