"""Logins with passwords, tokens, elevation and what was refused, at control's application."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import jwt
import pytest

from nexus_cli.access.passwords import Hashes
from nexus_cli.runtime.identity import logins as logins_module
from nexus_cli.runtime.identity.throttle import PAIR
from nexus_cli.settings import Settings
from tests.clock import FakeClock
from tests.integration.identity_world import PREFIX, People, people
from tests.waiting import until


async def log_in(world: People, user: str, password: str) -> Any:
    return await world.ask("POST", "/login", json={"user": user, "password": password})


async def test_from_a_password_to_a_session_and_out_again(database: Settings, tmp_path: Path) -> None:
    async with people(database, tmp_path) as world:
        password = await world.password("otto")
        session = (await log_in(world, "otto", password)).json()
        me = (await world.ask("GET", "/identity", token=session["token"])).json()
        assert (me["principal"], me["kind"], me["roles"]) == ("otto", "user", ["operator"])
        assert me["expires"] == session["expires"] // 1_000_000 * 1_000_000
        assert (await world.ask("POST", "/logout", token=session["token"])).json() == {"revoked": True}
        gone = await world.ask("GET", "/identity", token=session["token"])
        assert (gone.status_code, gone.json()["code"]) == (401, "NX6413")
        assert (await world.ask("POST", "/logout", token="cli-token")).json() == {"revoked": False}
        lines = await world.trail("rotate", "login", "logout")
        assert [(each["what"], each["who"], each["subject"]) for each in lines] == [
            ("rotate", "nexus.cli", "otto"),
            ("login", "otto", "192.0.2.1"),
            ("logout", "otto", "otto"),
        ]
        rows = await world.pool.fetch("SELECT * FROM nexus.audit") + await world.pool.fetch(
            "SELECT * FROM nexus.credential"
        )
        everything = repr([dict(row) for row in rows])
        assert password not in everything and session["token"] not in everything


async def test_who_is_refused(database: Settings, tmp_path: Path) -> None:
    async with people(database, tmp_path) as world:
        passwords = {user: await world.password(user) for user in ("otto", "nina", "past", "soon", "mes")}
        wrong = [("otto", "wrong"), ("otto", passwords["nina"]), ("nobody", "x"), ("nexus.cli", "cli-token")]
        for user, password in [*wrong, *((user, passwords[user]) for user in ("nina", "past", "soon", "mes"))]:
            answer = await log_in(world, user, password)
            assert (answer.status_code, answer.json()["code"]) == (401, "NX6415"), user
            assert password not in answer.text
        assert (await log_in(world, "otto", passwords["otto"])).status_code == 200
        await world.record({"user.otto": None})
        assert (await log_in(world, "otto", passwords["otto"])).status_code == 401


async def test_each_failure_costs_the_same(database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Hashes] = []

    def counting(password: str, hashes: Hashes) -> bool:
        tried.append(hashes)
        return False

    async with people(database, tmp_path) as world:
        await world.password("otto")
        await world.password("vera")
        await world.password("vera")
        await world.password("mes")
        monkeypatch.setattr(logins_module, "verify", counting)
        for user in ("otto", "vera", "mes", "nobody", "nexus.cli"):
            tried.clear()
            assert (await log_in(world, user, "wrong")).status_code == 401
            assert len(tried) == 2 and all(each.argon2id.startswith("$argon2id$") for each in tried), user


async def test_two_passwords_while_one_replaces_the_other(database: Settings, tmp_path: Path) -> None:
    async with people(database, tmp_path) as world:
        first = await world.password("otto")
        second = await world.password("otto", keep_old_s=3600)
        assert [(await log_in(world, "otto", each)).status_code for each in (first, second)] == [200, 200]
        third = await world.password("otto", keep_old_s=0)
        assert [(await log_in(world, "otto", each)).status_code for each in (first, second, third)] == [401, 401, 200]
        overview = (await world.ask("GET", "/access", token="cli-token")).json()
        otto = next(each for each in overview["accounts"] if each["principal"] == "otto")
        assert (otto["password"], otto["sessions"], otto["tokens"]) == (True, 1, 0), (
            "those of the passwords before ended with them"
        )
        assert {each["principal"] for each in overview["accounts"] if each["password"]} == {"otto"}


async def test_a_password_that_ends_at_once_ends_its_sessions(database: Settings, tmp_path: Path) -> None:
    async with people(database, tmp_path) as world:
        session = await world.token("otto", kind="session")
        token, other = await world.token("otto"), await world.token("vera", kind="session")
        await world.password("otto", keep_old_s=60)
        assert (await world.ask("GET", "/identity", token=session)).status_code == 200
        await world.password("otto", keep_old_s=0)
        assert (await world.ask("GET", "/identity", token=session)).json()["code"] == "NX6413"
        for kept in (token, other):
            assert (await world.ask("GET", "/identity", token=kept)).status_code == 200


async def test_throttled_with_the_time_to_wait(database: Settings, tmp_path: Path) -> None:
    async with people(database, tmp_path) as world:
        clock = FakeClock()
        world.control.identity.logins._clock = clock
        password = await world.password("otto")
        for _ in range(PAIR.free):
            assert (await log_in(world, "otto", "wrong")).status_code == 401
        answer = await log_in(world, "otto", password)
        assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (429, "NX6416", "1")
        clock.advance(1.0)
        assert (await log_in(world, "otto", password)).status_code == 200


async def test_logins_take_turns_and_more_are_sent_away(
    database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, most = 0, 0
    go = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(password: str, hashes: Hashes) -> bool:
        asyncio.run_coroutine_threadsafe(counted(), loop).result()
        return False

    async def counted() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await go.wait()
        running -= 1

    async with people(database, tmp_path) as world:
        monkeypatch.setattr(logins_module, "verify", slow)
        monkeypatch.setattr(logins_module, "MOST_WAITING", 6)
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(log_in(world, f"user-{number}", "x")) for number in range(12)]
            await until(lambda: running == most == 2 and sum(task.done() for task in asked) == 6, "two at once")
            # The API answers others meanwhile.
            assert (await world.ask("GET", "/identity", token="cli-token")).status_code == 200
            go.set()
        codes = sorted(task.result().json()["code"] for task in asked)
        assert codes == ["NX6415"] * 6 + ["NX6417"] * 6 and most == logins_module.AT_ONCE


async def test_tokens_of_ones_own_and_of_others(database: Settings, tmp_path: Path) -> None:
    async with people(database, tmp_path) as world:
        ada, vera = await world.token("ada"), await world.token("vera")
        body = {"scopes": ["alerts:read"], "ttl_s": 600, "note": "panel"}
        mine = (await world.ask("POST", "/access/tokens", token=vera, json=body)).json()
        assert (mine["principal"], mine["scopes"], mine["note"]) == ("vera", ["alerts:read"], "panel")
        me = (await world.ask("GET", "/identity", token=mine["token"])).json()
        assert me["scopes"] == ["alerts:read"]
        assert (await world.ask("GET", "/alerts", token=mine["token"])).status_code == 200
        lacking = await world.ask("GET", "/sequences", token=mine["token"])
        assert (lacking.status_code, lacking.json()["code"]) == (403, "NX6421")
        other = await world.ask("POST", "/access/tokens", token=vera, json={"principal": "ada"})
        assert (other.status_code, other.json()["code"]) == (403, "NX6403")
        mes = (await world.ask("POST", "/access/tokens", token=ada, json={"principal": "mes", "ttl_s": 600})).json()
        assert (await world.ask("GET", "/identity", token=mes["token"])).json()["kind"] == "application"
        for odd in (
            {"principal": "nexus.cli"},
            {"principal": "zoe"},
            {"scopes": ["root"]},
            {"ttl_s": 1},
            {"scopes": []},
        ):
            assert (await world.ask("POST", "/access/tokens", token=ada, json=odd)).status_code == 422, odd
        listed = (await world.ask("GET", "/access/tokens", token=vera)).json()["tokens"]
        assert {each["principal"] for each in listed} == {"vera"} and len(listed) == 2
        everybody = (await world.ask("GET", "/access/tokens", token=ada)).json()["tokens"]
        assert {each["principal"] for each in everybody} == {"ada", "vera", "mes"}
        not_hers = await world.ask("DELETE", f"/access/tokens/{mes['id']}", token=vera)
        assert (not_hers.status_code, not_hers.json()["code"]) == (404, "NX6423")
        assert (await world.ask("DELETE", f"/access/tokens/{mes['id']}", token=ada)).json() == {"revoked": True}
        assert (await world.ask("DELETE", f"/access/tokens/{mes['id']}", token=ada)).json() == {"revoked": False}
        assert (await world.ask("GET", "/identity", token=mes["token"])).status_code == 401
        for secret in (mine["token"], mes["token"]):
            assert secret not in json.dumps([listed, everybody, await world.trail("make-token", "revoke-token")])


async def test_no_token_makes_more_than_itself(database: Settings, tmp_path: Path) -> None:
    async with people(database, tmp_path) as world:
        narrow = await world.token("ada", scopes=["tokens:own", "alerts:read"])
        more = await world.ask("POST", "/access/tokens", token=narrow, json={"scopes": ["apply"]})
        assert (more.status_code, more.json()["code"]) == (422, "NX6422")
        same = (await world.ask("POST", "/access/tokens", token=narrow, json={"scopes": ["*"]})).json()
        assert same["scopes"] == ["alerts:read", "tokens:own"]
        assert jwt.decode(same["token"], options={"verify_signature": False})["scope"] == "alerts:read tokens:own"
        admin = await world.token("ada", scopes=["access:admin"])
        for other in ("erik", "ada"):
            asked = {"principal": other, "scopes": ["*"]}
            made = (await world.ask("POST", "/access/tokens", token=admin, json=asked)).json()
            assert made["scopes"] == ["access:admin"], other


async def test_a_token_for_deployments_changes_no_rights(database: Settings, tmp_path: Path) -> None:
    async with people(database, tmp_path) as world:
        state = (await world.ask("GET", "/state", token="cli-token")).json()

        async def deploy(scopes: list[str], address: str) -> str:
            body = {"base_digest": state["digest"], "desired_digest": "x" * 64, "changed": {address: None}}
            token = await world.token("ada", scopes=scopes)
            code: str = (await world.ask("POST", "/deployments", token=token, json=body)).json()["code"]
            return code

        for address in ("user.otto", "role.engineer", "group.shift"):
            assert await deploy(["apply"], address) == "NX6411", address
            for scopes in (["*"], ["apply", "access:admin"]):  # the next check speaks: the digest was made up
                assert await deploy(scopes, address) == "NX5007", address
        assert await deploy(["apply"], "alert.hot") == "NX5007"


async def test_rights_go_with_the_role_at_once(database: Settings, tmp_path: Path) -> None:
    async with people(database, tmp_path) as world:
        erik = await world.token("erik")
        assert (await world.ask("GET", "/state", token=erik)).status_code == 200
        await world.record({"user.erik": {"roles": ["viewer"]}})
        assert (await world.ask("GET", "/state", token=erik)).status_code == 403
        await world.record({"user.erik": None})
        gone = await world.ask("GET", "/state", token=erik)
        assert (gone.status_code, gone.json()["code"]) == (401, "NX6413")


async def test_elevation(database: Settings, tmp_path: Path) -> None:
    calls = 0

    async def changed() -> None:
        nonlocal calls
        calls += 1

    async with people(database, tmp_path) as world:
        world.control.identity.accounts.changed = changed
        otto, ada = await world.token("otto"), await world.token("ada")
        body = {"user": "otto", "for_s": 1800, "reason": "line 3 stands still"}
        assert (await world.ask("POST", "/access/elevations", token=otto, json=body)).status_code == 403
        given = (await world.ask("POST", "/access/elevations", token=ada, json=body)).json()
        assert (given["principal"], given["given_by"], given["ends"] - given["begins"]) == (
            "otto",
            "ada",
            1_800_000_000,
        )
        assert (await world.ask("GET", "/access", token=otto)).status_code == 200
        again = await world.ask("POST", "/access/elevations", token=otto, json=body)
        assert (again.status_code, again.json()["message"]) == (403, "otto is elevated, and can't elevate.")
        listed = (await world.ask("GET", "/access/elevations", token=ada)).json()["elevations"]
        assert [each["id"] for each in listed] == [given["id"]]
        ended = await world.ask("DELETE", f"/access/elevations/{given['id']}", token=ada)
        assert ended.json() == {"ended": True} and calls == 2
        assert (await world.ask("GET", "/access", token=otto)).status_code == 403
        for odd in (
            {**body, "for_s": 8 * 3600 + 1},
            {**body, "reason": ""},
            {**body, "user": "zoe"},
            {**body, "user": "mes"},
        ):
            assert (await world.ask("POST", "/access/elevations", token=ada, json=odd)).status_code == 422, odd
        lines = await world.trail("elevate", "end-elevation")
        assert [(each["what"], each["who"], each["subject"]) for each in lines] == [
            ("elevate", "ada", "otto"),
            ("end-elevation", "ada", "otto"),
        ]


async def test_the_brokers_rights_follow_an_elevation_and_a_password(database: Settings, tmp_path: Path) -> None:
    async with people(database, tmp_path) as world:
        assert world.control.term is not None
        due = world.control.term.rights_keeper._due
        body = {"user": "otto", "for_s": 60, "reason": "night"}
        await world.ask("POST", "/access/elevations", token="cli-token", json=body)
        assert due.is_set()
        due.clear()
        await world.password("otto")
        assert due.is_set()


async def test_a_new_signing_key_keeps_the_tokens_of_the_one_before(database: Settings, tmp_path: Path) -> None:
    async with people(database, tmp_path) as world:
        ada = await world.token("ada")
        renewed = (await world.ask("POST", "/access/signing-key", token=ada)).json()
        assert renewed["previous"] and renewed["key"] != renewed["previous"]
        assert (await world.ask("GET", "/identity", token=ada)).status_code == 200
        await world.ask("POST", "/access/signing-key", token="cli-token")
        gone = await world.ask("GET", "/identity", token=ada)
        assert (gone.status_code, gone.json()["code"]) == (401, "NX6401")


async def test_names_and_denials(database: Settings, tmp_path: Path) -> None:
    async with people(database, tmp_path) as world:
        vera, dora = await world.token("vera"), await world.token("dora")
        assert (await world.ask("GET", "/alerts/hot/changes", token=vera)).status_code == 200
        assert (await world.ask("POST", "/alerts/hot/acknowledge", token=vera)).json()["code"] == "NX6403"
        assert (await world.ask("GET", "/alerts/hot/changes", token=dora)).json()["code"] == "NX6403"
        assert (await world.ask("POST", "/alerts/hot/acknowledge", token=dora)).json()["code"] == "NX6403"
        assert (await world.ask("GET", "/alerts/cold/changes", token=dora)).status_code == 200


async def test_refusals_are_recorded_and_counted_but_do_not_flood(database: Settings, tmp_path: Path) -> None:
    async with people(database, tmp_path) as world:
        clock, refusals = FakeClock(), world.control.identity.refusals
        refusals._clock = clock
        vera = await world.token("vera")
        for _ in range(50):
            await world.ask("GET", "/state", token="a-wrong-token")
            await world.ask("GET", "/state", token=vera)
        await log_in(world, "a-password-in-the-wrong-field", "x")
        await refusals.write()
        for _ in range(30):
            await world.ask("GET", "/state", token="a-wrong-token")
        await refusals.write()
        found = await world.trail("refused")
        details = [json.loads(each["detail"]) for each in found]
        assert sorted((each["reason"], each["code"], each["count"]) for each in details) == [
            ("forbidden", "NX6403", 50),
            ("login", "NX6415", 1),
            ("token", "NX6401", 50),
        ]
        assert {each["subject"] for each in found} == {"192.0.2.1"}
        assert sorted(each["who"] for each in found) == ["", "", "vera"]
        clock.advance(61.0)
        await refusals.write()
        assert [json.loads(each["detail"])["count"] for each in await world.trail("refused")][3:] == [30]
        everything = repr(await world.trail("refused"))
        assert "a-wrong-token" not in everything and "wrong-field" not in everything and vera not in everything
        metrics = (await world.http.get("/metrics")).text
        assert 'nexus_control_refused_total{reason="token"} 80.0' in metrics
        trail = (await world.ask("GET", "/audit?kind=access", token="cli-token")).json()["entries"]
        assert [each["count"] for each in trail if each["what"] == "refused"][-1] == 30
        clock.advance(61.0)
        await refusals.write()
        assert len(refusals) == 0


async def test_a_deployment_within_the_globs_of_a_role(database: Settings, tmp_path: Path) -> None:
    async with people(database, tmp_path) as world:
        state = (await world.ask("GET", "/state", token="cli-token")).json()
        asked = {"addresses": ["device.a/l/one", "device.a/m/two", "user.lars", "site"]}
        now = (await world.ask("POST", "/resources", token="cli-token", json=asked)).json()["resources"]
        lars, erik = await world.token("lars"), await world.token("erik")
        inside = {**now["device.a/l/one"], "description": "filler"}
        outside = {**now["device.a/m/two"], "description": "capper"}

        async def deploy(token: str, **changed: Any) -> Any:
            changes = {name.replace("__", "."): value for name, value in changed.items()}
            body = {"base_digest": state["digest"], "desired_digest": "x" * 64, "changed": changes}
            return await world.ask("POST", "/deployments", token=token, json=body)

        refused = await deploy(lars, **{"device.a/l/one": inside, "device.a/m/two": outside})
        assert (refused.status_code, refused.json()["code"]) == (403, "NX6411")
        assert refused.json()["message"] == "lars may not change device.a/m/two."
        for who, address in ((lars, "user.lars"), (erik, "user.lars"), (erik, "role.engineer"), (lars, "alert.hot")):
            refused = await deploy(who, **{address: None})
            assert (refused.status_code, refused.json()["code"]) == (403, "NX6411"), address
        # Within the globs the next check speaks: the digest of the whole was made up.
        assert (await deploy(lars, **{"device.a/l/one": inside})).json()["code"] == "NX5007"
        assert (await deploy(erik, **{"alert.hot": None})).json()["code"] in ("NX5007", "NX4004", "NX4001")
        assert (await deploy(await world.token("ada"), **{"user.lars": None})).json()["code"] == "NX5007"
        locked = await world.http.get(PREFIX + "/lock", headers={"authorization": "Bearer cli-token"})
        assert locked.json() == {"lock": None}
