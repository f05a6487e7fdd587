"""Where the parts of `nexus up` listen, and the certificates that they need beyond the loopback interface.

See docs/decisions/0073.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from socket import AF_INET6, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET, gaierror, getaddrinfo, socket

from cryptography import x509

from nexus_cli.access.grants import CLI
from nexus_cli.certificates.authority import LEAF_DAYS, Authority, authority_of
from nexus_cli.certificates.build import Wanted
from nexus_cli.certificates.index import Issued
from nexus_cli.certificates.names import CertificateKind, address_of
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.local.layout import AMQTT, EMBEDDED, EXTERNAL, Home, Runtime
from nexus_cli.local.ports import reached_at

SERVER = "server"
"""The name of the certificate that the listeners of `nexus up` show."""
DATABASE_CLIENT = "nexus"
"""The certificate with which the roles open the database: PostgreSQL compares its name with the user's."""
RENEW_BEFORE = timedelta(days=30)
"""`nexus up` renews the roles' own certificates this long before their end."""
WILDCARDS = ("0.0.0.0", "::")
_COMMANDS = "nexus certs init, then nexus certs issue server --kind server --dns NAME --ip ADDRESS"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerFiles:
    """What a server beyond the loopback interface needs, as PEM bytes.

    Attributes:
        host: Address to listen on.
        mutual: True when clients must show a certificate.
        ca, crl: Whose certificates clients may show, and which of them are revoked.
        certificate, key: What it shows.
    """

    host: str
    mutual: bool
    ca: bytes
    crl: bytes
    certificate: bytes
    key: bytes

    def by_name(self) -> dict[str, bytes]:
        """The content of each file in a server's own folder."""
        return {"ca.pem": self.ca, "crl.pem": self.crl, "server.pem": self.certificate, "server.key": self.key}


def checked_listen(text: str) -> str:
    """An address to listen on; "" for the loopback interface.

    Raises:
        NexusError: NX6033, it is not one of this machine.
    """
    address = address_of(text)
    if text in ("", "localhost") or (address is not None and address.is_loopback):
        return ""
    try:
        family, _, _, _, place = getaddrinfo(text, 0, type=SOCK_STREAM)[0]
        with socket(family, SOCK_STREAM) as probe:
            probe.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
            probe.bind(place)
    except (OSError, UnicodeError) as error:
        cause = "no such name" if isinstance(error, gaierror) else getattr(error, "strerror", None) or str(error)
        raise NexusError(
            f"No server can listen on '{text}'.",
            code="NX6033",
            cause=cause,
            hint="write an address of this machine, or 0.0.0.0 for every interface",
        ) from None
    return "::" if family == AF_INET6 and text == "::" else text


def choose_listen(home: Home, runtime: Runtime, *, listen: str | None, mutual: bool | None) -> None:
    """Write into `runtime` where its parts listen and with which certificates; None keeps what was chosen before.

    Raises:
        NexusError: NX6032 no certificate for this address, NX6033 no address of this machine, NX6034 amqtt.
    """
    if listen is not None:
        runtime.listen = checked_listen(listen)
    runtime.mutual_tls = bool(runtime.listen) and (runtime.mutual_tls if mutual is None else mutual)
    authority = authority_of(home.path)
    if runtime.listen:
        if runtime.broker_kind == AMQTT:
            raise NexusError(
                "amqtt is not opened to other machines: it checks no revocation list and takes no renewed certificate.",
                code="NX6034",
                hint="install mosquitto and run `nexus up --broker mosquitto`, or give --broker URL",
            )
        refuse_without_certificate(authority, runtime.listen)
        if runtime.mutual_tls:
            issue_clients(authority, runtime)
    _name_files(authority, runtime)


def refuse_without_certificate(authority: Authority, listen: str) -> None:
    """Raises NexusError NX6032: there is no CA, no server's certificate, or it is not for this address."""
    if not authority.there():
        raise _missing(listen, "there is no CA in this folder", _COMMANDS)
    entry = authority.index().current().get(SERVER)
    if entry is None:
        hint = "nexus certs issue server --kind server --dns NAME --ip ADDRESS"
        raise _missing(listen, f"no certificate is named {SERVER}", hint)
    if entry.kind is not CertificateKind.SERVER:
        hint = f"nexus certs revoke {SERVER}, then issue it with --kind server"
        raise _missing(listen, f"the certificate {SERVER} is for a {entry.kind}", hint)
    if entry.not_after <= authority.now().timestamp():
        raise _missing(listen, f"the certificate {SERVER} has expired", f"nexus certs renew {SERVER}")
    for needed in {reached_at(listen)} if listen in WILDCARDS else {listen}:
        if not _covers(entry, needed):
            option = "ip" if address_of(needed) is not None else "dns"
            hint = f"nexus certs revoke {SERVER}, then nexus certs issue {SERVER} --kind server --{option} {needed}"
            raise _missing(listen, f"the certificate {SERVER} does not name {needed}", hint)


def issue_clients(authority: Authority, runtime: Runtime) -> None:
    """A client certificate for each role, the command line and the database, where there is none or it ends soon."""
    names = [*runtime.principals, DATABASE_CLIENT]
    current = authority.index().current()
    limit = (authority.now() + RENEW_BEFORE).timestamp()
    for name in names:
        if name not in current:
            authority.issue(Wanted(name=name, kind=CertificateKind.CLIENT, days=LEAF_DAYS))
        elif current[name].not_after <= limit:
            authority.renew(name)


def listener_files(home: Path, runtime: Runtime) -> ListenerFiles | None:
    """What the servers need; None on the loopback interface.

    Raises:
        NexusError: NX6032, a file is missing, or certificate and key don't belong together.
    """
    if not runtime.listen:
        return None
    authority = authority_of(home)
    certificate, key = authority.files(SERVER)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
        return ListenerFiles(
            host=runtime.listen,
            mutual=runtime.mutual_tls,
            ca=authority.ca_file.read_bytes(),
            crl=authority.crl_file.read_bytes(),
            certificate=certificate.read_bytes(),
            key=key.read_bytes(),
        )
    except (OSError, ssl.SSLError, ValueError) as error:
        raise _missing(runtime.listen, str(error), f"nexus certs renew {SERVER}") from None


def client_files(home: Path, runtime: Runtime, principal: str) -> tuple[str, str]:
    """Certificate and key with which a principal connects to the broker; "" where it shows none."""
    if not runtime.mutual_tls or runtime.broker_kind == EXTERNAL:
        return "", ""
    certificate, key = authority_of(home).files(principal)
    return str(certificate), str(key)


def serial_of(pem: bytes) -> str:
    """The serial number of a PEM certificate in upper-case hex."""
    return f"{x509.load_pem_x509_certificate(pem).serial_number:032X}"


def _name_files(authority: Authority, runtime: Runtime) -> None:
    """The paths in `runtime.json`: of HTTP, and of local servers only (those of your own were given with them)."""
    ca = str(authority.ca_file) if runtime.listen else ""
    certificate, key = authority.files(SERVER)
    runtime.http_ca = ca
    runtime.http_cert, runtime.http_key = (str(certificate), str(key)) if ca else ("", "")
    if runtime.broker_kind != EXTERNAL:
        runtime.broker_ca = ca
        runtime.broker_cert, runtime.broker_key = client_files(authority.folder.parent, runtime, CLI)
    if runtime.database_kind == EMBEDDED:
        mine = authority.files(DATABASE_CLIENT)
        runtime.database_ca = ca if runtime.database_tls else ""
        shows = runtime.database_tls and runtime.mutual_tls
        runtime.database_cert, runtime.database_key = (str(mine[0]), str(mine[1])) if shows else ("", "")


def _covers(entry: Issued, host: str) -> bool:
    address = address_of(host)
    if address is not None:
        return str(address) in entry.addresses
    parent = host.lower().partition(".")[2]
    return host.lower() in entry.hosts or (bool(parent) and f"*.{parent}" in entry.hosts)


def _missing(listen: str, cause: str, hint: str) -> NexusError:
    return NexusError(f"Nothing can listen on {listen} without a certificate.", code="NX6032", cause=cause, hint=hint)
