"""Client ids and share groups can't be guessed, and all historians of a site share one group."""

from __future__ import annotations

from nexus_cli.settings import Settings
from nexus_cli.wire.identity import client_id, share_group


def test_every_process_has_an_id_of_its_own() -> None:
    made = {client_id("gateway-gw-1") for _ in range(100)}
    assert len(made) == 100
    assert all(one.startswith("nexus-gateway-gw-1-") and len(one.rpartition("-")[2]) == 24 for one in made)


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
