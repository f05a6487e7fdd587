"""The CA of a site in `.nexus/certs`: made once, signs, renews and revokes. Keys are never shown.

ca.pem  ca.key  crl.pem  index.json  issued/NAME.pem  issued/NAME.key
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from msgspec.structs import replace

from nexus_cli.atomic import alone, replace_file
from nexus_cli.certificates.build import (
    Wanted,
    ca_certificate,
    certificate,
    new_ca_key,
    new_key,
    pem,
    private_pem,
    revocation_list,
)
from nexus_cli.certificates.expiry import utc_now
from nexus_cli.certificates.index import Index, Issued, read_index, write_index
from nexus_cli.certificates.names import check_addresses, check_hosts, check_name, check_uri
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.suggest import did_you_mean

CA_DAYS = 3650
LEAF_DAYS = 365
_INIT = "nexus certs init"


@dataclass(frozen=True, slots=True)
class Authority:
    """The CA in one folder.

    Attributes:
        folder: `.nexus/certs`.
        now: The time, UTC.
    """

    folder: Path
    now: Callable[[], datetime] = utc_now

    @property
    def ca_file(self) -> Path:
        """The CA's certificate, for those that have to trust it."""
        return self.folder / "ca.pem"

    @property
    def ca_key_file(self) -> Path:
        """The CA's key, for its owner alone."""
        return self.folder / "ca.key"

    @property
    def crl_file(self) -> Path:
        """The list of revoked certificates."""
        return self.folder / "crl.pem"

    def files(self, name: str) -> tuple[Path, Path]:
        """Certificate and key of a name."""
        issued = self.folder / "issued"
        return issued / f"{name}.pem", issued / f"{name}.key"

    def there(self) -> bool:
        """True once there is a CA."""
        return self.ca_file.exists()

    def index(self) -> Index:
        """What was issued. Raises NexusError NX6036."""
        return read_index(self.folder / "index.json")

    def init(self, *, name: str, days: int = CA_DAYS) -> x509.Certificate:
        """Make the CA.

        Raises:
            NexusError: NX6038, there is one; NX6036, the folder can't be written.
        """
        with self._locked():
            # A key alone that signed nothing is what a killed `init` leaves.
            signed = bool(self.index().certificates)
            for file in (self.ca_file, self.ca_key_file):
                if file.exists() and (file == self.ca_file or signed):
                    raise NexusError(
                        f"There is a CA already: {file}.",
                        code="NX6038",
                        hint="keep it: what it signed would be worth nothing. `nexus certs show` lists it",
                    )
            key = new_ca_key()
            made = ca_certificate(key, name=name, days=days, now=self.now())
            replace_file(self.ca_key_file, private_pem(key), mode=0o600)
            write_index(self.folder / "index.json", Index())
            self._write_crl(Index(), made, key)
            replace_file(self.ca_file, pem(made), mode=0o644)
        return made

    def issue(self, wanted: Wanted, *, own: bool = False) -> Issued:
        """Sign a certificate with a key of its own, under a name that none has.

        Raises:
            NexusError: NX6036 no CA, NX6037 a name is none, NX6038 the name is taken.
        """
        wanted = checked(wanted)
        with self._locked():
            index = self._completed()
            if wanted.name in index.current():
                raise NexusError(
                    f"There is a certificate {wanted.name} already: {self.files(wanted.name)[0]}.",
                    code="NX6038",
                    hint=f"`nexus certs renew {wanted.name}`, or revoke it first: nexus certs revoke {wanted.name}",
                )
            return self._sign(index, wanted, own=own)

    def renew(self, name: str) -> Issued:
        """Sign another one with a new key and the same names; the one before stays valid until its own end.

        Raises:
            NexusError: NX6036 no CA, NX6039 no certificate of this name.
        """
        with self._locked():
            index = self._completed()
            before = self._current(index, name)
            wanted = Wanted(
                name=name,
                kind=before.kind,
                hosts=before.hosts,
                addresses=before.addresses,
                uri=before.uri,
                days=before.days,
            )
            return self._sign(index, wanted, own=before.own)

    def due(self, within: timedelta) -> list[str]:
        """The names whose certificate ends within this time."""
        limit = (self.now() + within).timestamp()
        return [name for name, one in self.index().current().items() if one.not_after <= limit]

    def revoke(self, name: str) -> list[Issued]:
        """Put every certificate of the name that has not ended on the list, and remove its files; gives them.

        Raises:
            NexusError: NX6036 no CA, NX6039 no certificate of this name.
        """
        with self._locked():
            if undone := self._undone(name):
                self._completed()
                return undone
            index = self._completed()
            self._current(index, name)
            ca, key = self._ca()
            now = int(self.now().timestamp())
            gone = [
                replace(one, revoked=now)
                for one in index.certificates
                if one.name == name and not one.revoked and one.not_after > now
            ] or [replace(self._current(index, name), revoked=now)]
            by_serial = {one.serial: one for one in gone}
            changed = Index(
                certificates=tuple(by_serial.get(one.serial, one) for one in index.certificates),
                crl_number=index.crl_number + 1,
            )
            write_index(self.folder / "index.json", changed)
            self._write_crl(changed, ca, key)
            self._remove_files(name)
        return gone

    def _undone(self, name: str) -> list[Issued]:
        """What a killed `revoke` of the name has put into the index, while list or files are still as they were."""
        index = self.index()
        if name in index.current():
            return []
        gone = [one for one in index.certificates if one.name == name and one.revoked]
        left = any(file.exists() for file in self.files(name))
        return gone if left or self._crl_number() < index.crl_number else []

    def _completed(self) -> Index:
        """The index, after what a killed `revoke` left undone: the list, and files of what is revoked."""
        index = self.index()
        if self.there() and self._crl_number() < index.crl_number:
            self._write_crl(index, *self._ca())
        for name in {one.name for one in index.certificates if one.revoked} - index.current().keys():
            self._remove_files(name)
        return index

    def _remove_files(self, name: str) -> None:
        for file in self.files(name):
            file.unlink(missing_ok=True)

    def _crl_number(self) -> int:
        """Of the list that is there; -1 without one that can be read."""
        try:
            listed = x509.load_pem_x509_crl(self.crl_file.read_bytes())
            return listed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        except (OSError, ValueError, x509.ExtensionNotFound):
            return -1

    def revoked_serials(self) -> set[str]:
        """Serial numbers on the list, upper-case hex."""
        return {one.serial for one in self.index().certificates if one.revoked}

    def doubts(self) -> list[str]:
        """What is doubtful about the files: keys that others may read."""
        found = []
        keys = [self.ca_key_file, *sorted((self.folder / "issued").glob("*.key"))]
        for key in keys:
            try:
                mode = stat.S_IMODE(key.stat().st_mode)
            except OSError:
                continue
            if mode & 0o077:
                found.append(f"the key {key} is open to others (mode {mode:04o}): chmod 600 {key}")
        return found

    def _sign(self, index: Index, wanted: Wanted, *, own: bool) -> Issued:
        ca, ca_key = self._ca()
        now = self.now()
        if now >= ca.not_valid_after_utc:
            raise NexusError(
                f"The CA {self.ca_file} expired on {ca.not_valid_after_utc:%Y-%m-%d}.",
                code="NX6036",
                hint=f"move {self.folder} away, `{_INIT}`, issue again, and let clients trust the new CA",
            )
        key = new_key(wanted.kind)
        made = certificate(wanted, key, ca=ca, ca_key=ca_key, now=now)
        entry = Issued(
            serial=f"{made.serial_number:032X}",
            name=wanted.name,
            kind=wanted.kind,
            hosts=wanted.hosts,
            addresses=wanted.addresses,
            uri=wanted.uri,
            days=wanted.days,
            not_after=int(made.not_valid_after_utc.timestamp()),
            own=own,
        )
        # The list first: a certificate that is not on it could never be revoked.
        older = tuple(
            replace(one, replaced=True) if one.name == wanted.name and one.current else one
            for one in index.certificates
        )
        write_index(self.folder / "index.json", Index(certificates=(*older, entry), crl_number=index.crl_number))
        file, key_file = self.files(wanted.name)
        file.parent.mkdir(mode=0o700, exist_ok=True)
        replace_file(key_file, private_pem(key), mode=0o600)
        replace_file(file, pem(made), mode=0o644)
        return entry

    def _current(self, index: Index, name: str) -> Issued:
        current = index.current()
        if name not in current:
            self._ca()
            raise NexusError(
                f"There is no certificate {name}.",
                code="NX6039",
                hint=did_you_mean(name, current) or "`nexus certs show` lists them",
            )
        return current[name]

    def _ca(self) -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
        try:
            ca = x509.load_pem_x509_certificate(self.ca_file.read_bytes())
            key = serialization.load_pem_private_key(self.ca_key_file.read_bytes(), None)
        except FileNotFoundError as error:
            if not self.there():
                raise NexusError(
                    f"There is no CA in {self.folder}.", code="NX6036", hint=f"`{_INIT}` makes it"
                ) from None
            raise NexusError(
                f"The key of the CA is not here: {error.filename}.",
                code="NX6036",
                hint="bring it back for this command; it may be kept elsewhere in between",
            ) from None
        except (OSError, ValueError, TypeError) as error:
            cause = error.strerror or "" if isinstance(error, OSError) else "it is not PEM, or locked by a passphrase"
            raise NexusError(
                f"The CA in {self.folder} can't be read.", code="NX6036", cause=cause, hint="restore it from a backup"
            ) from None
        if not isinstance(key, rsa.RSAPrivateKey) or key.public_key() != ca.public_key():
            raise NexusError(
                f"{self.ca_key_file} is not the key of {self.ca_file}.",
                code="NX6036",
                hint="restore both from a backup",
            )
        return ca, key

    def _write_crl(self, index: Index, ca: x509.Certificate, key: rsa.RSAPrivateKey) -> None:
        revoked = [
            (int(one.serial, 16), datetime.fromtimestamp(one.revoked, UTC)) for one in index.certificates if one.revoked
        ]
        try:
            after = x509.load_pem_x509_crl(self.crl_file.read_bytes()).last_update_utc
        except (OSError, ValueError):
            after = None
        made = revocation_list(revoked, number=index.crl_number, ca=ca, ca_key=key, now=self.now(), after=after)
        replace_file(self.crl_file, pem(made), mode=0o644)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One command at a time; the operating system's refusals as those of a command."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with alone(self.folder / "lock"):
                yield
        except OSError as error:
            raise NexusError(
                f"{self.folder} can't be written.", code="NX6036", cause=error.strerror or str(error), exit_code=6
            ) from None


def checked(wanted: Wanted) -> Wanted:
    """What is wanted, in its normal form. Raises NexusError NX6037."""
    return Wanted(
        name=check_name(wanted.name),
        kind=wanted.kind,
        hosts=check_hosts(wanted.hosts),
        addresses=check_addresses(wanted.addresses),
        uri=check_uri(wanted.uri) if wanted.uri else "",
        days=wanted.days,
    )


def authority_of(home: Path) -> Authority:
    """The CA of a `.nexus` folder."""
    return Authority(home / "certs")
