"""`index.json`: every certificate that the CA of a site has signed."""

from __future__ import annotations

from pathlib import Path

import msgspec

from nexus_cli.atomic import replace_file
from nexus_cli.certificates.names import CertificateKind
from nexus_cli.diagnostics.errors import NexusError


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate that was signed. Times are seconds since 1970 UTC.

    Attributes:
        serial: Serial number in upper-case hex.
        name: Common name, and name of its files.
        kind: What it is for.
        hosts, addresses, uri: Its SAN.
        days: How long it was asked to be valid.
        not_after: When it ends.
        revoked: When it was revoked; 0 when it was not.
        replaced: True once a later one has its name.
        own: True for the OPC UA certificate that this home's gateways show.
    """

    serial: str
    name: str
    kind: CertificateKind
    hosts: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    uri: str = ""
    days: int
    not_after: int
    revoked: int = 0
    replaced: bool = False
    own: bool = False

    @property
    def current(self) -> bool:
        """True for the one whose files are there."""
        return not self.replaced and not self.revoked


class Index(msgspec.Struct, frozen=True, kw_only=True):
    """The file: certificates in the order of their issue, and the number of the newest revocation list."""

    certificates: tuple[Issued, ...] = ()
    crl_number: int = 0

    def current(self) -> dict[str, Issued]:
        """Certificates whose files are there, by name, sorted."""
        return {one.name: one for one in sorted(self.certificates, key=lambda one: one.name) if one.current}


def read_index(path: Path) -> Index:
    """The index; an empty one when there is none.

    Raises:
        NexusError: NX6036, it can't be read.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Index)
    except FileNotFoundError:
        return Index()
    except (OSError, msgspec.MsgspecError) as error:
        raise NexusError(
            f"The list of issued certificates {path} can't be read.",
            code="NX6036",
            cause=str(error),
            hint="restore .nexus/certs from a backup: without the list nothing can be revoked",
        ) from None


def write_index(path: Path, index: Index) -> None:
    """Replace the file."""
    replace_file(path, msgspec.json.format(msgspec.json.encode(index), indent=2), mode=0o644)
