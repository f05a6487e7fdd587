"""Our certificate (made once, kept) and the servers' (pinned, or kept at first sight). No network here.

Files under `<home>/certs/opcua/`: `own/certificate.der` and `own/private_key.pem`, `servers/<name>.der`.
The ApplicationURI is in the certificate's SAN and is read from there, so that both always agree.

Source: OPC 10000-6 §6.2.2 (application instance certificate), OPC 10000-4 §6.1.3 (trust).
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import socket
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from nexus_cli.drivers.base import DriverError, Scope
from nexus_cli.drivers.opcua import certificates
from nexus_cli.drivers.opcua.fingerprints import fingerprint
from nexus_cli.model.failure_kind import FailureKind
from nexus_cli.wire.sample import Reason

LOG = logging.getLogger(__name__)
YEARS_VALID = 10
KEY_BITS = 2048
"""Source: OPC 10000-7, Basic256Sha256: 2048 to 4096 bits."""


def folder(home: str) -> Path:
    """Where this home keeps its OPC UA certificates."""
    return Path(home) / "certs" / "opcua"


def own_certificate(home: str) -> tuple[Path, Path]:
    """Our certificate and key; made at the first call in a home and kept for good.

    Raises:
        DriverError: The folder can't be written.
    """
    own = folder(home) / "own"
    certificate, key = own / "certificate.der", own / "private_key.pem"
    if certificate.exists() and key.exists():
        return certificate, key
    try:
        _make(own)
    except OSError as error:
        raise _final(f"no certificate can be written to {own} ({error.strerror or error})") from None
    LOG.info("made the OPC UA client certificate %s, thumbprint %s", certificate, thumbprint(certificate.read_bytes()))
    return certificate, key


def renew(home: str) -> Path | None:
    """Make another certificate with a key of its own and the same ApplicationURI, for the connections from now on.

    Returns:
        The folder that keeps the one before; None when there was none.

    Raises:
        DriverError: The folder can't be written.
    """
    own = folder(home) / "own"
    facts = certificates.facts_of(own / "certificate.der")
    before = own.with_name(f"own-until-{datetime.now(UTC):%Y%m%dT%H%M%SZ}") if own.exists() else None
    try:
        if before is not None:
            own.rename(before)
        _make(own, uri=facts.uri if facts is not None else "")
    except OSError as error:
        if before is not None and not own.exists() and before.exists():
            before.rename(own)
        raise _final(f"no certificate can be written to {own} ({error.strerror or error})") from None
    return before


def install(home: str, certificate: Path, key: Path) -> Path | None:
    """Show this pair (PEM) from now on, in place of the one that was made here; gives where that one is kept.

    Raises:
        DriverError: They can't be read, don't belong together, or the folder can't be written.
    """
    loaded = load_certificate(certificate)
    check_pair(certificate, loaded, key)
    own = folder(home) / "own"
    before = own.with_name(f"own-until-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}") if own.exists() else None
    try:
        if before is not None:
            own.rename(before)
        _write_pair(own, loaded, load_key(key))
    except OSError as error:
        if before is not None and not own.exists() and before.exists():
            before.rename(own)
        raise _final(f"no certificate can be written to {own} ({error.strerror or error})") from None
    return before


def _make(own: Path, *, uri: str = "") -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname()) or "localhost"
    certificate = self_signed(key, uri=uri or f"urn:{host}:nexus", host=host, name="NEXUS")
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write_pair(own, certificate, pem)


def _write_pair(own: Path, certificate: x509.Certificate, pem: bytes) -> None:
    """Write both files into a new folder and rename it: a crash or a second gateway never sees half a pair."""
    own.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    staged = Path(tempfile.mkdtemp(prefix="own-", dir=own.parent))
    try:
        (staged / "certificate.der").write_bytes(certificate.public_bytes(serialization.Encoding.DER))
        with os.fdopen(os.open(staged / "private_key.pem", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
        staged.rename(own)
    except OSError:
        shutil.rmtree(staged, ignore_errors=True)
        if not (own / "private_key.pem").exists():  # else another gateway of this home was faster
            raise


def self_signed(key: rsa.RSAPrivateKey, *, uri: str, host: str, name: str) -> x509.Certificate:
    """An application instance certificate with the ApplicationURI and the host in its SAN."""
    subject = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, name), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "NEXUS")]
    )
    now = datetime.now(UTC)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=True,
        data_encipherment=True,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365 * YEARS_VALID))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri), x509.DNSName(host)]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def load_certificate(path: Path) -> x509.Certificate:
    """Read a PEM or DER certificate.

    Raises:
        DriverError: No such file, or not a certificate.
    """
    try:
        return certificates.read(path.read_bytes())
    except OSError as error:
        raise _final(f"the certificate {path} can't be read ({error.strerror or error})") from None
    except ValueError:
        raise _final(f"{path} is not a certificate in PEM or DER") from None


def check_pair(path: Path, certificate: x509.Certificate, key: Path) -> Any:
    """The private key of a certificate.

    Raises:
        DriverError: It can't be read, or is another's.
    """
    data = load_key(key)
    try:
        loaded = serialization.load_pem_private_key(data, None)
    except TypeError:
        raise _final(f"the private key {key} is locked by a passphrase; a gateway needs it without one") from None
    except (ValueError, UnsupportedAlgorithm):
        raise _final(f"{key} is not a private key in PEM") from None
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    if loaded.public_key().public_bytes(*form) != certificate.public_key().public_bytes(*form):
        raise _final(f"the private key {key} is not that of the certificate {path}")
    return loaded


def application_uri(certificate: x509.Certificate) -> str:
    """The URI in the SAN, which must be what we call ourselves; "" when there is none."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ""
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    return uris[0] if uris else ""


def thumbprint(der: bytes) -> str:
    """SHA-1 in upper-case hex, as servers show it in their trust lists. Source: OPC 10000-6 §6.2.2."""
    return hashlib.sha1(der, usedforsecurity=False).hexdigest().upper()


def fingerprints(der: bytes) -> tuple[str, str]:
    """SHA-1 and SHA-256, lower-case hex: what `trust` may hold."""
    return hashlib.sha1(der, usedforsecurity=False).hexdigest(), hashlib.sha256(der).hexdigest()


def check_trust(der: bytes, *, trust: str, endpoint: str, home: str) -> Path | None:
    """Is this the server we mean?

    With `trust`, its certificate must be that one. Without, the first certificate seen is kept after the session
    opened (`keep`), and another one is refused from then on.

    Returns:
        Where to keep a certificate that was seen for the first time, else None.

    Raises:
        DriverError: Another certificate than expected; not retriable.
    """
    sha1, sha256 = fingerprints(der)
    shown = f"the certificate with thumbprint {sha1.upper()} (SHA-256 {sha256})"
    if trust:
        try:
            wanted = fingerprint(trust)
        except ValueError as error:
            raise _final(f"'trust' of {endpoint}: {error}") from None
        if wanted is not None:
            expected = wanted in (sha1, sha256)
        else:
            known = load_certificate(Path(trust))
            expected = known.public_bytes(serialization.Encoding.DER) == der
        if expected:
            return None
        raise _final(
            f"{endpoint} shows {shown}, which is not the one under 'trust'; if it is right, set `trust: {sha256}`"
        )
    kept = kept_file(endpoint, home)
    if not kept.exists():
        return kept
    if kept.read_bytes() == der:
        return None
    raise _final(
        f"{endpoint} shows another certificate than before: {shown}; if it is right, run `nexus certs forget {endpoint}` "
        f"(it removes {kept}) or set `trust: {sha256}`"
    )


def kept_file(endpoint: str, home: str) -> Path:
    """Where the certificate of a server is kept."""
    name = re.sub(r"[^A-Za-z0-9.-]+", "_", endpoint.removeprefix("opc.tcp://"))
    return folder(home) / "servers" / f"{name}.der"


def keep(path: Path, der: bytes) -> None:
    """Remember a server's certificate, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    staged = path.with_suffix(f".{os.getpid()}.tmp")
    staged.write_bytes(der)
    staged.replace(path)
    LOG.info("keeping the certificate of %s, SHA-256 %s", path.stem, fingerprints(der)[1])


def _final(message: str) -> DriverError:
    return DriverError(
        message,
        scope=Scope.SESSION,
        retriable=False,
        reason=Reason.ACCESS_DENIED,
        kind=FailureKind.CERTIFICATE,
    )


def first_certificate(chain: bytes, endpoint: str) -> bytes:
    """The leading certificate of a DER blob that may hold a chain.

    Raises:
        DriverError: There is none.
    """
    # Source: X.690 §8.1.3: a long-form SEQUENCE of two length bytes.
    if len(chain) < 4 or chain[0] != 0x30:
        raise _final(f"{endpoint} shows no certificate, so that nothing can be encrypted for it")
    return chain[: int.from_bytes(chain[2:4], "big") + 4]


def load_key(path: Path) -> bytes:
    """A private key's PEM bytes.

    Raises:
        DriverError: The file can't be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise _final(f"the private key {path} can't be read ({type(error).__name__})") from None
