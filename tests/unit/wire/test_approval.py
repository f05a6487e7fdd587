"""Approvals: one vector of the encoding, what verifies, and that nothing edited does."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.wire.approval import (
    LARGEST,
    LONGEST_US,
    Approval,
    ApprovalError,
    Predicate,
    make_approval,
    pre_authentication,
    read_approval,
    verify,
)
from nexus_cli.wire.approval_schema import approval_schema

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEYS = {"ann": base64.b64encode(KEY.public_key().public_bytes_raw()).decode()}
EFFECT = "sha256:" + "ab" * 32
SITE = "acme/chicago"
NOW = 1_765_000_000_000_000


def made(*, site: str = SITE, lasts_us: int = 1000, **keys: Any) -> Approval:
    predicate = Predicate(site=site, created_us=NOW, expires_us=NOW + lasts_us, nonce="0" * 16, who="Ann")
    return make_approval(**{"effect": EFFECT, "predicate": predicate, "key": "ann", "sign": KEY.sign} | keys)


def test_the_encoding_is_that_of_dsse() -> None:
    """The example of the protocol's own page."""
    assert pre_authentication("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_an_approval_is_read_back_verified_and_fits_its_schema() -> None:
    data = msgspec.json.encode(made())
    found = verify(read_approval(data), KEYS, site=SITE, effect=EFFECT, now_us=NOW + 999)
    assert (found.key, found.effect, found.predicate.who, len(found.raw)) == ("ann", EFFECT, "Ann", 32)
    document = json.loads(data)
    schema = approval_schema()
    jsonschema.validate(document, schema)
    statement = json.loads(base64.b64decode(document["dsseEnvelope"]["payload"]))
    jsonschema.validate(statement, schema["definitions"]["statement"])
    assert statement["subject"] == [{"name": SITE, "digest": {"sha256": "ab" * 32}}]


@pytest.mark.parametrize(
    ("approval", "now_us", "sentence"),
    [
        (made(), NOW + 1000, "has expired"),
        (made(lasts_us=LONGEST_US + 1), NOW, "more than 90 days"),
        (made(), NOW - 400_000_000, "in the future"),
        (made(site="acme/berlin"), NOW, "for the site acme/berlin, this is acme/chicago"),
        (made(effect="sha256:" + "00" * 32), NOW, "another effect"),
        (made(key="bob"), NOW, "'bob', which is no key on record"),
        (made(sign=Ed25519PrivateKey.generate().sign), NOW, "forged or damaged"),
    ],
)
def test_what_does_not_count_says_why(approval: Approval, now_us: int, sentence: str) -> None:
    with pytest.raises(ApprovalError, match=sentence):
        verify(approval, KEYS, site=SITE, effect=EFFECT, now_us=now_us)


@given(at=st.integers(min_value=0), to=st.integers(0, 255))
def test_a_changed_byte_never_verifies_as_something_else(at: int, to: int) -> None:
    data = bytearray(msgspec.json.encode(made()))
    data[at % len(data)] = to
    try:
        found = verify(read_approval(bytes(data)), KEYS, site=SITE, effect=EFFECT, now_us=NOW)
    except ApprovalError:
        return
    assert found.predicate == verify(made(), KEYS, site=SITE, effect=EFFECT, now_us=NOW).predicate


@given(cut=st.integers(min_value=0))
def test_a_cut_file_is_no_approval(cut: int) -> None:
    data = msgspec.json.encode(made())
    with pytest.raises(ApprovalError, match="it is no approval"):
        read_approval(data[: cut % len(data)])


def test_a_huge_file_is_not_looked_into() -> None:
    with pytest.raises(ApprovalError, match="at most"):
        read_approval(b" " * (LARGEST + 1))


def test_the_published_schema_is_this_one() -> None:
    published = Path(__file__).parents[3] / "schemas" / "approval.schema.json"
    assert json.loads(published.read_text()) == json.loads(json.dumps(approval_schema()))
