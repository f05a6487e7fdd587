"""Signed tokens: ours, for this site, and nothing else."""

from __future__ import annotations

import base64
import json
import os
import stat
from pathlib import Path
from typing import Any

import jwt
import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.identity.signing import SigningKeys
from nexus_cli.runtime.identity.tokens import LEEWAY_US, Claims, looks_signed, read, sign

NOW = 1_800_000_000_000_000
SITE = "acme/chicago"


def claims(**more: Any) -> Claims:
    return Claims(**({"token_id": "01J", "principal": "anna", "expires": NOW + 60_000_000} | more))


@pytest.fixture
def keys(tmp_path: Path) -> SigningKeys:
    return SigningKeys(tmp_path / "home" / "signing.json")


def made(keys: SigningKeys, **more: Any) -> str:
    return sign(keys, claims(**more), site=SITE, scopes=["*"], now_us=NOW)


def code_of(keys: SigningKeys, token: str, *, site: str = SITE, now_us: int = NOW) -> str:
    with pytest.raises(NexusError) as refused:
        read(keys, token, site=site, now_us=now_us)
    assert token not in refused.value.message + refused.value.cause + refused.value.hint
    return refused.value.code


def forged(keys: SigningKeys, *, header: dict[str, Any] | None = None, key: Any = None, **body: Any) -> str:
    current = keys.current()
    plain = jwt.decode(made(keys), options={"verify_signature": False}) | body
    kid = {"kid": current.kid} | (header or {})
    return jwt.encode(plain, current.bytes if key is None else key, algorithm="HS256", headers=kid)


def test_there_and_back(keys: SigningKeys) -> None:
    for wanted in (claims(), claims(issuer="https://login", groups=("a", "b"))):
        token = sign(keys, wanted, site=SITE, scopes=["*"], now_us=NOW)
        assert looks_signed(token) and read(keys, token, site=SITE, now_us=NOW) == wanted


def test_what_a_token_says(keys: SigningKeys) -> None:
    token = made(keys)
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT", "kid": keys.current().kid}
    body = jwt.decode(token, options={"verify_signature": False})
    assert body == {
        "iss": "nexus",
        "aud": "nexus-api:acme/chicago",
        "sub": "anna",
        "jti": "01J",
        "scope": "*",
        "iat": NOW // 1_000_000,
        "exp": NOW // 1_000_000 + 60,
    }


def test_expired_within_the_leeway_it_still_counts(keys: SigningKeys) -> None:
    token, end = made(keys), NOW + 60_000_000
    assert read(keys, token, site=SITE, now_us=end + LEEWAY_US - 1).principal == "anna"
    assert code_of(keys, token, now_us=end + LEEWAY_US) == "NX6412"


def test_forged_signature_other_site_other_issuer_and_audience(keys: SigningKeys) -> None:
    token = made(keys)
    head, body, signature = token.split(".")
    assert code_of(keys, f"{head}.{body}.{signature[:-4]}AAAA") == "NX6401"
    assert code_of(keys, token, site="acme/berlin") == "NX6401"
    assert code_of(keys, forged(keys, iss="other")) == "NX6401"
    assert code_of(keys, forged(keys, aud="nexus-web:acme/chicago")) == "NX6401"
    assert code_of(keys, forged(keys, key=b"k" * 32)) == "NX6401"
    assert code_of(keys, forged(keys, header={"kid": "unknown"})) == "NX6401"
    assert code_of(keys, forged(keys, header={"kid": "../../etc/passwd"})) == "NX6401"
    assert read(keys, forged(keys), site=SITE, now_us=NOW).principal == "anna"  # the forger's tool itself is right


@pytest.mark.parametrize("missing", ["iss", "aud", "sub", "jti", "exp", "iat"])
def test_every_claim_is_needed(keys: SigningKeys, missing: str) -> None:
    body = jwt.decode(made(keys), options={"verify_signature": False})
    del body[missing]
    key = keys.current()
    token = jwt.encode(body, key.bytes, algorithm="HS256", headers={"kid": key.kid})
    assert code_of(keys, token) == "NX6401"


@pytest.mark.parametrize(
    "odd",
    [
        *({"sub": 1}, {"sub": None}, {"groups": "a"}, {"idp": 5}),
        *({"jti": each} for each in (["a"], "", "a\x00b", "a b", "a" * 65)),
        *({"exp": each} for each in ("later", 1e300, True, 0, -1, 2**63, 2**70)),
    ],
)
def test_claims_of_another_type(keys: SigningKeys, odd: dict[str, Any]) -> None:
    body = jwt.decode(made(keys), options={"verify_signature": False}) | odd
    key = keys.current()
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT", "kid": key.kid}, body)]
    text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    digest = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(text, key.bytes)
    token = text + b"." + base64.urlsafe_b64encode(digest).rstrip(b"=")
    assert code_of(keys, token.decode()) == "NX6401"


@pytest.mark.parametrize("algorithm", ["none", "HS384", "HS512", "RS256", "ES256"])
def test_the_algorithm_is_pinned(keys: SigningKeys, algorithm: str) -> None:
    body, key = jwt.decode(made(keys), options={"verify_signature": False}), keys.current()
    head = base64.urlsafe_b64encode(json.dumps({"alg": algorithm, "kid": key.kid}).encode()).rstrip(b"=").decode()
    if algorithm.startswith("HS"):
        token = jwt.encode(body, key.bytes * 2, algorithm=algorithm, headers={"kid": key.kid})
        token = token.rsplit(".", 1)[0] + "." + jwt.encode(body, key.bytes, algorithm="HS256").rsplit(".", 1)[1]
    else:
        token = head + "." + made(keys).split(".", 1)[1]
    assert code_of(keys, token) == "NX6401"
    assert code_of(keys, head + "." + made(keys).split(".")[1] + ".") == "NX6401"


def test_too_long_and_nonsense(keys: SigningKeys) -> None:
    made(keys)
    for token in (
        "eyJ" + "a" * 9000 + "..",
        "eyJ..",
        "eyJhbGciOiJIUzI1NiJ9.e30.x",
        "a.b.c",
        "eyJ" + "[" * 5000 + "..",
        "…",
    ):
        assert code_of(keys, token) == "NX6401"


def test_two_keys_are_valid_while_one_replaces_the_other(keys: SigningKeys) -> None:
    first = made(keys)
    new, old = keys.renew()
    assert old is not None and old.kid != new.kid == keys.current().kid
    second = made(keys)
    assert {read(keys, token, site=SITE, now_us=NOW).principal for token in (first, second)} == {"anna"}
    keys.renew()
    assert code_of(keys, first) == "NX6401"
    assert read(keys, second, site=SITE, now_us=NOW).principal == "anna"


def test_the_file_is_private_and_shared_by_every_control_of_the_folder(tmp_path: Path) -> None:
    file = tmp_path / "home" / "signing.json"
    one, other = SigningKeys(file), SigningKeys(file)
    assert one.current() == other.current()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    one.renew()
    assert other.current() == one.current() and stat.S_IMODE(file.stat().st_mode) == 0o600
    assert os.listdir(file.parent) == ["signing.json"]


def test_a_damaged_file_is_said_and_replaced_by_nothing(tmp_path: Path) -> None:
    file = tmp_path / "signing.json"
    for content in ("no JSON", '{"keys": [{"kid": "a", "secret": "zz", "made": 1}]}', "{}"):
        file.write_text(content)
        with pytest.raises(NexusError) as refused:
            SigningKeys(file).current()
        assert refused.value.code == "NX6424" and file.read_text() == content
