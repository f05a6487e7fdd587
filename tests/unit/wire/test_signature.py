"""Signed messages: the test vector of docs/signatures.md, and one spelling of what is signed."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings
from nexus_cli.wire.signature import (
    SignatureError,
    ed25519_signature,
    hmac_signature,
    is_signed,
    open_envelope,
    public_key,
    seal,
    signed_bytes,
    signer_of,
)

TOPIC = "_nexus/acme/chicago/cmd/packaging/line-1/filler/setpoint/mes"
PAYLOAD = b'{"id":"1","value":42.5,"expires_at":1800000010000000}'
NONCE = "00112233445566778899aabbccddeeff"
TIME_US = 1_800_000_000_000_000
SECRET = "a-secret-of-at-least-thirty-two-bytes"
PRIVATE = base64.b64encode(bytes(range(32))).decode()
HMAC_SAYS = "9aV2xdLPpdfRiVQxw7Wxd2INy5GKfDzCl+kMCk5Dgqc="
ED25519_SAYS = "6ET0gbLIhTk7njy3eYX0KYUlCn86UzzJaINnD1wE4rrIwqFWzigO0grCA9Zgfj2gRJtzoB4kZS4HR6o2UBdACQ=="


def test_the_vector_of_the_docs() -> None:
    data = signed_bytes(key="mes-2026", topic=TOPIC, time_us=TIME_US, nonce=NONCE, payload=PAYLOAD)
    digest = "7661999addebfd2ac6a1f5ab4cd87ddc07fa1ed7a993b3d49631b63f5578e1cd"
    assert (len(data), hashlib.sha256(data).hexdigest()) == (191, digest)
    assert base64.b64encode(hmac_signature(SECRET)(data)).decode() == HMAC_SAYS
    assert base64.b64encode(ed25519_signature(PRIVATE)(data)).decode() == ED25519_SAYS
    text = (Path(__file__).parents[3] / "docs" / "signatures.md").read_text(encoding="utf-8")
    for said in (digest, HMAC_SAYS, ED25519_SAYS, NONCE, TOPIC, PAYLOAD.decode(), SECRET, PRIVATE):
        assert said in text, said


def test_no_two_messages_have_the_same_bytes() -> None:
    def of(key: str, topic: str, nonce: str, payload: bytes) -> bytes:
        return signed_bytes(key=key, topic=topic, time_us=1, nonce=nonce, payload=payload)

    found = {of("a", "bc", "d", b"e"), of("ab", "c", "d", b"e"), of("a", "b", "cd", b"e"), of("a", "bc", "", b"de")}
    assert len(found) == 4


def test_an_envelope_is_opened_and_nothing_else_is_one() -> None:
    sealed = seal(key="k", sign=hmac_signature(SECRET), topic=TOPIC, payload=PAYLOAD, time_us=TIME_US)
    opened = open_envelope(sealed)
    assert (opened.key, opened.time_us, opened.payload) == ("k", TIME_US, PAYLOAD)
    assert is_signed(sealed) and is_signed(b'{ "nexus_signed" : 1') and not is_signed(PAYLOAD) and not is_signed(b"")
    for wrong in (PAYLOAD, sealed[:-1], b"[" * 100_000, sealed.replace(b'signed":1', b'signed":2'), b"\xff"):
        with pytest.raises(SignatureError):
            open_envelope(wrong)


@pytest.mark.parametrize(
    "text", ["secret", "k:md5:x", f":hmac-sha256:{SECRET}", "k:hmac-sha256:short", "k:ed25519:AAAA", "k:ed25519:%"]
)
def test_a_signing_key_that_can_not_be_used_is_named(text: str) -> None:
    with pytest.raises(NexusError) as refused:
        signer_of(Settings(signing_key=text))
    assert refused.value.code == "NX6468" and SECRET not in str(refused.value.cause)
    assert signer_of(Settings()) is None


@pytest.mark.parametrize(
    "point",
    [
        "00" * 32,
        "00" * 31 + "80",
        "01" + "00" * 31,
        "ec" + "ff" * 30 + "7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    ],
)
def test_a_public_key_that_anyone_can_sign_for_is_refused(point: str) -> None:
    with pytest.raises(SignatureError, match=r"small order|can't be read"):
        public_key(base64.b64encode(bytes.fromhex(point)).decode())


def test_a_public_key_is_raw_der_or_pem() -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32))).public_key()
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    for text in (base64.b64encode(key.public_bytes_raw()).decode(), base64.b64encode(der).decode(), pem):
        assert public_key(text).public_bytes_raw() == key.public_bytes_raw()
