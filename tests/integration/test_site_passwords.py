"""Passwords that the site file refers to: hashed once, followed when they change, never written in clear."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.access.passwords import verify_at_broker
from nexus_cli.database import credentials
from nexus_cli.runtime.control.site_passwords import SITE_FILE, SitePasswords
from nexus_cli.settings import Settings
from tests.integration.identity_world import SITE, People, people


async def follow(known: SitePasswords, world: People, user: dict[str, Any]) -> list[credentials.StoredCredential]:
    async with world.pool.acquire() as conn, conn.transaction():
        await known.follow(conn, [{"user.vera": user}])
        return await credentials.valid(conn, SITE, "vera")


async def test_a_reference_is_hashed_once_and_followed(database: Settings, tmp_path: Path) -> None:
    async with people(database, tmp_path) as world:
        file = tmp_path / "vera"
        file.write_text("planted-one\n")
        known, user = SitePasswords(SITE), {"roles": ["viewer"], "password": f"${{file:{file}}}"}
        (first,) = await follow(known, world, user)
        assert (first.slot, first.active, first.made_by, first.expires) == ("a", True, SITE_FILE, None)
        assert verify_at_broker("planted-one", first.hashes["sha512"])
        (again,) = await follow(known, world, user)
        (restarted,) = await follow(SitePasswords(SITE), world, user)
        assert again.hashes == restarted.hashes == first.hashes, "the same password keeps its hash"
        assert not known.changed()
        file.write_text("planted-two-longer")
        assert known.changed()
        (second,) = await follow(known, world, user)
        assert verify_at_broker("planted-two-longer", second.hashes["sha512"])
        assert not verify_at_broker("planted-one", second.hashes["sha512"])
        assert (second.slot, known.changed()) == ("a", False)
        said = await world.trail("rotate")
        assert [(each["who"], each["subject"]) for each in said] == [("nexus.control", "vera")] * 2
        assert "planted" not in str(said)


async def test_a_missing_variable_is_said_once_and_locks_nobody_out(
    database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with people(database, tmp_path) as world:
        known, user = SitePasswords(SITE), {"roles": ["viewer"], "password": "${env:PLANTED_VERA}"}
        with caplog.at_level(logging.WARNING, "nexus.control"):
            assert await follow(known, world, user) == []
            assert await follow(known, world, user) == []
        assert [one.getMessage() for one in caplog.records] == ["a password of the site can't be read"]
        monkeypatch.setenv("PLANTED_VERA", "planted-three")
        (made,) = await follow(known, world, user)
        monkeypatch.delenv("PLANTED_VERA")
        (kept,) = await follow(known, world, user)
        assert kept.hashes == made.hashes


async def test_it_takes_the_place_of_a_password_that_was_made(
    database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with people(database, tmp_path) as world:
        await world.password("vera")
        await world.password("vera")
        monkeypatch.setenv("PLANTED_VERA", "planted-four")
        user = {"roles": ["viewer"], "password": "${env:PLANTED_VERA}"}
        (only,) = await follow(SitePasswords(SITE), world, user)
        assert (only.slot, only.made_by) == ("a", SITE_FILE)
        await world.record({"user.vera": user})
        answer = await world.ask("POST", "/access/rotate", token="cli-token", json={"principals": ["vera"]})
        assert (answer.status_code, answer.json()["code"]) == (422, "NX6426")
        answer = await world.ask("POST", "/access/rotate", token="cli-token", json={"principals": []})
        assert "vera" not in {each["principal"] for each in answer.json()["passwords"]}
        login = {"user": "vera", "password": "planted-four"}
        assert (await world.ask("POST", "/login", json=login)).status_code == 200
