"""Certificates and revocation lists as X.509 wants them: values in, signed objects out. See RFC 5280 and OPC 10000-6 §6.2.

The CA has an RSA key, because OPC UA's profiles verify an RSA signature of it (OPC 10000-7, Basic256Sha256). Servers
and clients get P-256 keys, whose handshakes cost a tenth.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from nexus_cli.certificates.names import CertificateKind

CA_KEY_BITS = 3072
OPCUA_KEY_BITS = 2048
BACKDATED = timedelta(minutes=5)
"""For clients whose clock is behind."""
SERIAL_BITS = 128
"""Source: RFC 5280 §4.1.2.2 allows 159; CA/Browser Forum asks for 64 random ones."""
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A certificate to be signed.

    Attributes:
        name: Common name.
        kind: What it is for.
        hosts, addresses: DNS names and IP addresses of its SAN.
        uri: ApplicationURI of its SAN; "" for none.
        days: How long it is valid.
    """

    name: str
    kind: CertificateKind
    hosts: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    uri: str = ""
    days: int


def new_key(kind: CertificateKind) -> Key:
    """A key for a certificate of this kind."""
    if kind is CertificateKind.OPCUA:
        return rsa.generate_private_key(public_exponent=65537, key_size=OPCUA_KEY_BITS)
    return ec.generate_private_key(ec.SECP256R1())


def new_ca_key() -> rsa.RSAPrivateKey:
    """A key for a CA."""
    return rsa.generate_private_key(public_exponent=65537, key_size=CA_KEY_BITS)


def private_pem(key: Key) -> bytes:
    """A key as PEM text, not encrypted: servers start without anybody there."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def pem(signed: x509.Certificate | x509.CertificateRevocationList) -> bytes:
    """A certificate or a list as PEM text."""
    return signed.public_bytes(serialization.Encoding.PEM)


def ca_certificate(key: rsa.RSAPrivateKey, *, name: str, days: int, now: datetime) -> x509.Certificate:
    """A CA of its own that may sign certificates and lists, and no further CA."""
    subject = _subject(name)
    return (
        _begun(subject, subject, key, now=now, until=now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def certificate(
    wanted: Wanted, key: Key, *, ca: x509.Certificate, ca_key: rsa.RSAPrivateKey, now: datetime
) -> x509.Certificate:
    """A certificate signed by the CA; it ends with the CA at the latest."""
    until = min(now + timedelta(days=wanted.days), ca.not_valid_after_utc)
    opcua = wanted.kind is CertificateKind.OPCUA
    usage = _usage(content_commitment=opcua, key_encipherment=opcua, data_encipherment=opcua, digital_signature=True)
    made = (
        _begun(_subject(wanted.name), ca.subject, key, now=now, until=until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage(_purposes(wanted.kind)), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
            ),
            critical=False,
        )
    )
    names = _names(wanted)
    if names:
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return made.sign(ca_key, hashes.SHA256())


def revocation_list(
    revoked: Iterable[tuple[int, datetime]],
    *,
    number: int,
    ca: x509.Certificate,
    ca_key: rsa.RSAPrivateKey,
    now: datetime,
    after: datetime | None,
) -> x509.CertificateRevocationList:
    """The list of revoked certificates.

    It names the end of the CA as its next update: a list that had run out would make listeners refuse everybody, and a
    newer one is put beside them as soon as there is one.

    Args:
        revoked: Serial number and time.
        number: Of the list, rising.
        ca, ca_key: Whose list it is.
        now: UTC.
        after: Time of the list before: of two lists OpenSSL takes the later one.
    """
    at = now - BACKDATED
    if after is not None:
        at = max(at, after + timedelta(seconds=1))
    made = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(ca.subject)
        .last_update(at)
        .next_update(ca.not_valid_after_utc)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
            ),
            critical=False,
        )
    )
    for serial, when in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(when).build()
        made = made.add_revoked_certificate(entry)
    return made.sign(ca_key, hashes.SHA256())


def _begun(
    subject: x509.Name, issuer: x509.Name, key: Key, *, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(secrets.randbits(SERIAL_BITS) | 1)
        .not_valid_before(now - BACKDATED)
        .not_valid_after(until)
    )


def _subject(name: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "NEXUS"), x509.NameAttribute(NameOID.COMMON_NAME, name[:64])]
    )


def _purposes(kind: CertificateKind) -> list[x509.ObjectIdentifier]:
    server, client = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
    return {
        CertificateKind.SERVER: [server],
        CertificateKind.CLIENT: [client],
        CertificateKind.OPCUA: [server, client],
    }[kind]


def _names(wanted: Wanted) -> list[x509.GeneralName]:
    uris: list[x509.GeneralName] = [x509.UniformResourceIdentifier(wanted.uri)] if wanted.uri else []
    addresses = [x509.IPAddress(ipaddress.ip_address(text)) for text in wanted.addresses]
    return [*uris, *(x509.DNSName(host) for host in wanted.hosts), *addresses]


def _usage(**allowed: bool) -> x509.KeyUsage:
    none = dict.fromkeys(
        (
            *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
            *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
        ),
        False,
    )
    return x509.KeyUsage(**{**none, **allowed})
