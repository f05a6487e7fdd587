"""Client ids and share groups can't be guessed, and all historians of a site share one group."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from nexus_cli.access.accounts import Accounts
from nexus_cli.settings import Settings
from nexus_cli.wire.identity import client_id, share_group

GATEWAY = Settings(principal="nexus.gateway.gw-1", broker_user="nexus.gateway.gw-1@acme.chicago")


def test_every_connection_has_an_id_of_its_own() -> None:
    made = {client_id(GATEWAY, "record") for _ in range(100)}
    assert len(made) == 100
    prefix = "nexus.gateway.gw-1@acme.chicago-record-"
    assert all(one.startswith(prefix) and len(one.removeprefix(prefix)) == 24 for one in made)
    assert client_id(Settings(), "tail").startswith("nexus.cli-tail-")


@pytest.mark.parametrize("shared", [True, False])
def test_a_broker_knows_our_ids_by_their_form(shared: bool) -> None:
    accounts = Accounts("acme", "chicago", shared=shared)
    pattern = re.compile(accounts.client_ids("nexus.gateway.gw-1") or "")
    ours = replace(GATEWAY, broker_user=accounts.account("nexus.gateway.gw-1"))
    assert pattern.search(client_id(ours, "record")) and pattern.search(client_id(ours, "commands"))
    for other in ("nexus.gateway.gw-11", "nexus.gateway.gw", "nexusxgateway.gw-1"):
        assert not pattern.search(client_id(replace(ours, broker_user=accounts.account(other)), "record"))
    assert not pattern.search("x" + client_id(ours, "record")) and not pattern.search(client_id(ours, "record") + "x")
    assert pattern.search(client_id(ours, "Historian Ä")), "a name that somebody chose"
    assert accounts.client_ids("ann") is None


def test_two_sites_have_no_account_in_common() -> None:
    one, other = Accounts("a.b", "c"), Accounts("a", "b.c")
    assert one.account("ann") == "ann@a..b.c" and other.account("ann") == "ann@a.b..c"
    assert one.principal("ann@a..b.c") == "ann" and one.principal(other.account("ann")) is None
    assert one.principal("@a..b.c") is None and one.principal("ann") is None
    assert Accounts("a", "b", shared=False).principal("ann") == "ann"


def test_the_group_is_the_same_for_one_password_and_site_alone() -> None:
    one = Settings(site="acme/chicago", broker_password="a-password")
    assert share_group(one) == share_group(Settings(site="acme/chicago", broker_password="a-password"))
    others = {
        share_group(Settings(site="acme/chicago", broker_password="another")),
        share_group(Settings(site="acme/boston", broker_password="a-password")),
        share_group(Settings(site="acme/chicago")),
    }
    assert len(others | {share_group(one)}) == 4
    assert "a-password" not in share_group(one)
    assert not set("+#/") & set(share_group(one)), "MQTT 5 §4.8.2: a group's name has none of these"
