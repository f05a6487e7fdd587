"""Signed messages: an envelope around any payload, with a key's id, a time and a nonce, that proves who sent it.

The envelope is JSON, so that it passes through every broker and client of MQTT 3.1.1 and 5 alike. What is signed is not the
JSON but the bytes of `signed_bytes`, which have one spelling. docs/signatures.md has a test vector.

See docs/decisions/0097.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import struct
from collections.abc import Callable
from typing import Annotated

import msgspec

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings
from nexus_cli.wire.reading import with_time

HMAC = "hmac-sha256"
ED25519 = "ed25519"
COMMAND, MESSAGE, EXTERNAL = "command", "message", "external"
"""What may be required to be signed: commands, declared messages, messages of external devices."""
DOMAIN = b"nexus.signed.1"
BEGIN = b'{"nexus_signed":'
"""How an envelope begins, blanks aside: everything else is an unsigned payload."""
LARGEST = 64 * 1024
"""Bytes of an envelope that is looked into."""
SHORTEST_SECRET = 32
"""Bytes. Source: RFC 2104 §3, a key shorter than the digest weakens it."""
_LOOKED_AT = 64
Signature = Callable[[bytes], bytes]


class SignatureError(ValueError):
    """A message is not an envelope, or a key can't be used; the text holds no secret."""


class KeyRules(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A key as it is recorded.

    Attributes:
        algorithm: `hmac-sha256` or `ed25519`.
        principals: Who signs with it.
        secret: Of HMAC: a reference, resolved where signatures are checked.
        public: Of Ed25519: 32 bytes in base64, or PEM.
        topics: Path globs of topics of external devices, `area/line/device/…`, whose messages it signs.
        from_us, until_us: When it is valid, µs since 1970 UTC, the end outside; None is no bound.
    """

    algorithm: str
    principals: list[str]
    secret: str = ""
    public: str = ""
    topics: list[str] = []
    from_us: int | None = None
    until_us: int | None = None


class SignatureRules(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What must be signed, and with which keys.

    Attributes:
        require: `command`: every command. `message`: every declared message that control publishes. `external`: every message
            of an external device.
        window_ms: How far the time of a message may lie from ours, both ways.
        keys: By id.
    """

    require: list[str] = []
    window_ms: int = 30_000
    keys: dict[str, KeyRules] = {}


class Envelope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A signed message as JSON.

    Attributes:
        nexus_signed: 1, the version; the first key.
        key: Id of the key.
        time: When it was signed, µs since 1970 UTC.
        nonce: 16 to 64 characters that this key never signs again.
        payload: The payload, base64.
        signature: Base64.
    """

    nexus_signed: Annotated[
        int, msgspec.Meta(description="The version; the first key.", extra_json_schema={"const": 1})
    ]
    key: Annotated[str, msgspec.Meta(min_length=1, max_length=128, description="Id of the key.")]
    time: Annotated[
        int, msgspec.Meta(ge=0, lt=2**53, description="When it was signed, in microseconds since 1970 UTC.")
    ]
    nonce: Annotated[str, msgspec.Meta(min_length=16, max_length=64, description="The key never signs it again.")]
    payload: Annotated[str, msgspec.Meta(description="What was signed, in base64 (RFC 4648).")]
    signature: Annotated[
        str, msgspec.Meta(description="Of HMAC-SHA-256 or Ed25519 over the bytes of docs/signatures.md, in base64.")
    ]


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """An envelope that was read; nothing is proven yet."""

    key: str
    time_us: int
    nonce: str
    payload: bytes
    signature: bytes


_decoder = msgspec.json.Decoder(Envelope)
_encode = msgspec.json.Encoder().encode


def is_signed(payload: bytes) -> bool:
    """Whether it says that it is an envelope."""
    return bytes(payload[:_LOOKED_AT]).translate(None, b" \t\r\n").startswith(BEGIN)


def signed_bytes(*, key: str, topic: str, time_us: int, nonce: str, payload: bytes) -> bytes:
    """What is signed: a domain, then key, topic and nonce in UTF-8 and the payload, each after its length, and the time.

    Lengths are 32-bit and the time is 64-bit, big-endian, in the order domain, key, topic, time, nonce, payload.
    """
    first, second, third = key.encode(), topic.encode(), nonce.encode()
    return b"".join(
        (
            DOMAIN,
            struct.pack(">I", len(first)),
            first,
            struct.pack(">I", len(second)),
            second,
            struct.pack(">qI", time_us, len(third)),
            third,
            struct.pack(">I", len(payload)),
            payload,
        )
    )


def seal(*, key: str, sign: Signature, topic: str, payload: bytes, time_us: int, nonce: str = "") -> bytes:
    """The envelope of a payload for a topic; a fresh nonce unless one is given."""
    nonce = nonce or os.urandom(16).hex()
    signature = sign(signed_bytes(key=key, topic=topic, time_us=time_us, nonce=nonce, payload=payload))
    return _encode(
        Envelope(
            nexus_signed=1,
            key=key,
            time=time_us,
            nonce=nonce,
            payload=base64.b64encode(payload).decode(),
            signature=base64.b64encode(signature).decode(),
        )
    )


def open_envelope(payload: bytes) -> Opened:
    """Read an envelope. Raises SignatureError."""
    if len(payload) > LARGEST:
        raise SignatureError(f"the envelope has {len(payload)} bytes; at most {LARGEST} are read")
    try:
        found = _decoder.decode(payload)
        if found.nexus_signed != 1:
            raise SignatureError(f"version {found.nexus_signed} of signed messages is not known")
        return Opened(
            key=found.key,
            time_us=found.time,
            nonce=found.nonce,
            payload=base64.b64decode(found.payload, validate=True),
            signature=base64.b64decode(found.signature, validate=True),
        )
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, binascii.Error) as error:
        raise SignatureError(f"it is no envelope: {error}") from None


def unsealed_value(payload: bytes) -> bytes:
    """The payload in an envelope on a tag's topic, with the time of the signature where it has none; anything else as it is.

    For who only shows it: nothing is proven.
    """
    if not is_signed(payload):
        return payload
    try:
        found = open_envelope(payload)
    except SignatureError:
        return payload
    return with_time(found.payload, found.time_us)


def checker(rules: KeyRules, *, secret: str) -> Callable[[bytes, bytes], bool]:
    """A function: is a signature (second) that of bytes (first)? `secret` is resolved; unused for Ed25519.

    Raises:
        SignatureError: The secret is too short, or the public key can't be read.
    """
    if rules.algorithm == HMAC:
        made = hmac_signature(secret)
        return lambda data, signature: hmac.compare_digest(made(data), signature)
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - 20 ms, and few sites use it

    public = public_key(rules.public)

    def check(data: bytes, signature: bytes) -> bool:
        try:
            public.verify(signature, data)
        except InvalidSignature:
            return False
        return True

    return check


def hmac_signature(secret: str) -> Signature:
    """What signs with a secret: HMAC-SHA-256 (RFC 2104). Raises SignatureError: it is shorter than 32 bytes."""
    key = secret.encode()
    if len(key) < SHORTEST_SECRET:
        raise SignatureError(f"the secret has {len(key)} bytes; at least {SHORTEST_SECRET} are needed")
    return lambda data: hmac.digest(key, data, hashlib.sha256)


def ed25519_signature(private: str) -> Signature:
    """What signs with a private key of 32 bytes in base64: Ed25519 (RFC 8032). Raises SignatureError."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - as above

    try:
        return Ed25519PrivateKey.from_private_bytes(base64.b64decode(private, validate=True)).sign
    except ValueError:
        raise SignatureError("the private key is not 32 bytes in base64") from None


def public_key(text: str):  # type: ignore[no-untyped-def]
    """An Ed25519 key: 32 bytes, or DER or PEM of it. Raises SignatureError."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key  # noqa: PLC0415

    try:
        if text.lstrip().startswith("-----BEGIN"):
            found = load_pem_public_key(text.encode())
        else:
            raw = base64.b64decode(text, validate=True)
            found = Ed25519PublicKey.from_public_bytes(raw) if len(raw) == 32 else load_der_public_key(raw)
    except ValueError as error:
        raise SignatureError(f"the public key can't be read: {error}") from None
    if not isinstance(found, Ed25519PublicKey):
        raise SignatureError("the public key is not one of Ed25519")
    raw = found.public_bytes_raw()
    if bytes((*raw[:31], raw[31] & 0x7F)) in _SMALL_ORDER:
        raise SignatureError("the public key is a point of small order: anyone can sign for it")
    return found


_SMALL_ORDER = frozenset(
    bytes.fromhex(point)
    for point in (
        "00" * 32,
        "01" + "00" * 31,
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ec" + "ff" * 30 + "7f",
        "ed" + "ff" * 30 + "7f",
        "ee" + "ff" * 30 + "7f",
    )
)
"""Points whose order divides 8, without their sign (RFC 8032 §5.1.3 lets them be decoded; Cremers and Jackson, 2019)."""


def signer_of(settings: Settings) -> tuple[str, Signature] | None:
    """Id and signature of `NEXUS_SIGNING_KEY`, `ID:hmac-sha256:SECRET` or `ID:ed25519:BASE64`; None where none is given.

    Raises:
        NexusError: NX6468, it has another form.
    """
    if not settings.signing_key:
        return None
    key, _, rest = settings.signing_key.partition(":")
    algorithm, _, secret = rest.partition(":")
    try:
        if not key or algorithm not in (HMAC, ED25519):
            raise SignatureError(f"it is not ID:{HMAC}:SECRET or ID:{ED25519}:BASE64")
        return key, hmac_signature(secret) if algorithm == HMAC else ed25519_signature(secret)
    except SignatureError as error:
        raise NexusError("NEXUS_SIGNING_KEY can't be used.", code="NX6468", cause=str(error)) from None
