"""What control asks of the local broker: grants and hashes, in one file that its owner alone reads."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import orjson
import pytest

from nexus_cli.access.accounts import with_second_accounts
from nexus_cli.access.grants import Grant, to_json
from nexus_cli.access.grants_file import Wanted, in_force, mark_applied, read_wanted, wait_in_force
from nexus_cli.access.passwords import Hashes
from nexus_cli.diagnostics.errors import NexusError

ANN = Grant("ann", "publish", "_nexus/e/s/cmd/a/l/d/t/ann", "role operator, write **", retain=False)
BOB = Grant("bob", "subscribe", "e/s/#", "role viewer, read **")
HASH, OTHER = (Hashes(argon2id="", sha512=f"1$c2FsdA==${key}", sha256="1$00$00") for key in ("a2V5", "b3RoZXI="))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    wanted = Wanted((ANN, BOB), {"ann": HASH})
    assert read_wanted(tmp_path) is None
    assert wanted.write(tmp_path) == wanted.digest
    assert read_wanted(tmp_path) == wanted
    assert stat.S_IMODE((tmp_path / "access.json").stat().st_mode) == 0o600


def test_a_file_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    (tmp_path / "access.json").write_bytes(orjson.dumps([{"principal": "bob", "action": "subscribe", "filter": "a/#"}]))
    assert read_wanted(tmp_path) == Wanted((Grant("bob", "subscribe", "a/#"),))
    assert orjson.loads((tmp_path / "access.json").read_bytes()) != to_json(())


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}",
        '{"grants": []}',
        '[{"principal": 1}]',
        '{"grants": [], "people": []}',
        '{"grants": [], "people": {"ann": "x"}}',
    ],
)
def test_a_damaged_file_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "access.json").write_text(text, encoding="utf-8")
    with pytest.raises(NexusError) as caught:
        read_wanted(tmp_path)
    assert caught.value.code == "NX7011"


def test_a_new_password_is_awaited_like_a_new_rule(tmp_path: Path) -> None:
    one, other = Wanted((ANN,), {"ann": HASH}), Wanted((ANN,), {"ann": OTHER})
    assert one.digest != other.digest != Wanted((ANN,)).digest
    mark_applied(tmp_path, one.write(tmp_path))
    assert in_force(tmp_path) == one.digest
    assert asyncio.run(wait_in_force(tmp_path, one.digest))
    assert not asyncio.run(wait_in_force(tmp_path, other.write(tmp_path), timeout_s=0.05))


def test_a_second_account_has_the_same_rights_on_the_same_topics() -> None:
    grants, passwords = with_second_accounts((ANN, BOB), {("ann", "a"): HASH, ("ann", "b"): OTHER, ("bob", "a"): HASH})
    assert passwords == {"ann": HASH, "ann.b": OTHER, "bob": HASH}
    assert [(grant.principal, grant.filter) for grant in grants] == [
        ("ann", ANN.filter),
        ("ann.b", ANN.filter),
        ("bob", BOB.filter),
    ]
    assert all(grant.retain is False for grant in grants if grant.principal.startswith("ann"))


def test_a_user_with_the_name_of_a_second_account_gets_nobody_elses_rights() -> None:
    first, second, own = (Hashes(argon2id="", sha512=text, sha256="") for text in ("first", "second", "own"))
    grants = [Grant("anna", "write", "acme/chicago/cmd/#"), Grant("anna.b", "subscribe", "acme/chicago/a/#")]
    every = {("anna", "a"): first, ("anna", "b"): second, ("anna.b", "a"): own}
    for people in (every, dict(reversed(every.items()))):
        found, hashes = with_second_accounts(grants, people)
        assert found == tuple(grants)
        assert hashes == {"anna": first, "anna.b": own}
    assert with_second_accounts(grants, {("anna", "b"): second}) == (tuple(grants), {}), "declared, without a password"


def test_no_second_account_is_that_of_another_user() -> None:
    other = Grant("ann.b", "subscribe", "e/s/b/#")
    grants, passwords = with_second_accounts((ANN, other), {("ann", "b"): OTHER, ("ann.b", "a"): HASH})
    assert grants == (ANN, other)
    assert passwords == {"ann.b": HASH}
    grants, passwords = with_second_accounts((ANN, other), {("ann", "b"): OTHER})
    assert (grants, passwords) == ((ANN, other), {})
