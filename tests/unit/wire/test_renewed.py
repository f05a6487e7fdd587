"""Secrets that were changed while a process runs: what is kept now is tried, and nothing of another user or broker."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from nexus_cli.settings import Settings, load_settings
from nexus_cli.wire.renewed import next_account, with_kept_secrets


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a process at its start."""
    for name in ("NEXUS_BROKER_PASSWORD", "NEXUS_CONTROL_TOKEN", "NEXUS_BROKER_USER", "NEXUS_BROKER_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "runtime.json").write_bytes(
        orjson.dumps({"site": "e/s", "broker_url": "mqtt://127.0.0.1:1", "control_url": "http://127.0.0.1:2"})
    )
    _keep(tmp_path, password="one", token="first")
    return load_settings(principal="nexus.cli", home=tmp_path)


def _keep(home: Path, *, password: str, token: str) -> None:
    secrets = {"broker": {"nexus.cli": password, "other": "x"}, "api": {"nexus.cli": token}}
    (home / "credentials.json").write_bytes(orjson.dumps(secrets))


def test_what_did_not_change_is_not_tried_again(begun: Settings) -> None:
    assert with_kept_secrets(begun) is None


def test_new_ones_are_taken(begun: Settings) -> None:
    _keep(begun.home, password="two", token="second")
    found = with_kept_secrets(begun)
    assert found is not None
    assert (found.broker_password, found.control_token) == ("two", "second")
    assert replace(found, broker_password="one", control_token="first") == begun
    assert with_kept_secrets(found) is None


def test_another_users_or_brokers_are_left_alone(begun: Settings) -> None:
    _keep(begun.home, password="two", token="second")
    other = replace(begun, broker_user="desk", broker_password="own")
    assert (with_kept_secrets(other) or other).broker_password == "own"
    there = replace(begun, broker_url="mqtt://10.0.0.1:1883", control_url="http://10.0.0.1:80")
    assert with_kept_secrets(there) is None


def test_a_variable_wins_and_a_damaged_file_changes_nothing(begun: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    (begun.home / "credentials.json").write_text("{", encoding="utf-8")
    assert with_kept_secrets(begun) is None
    _keep(begun.home, password="two", token="first")
    monkeypatch.setenv("NEXUS_BROKER_PASSWORD", "one")
    assert with_kept_secrets(begun) is None


def test_to_the_second_account_and_back(begun: Settings) -> None:
    assert next_account(begun) is None
    _keep(begun.home, password="two", token="first")
    there = next_account(begun)
    assert there == replace(begun, broker_user="nexus.cli.b", broker_password="two")
    assert next_account(there) == replace(begun, broker_password="two")
    assert next_account(replace(begun, broker_password="two")) is None
    assert next_account(replace(begun, broker_user="desk")) is None
    assert next_account(replace(begun, broker_url="mqtt://10.0.0.1:1883")) is None


def test_a_second_account_that_is_refused_is_left_for_the_first(begun: Settings) -> None:
    there = replace(begun, broker_user="nexus.cli.b", broker_password="two")
    _keep(begun.home, password="three", token="first")
    assert with_kept_secrets(there) == replace(begun, broker_password="three")


def test_a_callers_token_is_not_replaced(begun: Settings) -> None:
    _keep(begun.home, password="two", token="second")
    assert with_kept_secrets(replace(begun, principal="", control_token="of-a-caller")) is None
