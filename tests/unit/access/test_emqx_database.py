"""Rules as JSON, tokens, bootstrap users, the configuration, and the choice between file and database."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from nexus_cli.access.accounts import Accounts
from nexus_cli.access.brokers.emqx.engine import AclFile, Broker, Database, TokenRules
from nexus_cli.access.brokers.emqx.form import MOST_IN_A_FILE, volume_of
from nexus_cli.access.brokers.emqx.hocon import Tls, Wanted, configuration
from nexus_cli.access.brokers.emqx.jwt import MAX_TOKEN_BYTES, read_token, token
from nexus_cli.access.brokers.emqx.rules import database_rules
from nexus_cli.access.brokers.emqx.users import bootstrap_users
from nexus_cli.access.brokers.forms.asked import Asked
from nexus_cli.access.brokers.registry import BROKERS, render_proven
from nexus_cli.access.grants import Grant
from nexus_cli.access.passwords import hash_password
from nexus_cli.diagnostics.errors import NexusError
from tests.unit.access.emqx_asking import request

ACME = Accounts("acme", "chicago")
SECRET = "k" * 32
GRANTS = (
    Grant("anna", "publish", "acme/chicago/x", "role operator", (0, 1), False),
    Grant("anna", "subscribe", "acme/chicago/mixing/+", "role operator"),
    Grant("nexus.control", "publish", "acme/chicago/#", "role control"),
)
CONTROL_IDS = "^nexus\\.control@acme\\.chicago-[a-z0-9._-]+-[0-9a-f]{24}$"


def test_entries_of_the_database_before_59() -> None:
    rendered = database_rules(GRANTS, ACME)
    assert list(rendered.users) == [
        {
            "username": "anna@acme.chicago",
            "rules": [
                {"topic": "eq acme/chicago/mixing/#", "permission": "deny", "action": "subscribe"},
                {
                    "topic": "acme/chicago/x",
                    "permission": "allow",
                    "action": "publish",
                    "qos": [0, 1],
                    "retain": False,
                },
                {"topic": "acme/chicago/mixing/+", "permission": "allow", "action": "subscribe"},
            ],
        },
        {
            "username": "nexus.control@acme.chicago",
            "rules": [{"topic": "acme/chicago/#", "permission": "allow", "action": "publish"}],
        },
    ]
    assert [(note.code, note.rule) for note in rendered.notes] == [
        ("NX7013", "nexus.control@acme.chicago: its client ids")
    ]
    assert rendered.most == 3


def test_from_59_on_the_rules_of_our_own_processes_name_their_client_ids() -> None:
    rendered = database_rules(GRANTS, ACME, version=(5, 9, 0))
    assert rendered.notes == ()
    assert rendered.users[1]["rules"] == [
        {"topic": "acme/chicago/#", "permission": "allow", "action": "publish", "clientid_re": CONTROL_IDS}
    ]
    database = Database.read(users=rendered.users, version=(5, 9, 0))
    broker = Broker(sources=(database,), no_match="deny", version=(5, 9, 0))
    account = "nexus.control@acme.chicago"
    own = f"{account}-control-{'a' * 24}"
    assert broker.decide(request("publish", "acme/chicago/x", account, client_id=own)).allowed
    assert not broker.decide(request("publish", "acme/chicago/x", account, client_id="other")).allowed


def test_a_user_with_too_many_rules_is_named_with_the_number_to_set() -> None:
    many = [Grant("anna", "publish", f"t/{number}") for number in range(150)]
    with pytest.raises(NexusError) as error:
        database_rules(many, ACME)
    assert error.value.code == "NX7022"
    assert "anna@acme.chicago" in error.value.message
    assert "max_rules = 150" in error.value.hint
    assert database_rules(many, ACME, max_rules=150).most == 150


def test_a_token_holds_the_rights_of_its_user_and_no_others() -> None:
    signed = token(GRANTS, ACME, "anna", secret=SECRET, ttl_s=3600, issued_s=1000, token_id="1")
    claims = read_token(signed, key=SECRET, now_s=1001)
    acl = claims.pop("acl")
    assert claims == {
        "sub": "anna",
        "username": "anna@acme.chicago",
        "aud": "mqtt",
        "iat": 1000,
        "exp": 4600,
        "jti": "1",
    }
    fields = {field for rule in acl for field in rule}
    assert fields == {"topic", "topics", "permission", "action", "qos", "retain"}
    behind = AclFile.read("{allow, all}.")
    for now, allowed in ((1001, True), (4601, False)):
        rules = TokenRules.read({"acl": acl, "exp": claims["exp"]}, now_s=now)
        broker = Broker(sources=(behind,), token=rules)
        assert broker.decide(request("publish", "acme/chicago/x")).allowed is allowed
        assert not broker.decide(request("publish", "acme/chicago/y")).allowed
        assert not broker.decide(request("subscribe", "acme/chicago/mixing/#")).allowed
        assert broker.decide(request("subscribe", "acme/chicago/mixing/a")).allowed is allowed


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_tokens_are_signed_with_private_keys_too(algorithm: str) -> None:
    private = (
        rsa.generate_private_key(public_exponent=65537, key_size=2048)
        if algorithm == "RS256"
        else ec.generate_private_key(ec.SECP256R1())
    )
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    signed = token(GRANTS, ACME, "anna", secret=pem, ttl_s=60, issued_s=0, kid="one")
    assert read_token(signed, key=public, now_s=1, algorithm=algorithm)["username"] == "anna@acme.chicago"


@pytest.mark.parametrize(
    "reading",
    [
        {"key": "z" * 32, "now_s": 1},
        {"key": SECRET, "now_s": 60},
        {"key": SECRET, "now_s": 1, "audience": "api"},
        {"key": SECRET, "now_s": 1, "algorithm": "RS256"},
    ],
)
def test_a_forged_expired_or_foreign_token_is_refused(reading: dict[str, Any]) -> None:
    signed = token(GRANTS, ACME, "anna", secret=SECRET, ttl_s=60, issued_s=0)
    assert read_token(signed, key=SECRET, now_s=1)
    with pytest.raises(NexusError) as error:
        read_token(signed, **reading)
    assert error.value.code == "NX7023"
    with pytest.raises(NexusError):
        read_token(signed[:-6] + "AAAAAA", key=SECRET, now_s=1)


def test_a_token_that_is_too_large_is_refused_with_the_way_out() -> None:
    many = [Grant("anna", "publish", f"acme/chicago/area/line/device/tag-{number}") for number in range(300)]
    with pytest.raises(NexusError) as error:
        token(many, ACME, "anna", secret=SECRET, ttl_s=60, issued_s=0)
    assert error.value.code == "NX7023"
    assert "built-in database" in error.value.hint
    assert len(token(many[:40], ACME, "anna", secret=SECRET, ttl_s=60, issued_s=0)) <= MAX_TOKEN_BYTES


@pytest.mark.parametrize(
    "wrong",
    [{"secret": "short"}, {"ttl_s": 0}, {"secret": "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----"}],
)
def test_a_key_or_lifetime_that_will_not_do_is_refused_without_showing_the_key(wrong: dict[str, Any]) -> None:
    with pytest.raises(NexusError) as error:
        token(GRANTS, ACME, "anna", **{"secret": SECRET, "ttl_s": 60, "issued_s": 0, **wrong})
    assert error.value.code == "NX7023"
    shown = f"{error.value.message}{error.value.cause}{error.value.hint}"
    assert SECRET not in shown
    assert "-----BEGIN" not in shown


def test_bootstrap_users_hold_the_hash_that_emqx_computes() -> None:
    hashes = hash_password("pass word,", argon2id=False, iterations=1000)
    (user,) = json.loads(bootstrap_users({"anna@acme.chicago": hashes}, iterations=1000))
    assert user["user_id"] == "anna@acme.chicago"
    assert user["is_superuser"] is False
    made = hashlib.pbkdf2_hmac("sha256", b"pass word,", user["salt"].encode(), 1000, 32).hex()
    assert user["password_hash"] == made
    assert set(user) == {"user_id", "password_hash", "salt", "is_superuser"}


def test_a_hash_that_the_authenticator_could_not_check_is_refused() -> None:
    hashes = hash_password("p", argon2id=False, iterations=1000)
    with pytest.raises(NexusError):
        bootstrap_users({"anna": hashes}, iterations=2000)
    with pytest.raises(NexusError):
        bootstrap_users({"an,na": hashes}, iterations=1000)


def test_the_configuration_has_the_keys_that_emqx_reads() -> None:
    found = _hocon(configuration(Wanted(public_key_path="etc/nexus.pem", tls=Tls(mutual=True))))
    assert found["authorization"] == {
        "no_match": "deny",
        "deny_action": "ignore",
        "cache": {"enable": "true", "max_size": "64", "ttl": "1m"},
        "sources": [{"type": "file", "enable": "true", "path": "etc/acl.conf"}],
    }
    tokens, passwords = found["authentication"]
    assert tokens == {
        "mechanism": "jwt",
        "from": "password",
        "use_jwks": "false",
        "algorithm": "public-key",
        "public_key": "etc/nexus.pem",
        "acl_claim_name": "acl",
        "disconnect_after_expire": "true",
        "verify_claims": {"username": "${username}", "aud": "mqtt"},
    }
    assert passwords == {
        "mechanism": "password_based",
        "backend": "built_in_database",
        "user_id_type": "username",
        "password_hash_algorithm": {"name": "pbkdf2", "mac_fun": "sha256", "iterations": "20000"},
        "bootstrap_file": "etc/users.json",
        "bootstrap_type": "hash",
    }
    assert found["listeners.ssl.default"]["bind"] == "0.0.0.0:8883"
    assert found["listeners.ssl.default"]["ssl_options"]["fail_if_no_peer_cert"] == "true"
    assert found["listeners.tcp.default.enable"] == "false"


def test_the_database_form_raises_max_rules_only_where_it_must() -> None:
    def source(most: int) -> dict[str, Any]:
        return dict(_hocon(configuration(Wanted(form="database", most_rules=most)))["authorization"]["sources"][0])

    assert source(100) == {"type": "built_in_database", "enable": "true"}
    assert source(150) == {"type": "built_in_database", "enable": "true", "max_rules": "150"}


@pytest.mark.parametrize(("version", "there"), [((5, 8), False), ((6, 2, 2), False), ((6, 3, 0), True)])
def test_keys_of_later_versions_are_written_for_them_alone(version: tuple[int, ...], there: bool) -> None:
    found = _hocon(configuration(Wanted(version=version)))["authorization"]
    assert ("include_mountpoint" in found) is there


def test_no_configuration_holds_a_secret() -> None:
    text = configuration(Wanted(form="database", public_key_path="p.pem", tls=Tls()))
    assert not re.search(r"^\s*(secret|password)\s*=", text, re.MULTILINE)


def test_many_rules_go_into_the_database_and_few_into_a_file() -> None:
    few = volume_of(GRANTS)
    assert (few.form, few.rules) == ("file", 3)
    many = volume_of([Grant(f"u{number}", "publish", "t") for number in range(MOST_IN_A_FILE + 1)])
    assert many.form == "database"
    assert many.reason.startswith("2,001 rules for 2,001 accounts, about 80 µs a check")


@pytest.mark.parametrize("version", ["", "5.8", "5.10", "6.3"])
@pytest.mark.parametrize("users", [1, MOST_IN_A_FILE + 1])
def test_the_form_of_the_command_line_is_read_back_and_says_what_the_grants_say(version: str, users: int) -> None:
    grants = [*GRANTS, *(Grant(f"u{number}", "publish", f"t/{number}") for number in range(users))]
    hashes = {"anna": hash_password("p", argon2id=False)}
    asked = Asked(grants=grants, accounts=ACME, hashes=hashes, version=version)
    made = render_proven(BROKERS["emqx"], asked)
    rules = "acl.conf" if users == 1 else "rules.json"
    assert set(made.files) == {rules, "users.json", "nexus.hocon"}
    assert [note.code for note in made.notes] == (["NX7013"] if users > 1 and version in ("", "5.8") else [])
    assert json.loads(made.files["users.json"])[0]["user_id"] == "anna@acme.chicago"


def _hocon(text: str) -> dict[str, Any]:
    """A reader for what is written here: objects, lists, texts and words."""
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    tokens = re.findall(r'"(?:[^"\\]|\\.)*"|[{}\[\],=]|[^\s{}\[\],="]+', lines)
    value, rest = _object(tokens)
    assert rest == []
    return value


def _object(tokens: list[str]) -> tuple[dict[str, Any], list[str]]:
    found: dict[str, Any] = {}
    while tokens and tokens[0] != "}":
        key, *tokens = tokens
        assert key not in found
        if tokens[0] == "=":
            tokens = tokens[1:]
        found[key], tokens = _value(tokens)
    return found, tokens


def _value(tokens: list[str]) -> tuple[Any, list[str]]:
    first, *tokens = tokens
    if first == "{":
        found, tokens = _object(tokens)
        assert tokens[0] == "}"
        return found, tokens[1:]
    if first == "[":
        items = []
        while tokens[0] != "]":
            item, tokens = _value(tokens)
            items.append(item)
            tokens = tokens[1:] if tokens[0] == "," else tokens
        return items, tokens[1:]
    return json.loads(first) if first.startswith('"') else first, tokens
