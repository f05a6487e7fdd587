"""The certificates that the CA of a `.nexus` folder issues: `nexus certs init`, `issue`, `renew NAME` and `revoke`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from nexus_cli.certificates.authority import CA_DAYS, LEAF_DAYS, Authority, authority_of
from nexus_cli.certificates.build import Wanted
from nexus_cli.certificates.expiry import Expiry, expiry_of, utc_now
from nexus_cli.certificates.files import RENEW_CA
from nexus_cli.certificates.index import Issued
from nexus_cli.certificates.names import CertificateKind
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.drivers.base import DriverError
from nexus_cli.drivers.opcua import certificates, security
from nexus_cli.settings import load_settings

HERE = ("localhost", "127.0.0.1")
"""Names in every server's certificate: the parts on its own machine connect to the loopback interface."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Papers:
    """A certificate of the CA, as it is shown.

    Attributes:
        entry: What was issued.
        file, key: Where it is; None for one that is on the list of revoked ones.
        doubts: Sentences.
    """

    entry: Issued
    file: Path | None
    key: Path | None
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CaPapers:
    """The CA, what it issued, and what is doubtful about its files."""

    file: Path
    expiry: Expiry
    issued: tuple[Papers, ...]
    revoked: tuple[Papers, ...]
    doubts: tuple[str, ...]


def init(home: Path, *, days: int = CA_DAYS) -> CaPapers:
    """Make the CA of this folder. Raises NexusError NX6036 or NX6038."""
    site = load_settings(home=home).site
    authority_of(home).init(name=f"CA of {site}" if site else "NEXUS CA", days=days)
    made = show(home)
    assert made is not None
    return made


def show(home: Path, *, now: Callable[[], datetime] = utc_now) -> CaPapers | None:
    """The CA of this folder; None when there is none. Raises NexusError NX6036."""
    authority = authority_of(home)
    expiry = expiry_of(authority.ca_file, "ca", hint=RENEW_CA)
    if expiry is None:
        if not authority.there():
            return None
        raise NexusError(f"{authority.ca_file} is not a certificate.", code="NX6036", hint="restore it from a backup")
    index, at = authority.index(), now()
    issued = tuple(_papers(authority, entry, at) for entry in index.current().values())
    revoked = tuple(Papers(entry=one, file=None, key=None) for one in index.certificates if one.revoked)
    doubt = expiry.doubt(at)
    doubts = (*([doubt] if doubt else []), *authority.doubts())
    return CaPapers(file=authority.ca_file, expiry=expiry, issued=issued, revoked=revoked, doubts=doubts)


def issue(
    home: Path,
    name: str,
    *,
    kind: CertificateKind,
    hosts: Sequence[str] = (),
    addresses: Sequence[str] = (),
    days: int = LEAF_DAYS,
    uri: str = "",
    own: bool = False,
) -> Papers:
    """Sign a certificate of a new name.

    Args:
        home: The `.nexus` folder.
        name: Common name; of a client that is its principal.
        kind: What it is for.
        hosts, addresses: Of its SAN; a server's has those of `HERE` too.
        days: How long it is valid.
        uri: ApplicationURI of an OPC UA application; "" takes that of our own OPC UA certificate.
        own: Show it to OPC UA servers from now on in place of the one that signs itself.

    Raises:
        NexusError: NX6036 to NX6038.
    """
    opcua = kind is CertificateKind.OPCUA
    if (uri or own) and not opcua:
        raise NexusError(f"A {kind} certificate has no ApplicationURI.", code="NX6037", hint="write --kind opcua")
    if kind is CertificateKind.SERVER:
        hosts, addresses = (*hosts, HERE[0]), (*addresses, HERE[1])
    if opcua and not uri:
        ours = certificates.facts_of(_own_certificate(home))
        uri = ours.uri if ours is not None else ""
        hosts = hosts or tuple(ours.hosts[:1] if ours is not None else ())
    authority = authority_of(home)
    wanted = Wanted(name=name, kind=kind, hosts=tuple(hosts), addresses=tuple(addresses), uri=uri, days=days)
    entry = authority.issue(wanted, own=own)
    return _finished(home, authority, entry)


def renew(home: Path, names: Sequence[str]) -> list[Papers]:
    """Sign each again, with new keys. Raises NexusError NX6036 or NX6039."""
    authority = authority_of(home)
    return [_finished(home, authority, authority.renew(name)) for name in names]


def names(home: Path) -> list[str]:
    """Every name that can be renewed. Raises NexusError NX6036."""
    return list(_there(home).index().current())


def due(home: Path, within: timedelta) -> list[str]:
    """Names whose certificate ends within this time. Raises NexusError NX6036."""
    return _there(home).due(within)


def revoke(home: Path, name: str) -> list[Issued]:
    """Put a name's certificates on the list. Raises NexusError NX6036 or NX6039."""
    return authority_of(home).revoke(name)


def own_name(home: Path) -> str:
    """The name of our OPC UA certificate when the CA issued it; "" when it signs itself."""
    current = authority_of(home).index().current()
    return next((name for name, entry in current.items() if entry.own), "")


def _there(home: Path) -> Authority:
    authority = authority_of(home)
    if not authority.there():
        raise NexusError(f"There is no CA in {authority.folder}.", code="NX6036", hint="`nexus certs init` makes it")
    return authority


def _papers(authority: Authority, entry: Issued, now: datetime) -> Papers:
    file, key = authority.files(entry.name)
    expiry = expiry_of(file, entry.name, hint=f"nexus certs renew {entry.name}")
    doubt = f"{file} can't be read" if expiry is None else expiry.doubt(now)
    return Papers(entry=entry, file=file, key=key, doubts=(doubt,) if doubt else ())


def _finished(home: Path, authority: Authority, entry: Issued) -> Papers:
    papers = _papers(authority, entry, authority.now())
    if entry.own and papers.file is not None and papers.key is not None:
        try:
            security.install(str(home), papers.file, papers.key)
        except DriverError as error:
            raise NexusError(error.message, code="NX6525") from None
    return papers


def _own_certificate(home: Path) -> Path:
    try:
        return security.own_certificate(str(home))[0]
    except DriverError as error:
        raise NexusError(error.message, code="NX6525") from None
