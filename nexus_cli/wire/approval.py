"""Approvals of a plan: an in-toto statement with the effect digest as its subject, in a DSSE envelope, in a bundle of the
shape that Sigstore has, signed with Ed25519.

An approval names site, effect, expiry and who signs. It holds no part of the plan.

Source: in-toto attestation Statement v1; DSSE protocol v1.0.2 (pre-authentication encoding); Sigstore bundle v0.3.
See docs/decisions/0102.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Annotated

import msgspec

from nexus_cli.wire.signature import ED25519, KeyRules, Signature, SignatureError, checker, public_key

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://nexus-cli.dev/approval/v1"
LARGEST = 64 * 1024
"""Bytes of an approval that is looked into."""
LONGEST_US = 90 * 86_400_000_000
"""An approval is valid for 90 days at most: so long control looks back for its use."""
AHEAD_US = 300_000_000
"""How far the clock of who signs may be ahead of control's."""


class ApprovalError(ValueError):
    """An approval that does not count; the text is a whole sentence without a full stop."""


class Predicate(msgspec.Struct, frozen=True, kw_only=True):
    """What is approved, beside its effect.

    Attributes:
        site: `enterprise/site`.
        base: Digest of the recorded state that the plan was made against; for people, what counts of it is in the effect.
        created_us, expires_us: µs since 1970 UTC, the end outside.
        who: Who signs, as they call themselves; what counts is the key.
        run: Link to the CI run; "".
        nonce: Makes two approvals of one effect different.
    """

    site: Annotated[str, msgspec.Meta(max_length=500)]
    base: Annotated[str, msgspec.Meta(max_length=100)] = ""
    created_us: Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
    expires_us: Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
    who: Annotated[str, msgspec.Meta(max_length=200)] = ""
    run: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    nonce: Annotated[str, msgspec.Meta(min_length=16, max_length=64)]


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """The effect digest, as in-toto has it: algorithm and hex."""

    name: str
    digest: dict[str, str]


class Statement(msgspec.Struct, frozen=True, kw_only=True, rename={"type": "_type", "predicate_type": "predicateType"}):
    """What is signed."""

    type: str
    subject: list[Subject]
    predicate_type: str
    predicate: Predicate


class EnvelopeSignature(msgspec.Struct, frozen=True, kw_only=True):
    """A signature of the envelope, base64, and the name of its key."""

    sig: str
    keyid: Annotated[str, msgspec.Meta(max_length=200)] = ""


class DsseEnvelope(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A DSSE envelope with exactly one signature."""

    payload: str
    payload_type: str
    signatures: Annotated[list[EnvelopeSignature], msgspec.Meta(min_length=1, max_length=1)]


class PublicKeyHint(msgspec.Struct, frozen=True, kw_only=True):
    """Name of the key in `approvals.keys`."""

    hint: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class VerificationMaterial(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How it is verified: by a key that is known by name. Certificates are not taken."""

    public_key: PublicKeyHint


class Approval(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The bundle, as it is in a file."""

    media_type: str
    verification_material: VerificationMaterial
    dsse_envelope: DsseEnvelope


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """An approval that counts, as far as one can see without the record.

    Attributes:
        key: Name of the key.
        raw: Its 32 bytes: two names of one key are one signer.
        id: Of the statement, `sha256:…`: used once.
        effect: That it approves.
        predicate: The rest.
    """

    key: str
    raw: bytes
    id: str
    effect: str
    predicate: Predicate


_decoder = msgspec.json.Decoder(Approval)
_statement = msgspec.json.Decoder(Statement)


def pre_authentication(payload_type: str, payload: bytes) -> bytes:
    """What is signed: `DSSEv1`, then type and payload, each after its length in decimal."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def make_approval(*, effect: str, predicate: Predicate, key: str, sign: Signature) -> Approval:
    """An approval of an effect, signed.

    Args:
        effect: `sha256:…`.
        predicate: Site, times, who.
        key: Name of the key in `approvals.keys`.
        sign: Of that key.
    """
    algorithm, _, value = effect.partition(":")
    statement = Statement(
        type=STATEMENT_TYPE,
        subject=[Subject(name=predicate.site, digest={algorithm: value})],
        predicate_type=PREDICATE_TYPE,
        predicate=predicate,
    )
    payload = msgspec.json.encode(statement)
    signature = sign(pre_authentication(PAYLOAD_TYPE, payload))
    return Approval(
        media_type=MEDIA_TYPE,
        verification_material=VerificationMaterial(public_key=PublicKeyHint(hint=key)),
        dsse_envelope=DsseEnvelope(
            payload=base64.b64encode(payload).decode(),
            payload_type=PAYLOAD_TYPE,
            signatures=[EnvelopeSignature(sig=base64.b64encode(signature).decode(), keyid=key)],
        ),
    )


def read_approval(data: bytes) -> Approval:
    """An approval from a file. Raises ApprovalError: it is none."""
    if len(data) > LARGEST:
        raise ApprovalError(f"it has {len(data)} bytes; an approval has at most {LARGEST}")
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ApprovalError(f"it is no approval: {error}") from None


def verify(approval: Approval, keys: Mapping[str, str], *, site: str, effect: str, now_us: int) -> Verified:
    """See that an approval is genuine, valid now, and for this site and effect.

    Args:
        approval: As it was sent.
        keys: Public keys on record, by name.
        site: `enterprise/site`.
        effect: What the plan does, as it was computed here.
        now_us: µs since 1970 UTC.

    Raises:
        ApprovalError: It does not count, and why.
    """
    name = approval.verification_material.public_key.hint
    if approval.media_type != MEDIA_TYPE or approval.dsse_envelope.payload_type != PAYLOAD_TYPE:
        raise ApprovalError("the approval is a bundle of another kind")
    if name not in keys:
        raise ApprovalError(f"the approval is signed with '{name[:100]}', which is no key on record")
    payload, raw = _authentic(approval, keys[name], name)
    try:
        statement = _statement.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ApprovalError(f"the statement of '{name}' can't be read: {error}") from None
    if statement.type != STATEMENT_TYPE or statement.predicate_type != PREDICATE_TYPE or len(statement.subject) != 1:
        raise ApprovalError(f"the statement of '{name}' is not an approval")
    predicate = statement.predicate
    found = f"sha256:{statement.subject[0].digest.get('sha256', '')}"
    if predicate.site != site or statement.subject[0].name != site:
        raise ApprovalError(f"the approval of '{name}' is for the site {predicate.site}, this is {site}")
    if found != effect:
        raise ApprovalError(f"the approval of '{name}' is for another effect: {found}, the plan's is {effect}")
    if predicate.created_us > now_us + AHEAD_US:
        raise ApprovalError(f"the approval of '{name}' was signed in the future, by the clock of control")
    if predicate.expires_us - predicate.created_us > LONGEST_US:
        raise ApprovalError(f"the approval of '{name}' is valid for more than {LONGEST_US // 86_400_000_000} days")
    if now_us >= predicate.expires_us:
        raise ApprovalError(f"the approval of '{name}' has expired")
    return Verified(
        key=name, raw=raw, id="sha256:" + hashlib.sha256(payload).hexdigest(), effect=found, predicate=predicate
    )


def _authentic(approval: Approval, key: str, name: str) -> tuple[bytes, bytes]:
    """The payload that the key signed, and the key's bytes. Raises ApprovalError."""
    envelope = approval.dsse_envelope
    try:
        payload = base64.b64decode(envelope.payload, validate=True)
        signature = base64.b64decode(envelope.signatures[0].sig, validate=True)
    except (binascii.Error, ValueError):
        raise ApprovalError(f"the approval of '{name}' is not base64") from None
    try:
        check = checker(KeyRules(algorithm=ED25519, principals=[], public=key), secret="")
        raw: bytes = public_key(key).public_bytes_raw()
    except SignatureError as error:
        raise ApprovalError(f"the key '{name}' on record can't be used: {error}") from None
    if not check(pre_authentication(envelope.payload_type, payload), signature):
        raise ApprovalError(f"the approval of '{name}' is forged or damaged: its signature is not of this key")
    return payload, raw
