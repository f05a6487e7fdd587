"""Who calls control, and what each may do."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.identity.auth import Tokens
from nexus_cli.settings import Settings
from nexus_cli.wire.control_access import SCOPES

TOKENS = Tokens({"nexus.cli": "a" * 40, "nexus.gateway.gw": "b" * 40, "nexus.historian": "c" * 40, "empty": ""})


@pytest.mark.parametrize(
    "shown", [None, "", "Bearer", "Bearer ", "bearer wrong", "Basic " + "a" * 40, "Bearer " + "a" * 39, "Bearer \udcff"]
)
def test_everything_else_is_refused(shown: str | None) -> None:
    with pytest.raises(NexusError) as refused:
        TOKENS.caller(shown)
    assert refused.value.code == "NX6401"
    assert "aaaa" not in refused.value.message + refused.value.hint


def test_scopes() -> None:
    cli, gateway, historian = (TOKENS.caller("Bearer " + letter * 40) for letter in "abc")
    assert cli.scopes == frozenset(SCOPES) and cli.may_read_gateway("any") and cli.gateway == ""
    assert gateway.gateway == "gw" and gateway.scopes == {"gateway:read"}
    assert gateway.may_read_gateway("gw") and not gateway.may_read_gateway("gw2")
    assert historian.may("state:read") and not historian.may("apply", "lock:break", "access:admin", "alerts:ack")


def test_an_unknown_principal_of_ours_may_nothing() -> None:
    assert Tokens({"nexus.backup": "e" * 40}).caller("Bearer " + "e" * 40).scopes == frozenset()


def test_our_own_token_from_the_environment_counts_too() -> None:
    settings = Settings(principal="nexus.control", control_token="own", credentials={"api": {"nexus.cli": "x"}})
    tokens = Tokens.of(settings)
    assert tokens.caller("Bearer own").principal == "nexus.control"
    assert tokens.caller("Bearer x").principal == "nexus.cli"
    with pytest.raises(NexusError):
        Tokens.of(Settings()).caller("Bearer ")


def test_a_declared_user_has_no_right_of_the_office() -> None:
    anna = Tokens({"anna": "d" * 40}).caller("Bearer " + "d" * 40)
    assert not (anna.office or anna.scopes or anna.may_read_gateway("gw"))


def test_who_was_applied_while_control_runs_is_known_by_the_file(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, credentials={"api": {"nexus.cli": "x"}})
    tokens = Tokens.of(settings)
    with pytest.raises(NexusError):
        tokens.caller("Bearer fresh")
    (tmp_path / "credentials.json").write_text('{"api": {"nexus.cli": "x", "anna": "fresh"}}')
    assert tokens.caller("Bearer fresh").principal == "anna"
    assert tokens.caller("Bearer x").principal == "nexus.cli"
    (tmp_path / "credentials.json").write_text("no JSON, longer than before")
    assert tokens.caller("Bearer fresh").principal == "anna"
