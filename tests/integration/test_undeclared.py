"""Series that no site declares, on a real PostgreSQL and a real control: listed, settled, brought back, and none is lost."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.database import undeclared as stored
from nexus_cli.database.connect import Connection, connection
from nexus_cli.database.minting import SeriesFacts, create_series
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.discover.adopt.series import Choices
from nexus_cli.discover.edit import Edit
from nexus_cli.project import adopt_series
from nexus_cli.settings import Settings
from nexus_cli.wire.control_undeclared import Settlement, UndeclaredSeries
from tests.integration.control_world import FakeGateway, World, applied, device, snapshot, tag, world
from tests.integration.identity_world import people
from tests.integration.test_kept_series import deployed, fill, left, series
from tests.integration.test_retention import fresh
from tests.postgres import SITE

__all__ = ["world"]
pytestmark = [pytest.mark.needs_database, pytest.mark.every_database]


async def resource(conn: Connection, address: str, attributes: str) -> None:
    await conn.execute(
        """INSERT INTO nexus.resource (site, address, attributes, digest, deployment_id)
           VALUES ($1, $2, $3::jsonb, '', (SELECT max(id) FROM nexus.deployment))""",
        *(SITE, address, attributes),
    )


async def everything(conn: Connection) -> list[Any]:
    rows = await conn.fetch("SELECT s::text AS s FROM nexus.series s ORDER BY id")
    return [row["s"] for row in rows]


def paths(found: list[UndeclaredSeries]) -> list[str]:
    return [one.path for one in found]


async def test_what_nothing_declares_is_listed_with_its_samples_and_nothing_changes(database: Settings) -> None:
    async with connection(database) as conn:
        made = await fresh(conn)
        await deployed(conn)
        gone, hand, declared = await series(conn, "gone", "hand", "declared")
        await fill(conn, made, [gone, hand, declared])
        await conn.execute("UPDATE nexus.series SET active = false WHERE id = $1", gone)
        await resource(conn, "device.a/l/d", '{"protocol": "modbus", "tags": {"declared": {}}}')
        await resource(conn, "device.a/l/ext", '{"protocol": "external", "tags": null}')
        globbed = [
            SeriesFacts(f"a/l/ext/{name}", "json", "", "short", True, "{}", "{}") for name in ("state/deep", "off")
        ]
        await create_series(conn, site=SITE, facts=globbed)
        await conn.execute("UPDATE nexus.series SET active = false WHERE path = 'a/l/ext/off'")
        other = SeriesFacts("a/l/d/x", "float64", "", "short", False, "{}", "{}")
        await create_series(conn, site="acme/old", facts=[other])
        await create_series(conn, site="acme/runs", facts=[other])
        await conn.execute("INSERT INTO nexus.leader (site, term, holder, facts) VALUES ('acme/runs', 1, 'x', '{}')")
        before = await everything(conn)
        found = await stored.undeclared(conn, SITE)
        assert paths(found.series) == ["a/l/d/gone", "a/l/d/hand", "a/l/ext/off"]
        assert [(one.active, one.samples) for one in found.series] == [(False, 5), (True, 5), (False, 0)]
        assert found.series[0].first is not None and found.series[2].first is None
        assert [(one.site, one.series) for one in found.elsewhere] == [("acme/old", 1)], "who runs is not named"
        assert await stored.taken(conn, SITE, ["a/l/d/hand", "a/l/d/none"]) == ["a/l/d/hand"]
        assert await everything(conn) == before


async def test_pages_follow_each_other_whatever_the_paths_are(
    database: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "PAGE", 3)
    names = ["a/l/d/Z", "a/l/d/a", "a/l/d/é", "a/l/d/~", "b/'; DROP", 'c/"', "d/\u2028", "zz", "ä", "🙂/x"]
    async with connection(database) as conn:
        facts = [SeriesFacts(name, "float64", "", "short", False, "{}", "{}") for name in names]
        await create_series(conn, site=SITE, facts=facts)
        seen: list[str] = []
        more = True
        while more:
            page = await stored.undeclared(conn, SITE, after=seen[-1] if seen else "")
            seen += paths(page.series)
            more = page.more
    assert sorted(seen) == sorted(names) and len(seen) == len(set(seen))


async def test_settling_is_all_or_nothing_and_removes_no_sample(database: Settings) -> None:
    async with connection(database) as conn:
        made = await fresh(conn)
        await deployed(conn)
        hand, kept = await series(conn, "hand", "kept")
        await fill(conn, made, [hand, kept])
        found = {one.path: one for one in (await stored.undeclared(conn, SITE)).series}
        forget = Settlement(ulid=found["a/l/d/hand"].ulid, path="a/l/d/hand", does="forget")
        keep = Settlement(ulid=found["a/l/d/kept"].ulid, path="a/l/d/kept", does="keep")
        before = await everything(conn)
        for wrong in (other_than(keep, path="a/l/d/other"), other_than(keep, ulid="01NONE")):
            with pytest.raises(NexusError) as caught:
                await stored.settle(conn, SITE, wanted=[forget, wrong], who="anna", why="")
            assert caught.value.code == "NX5020"
            assert await everything(conn) == before
        done = await stored.settle(conn, SITE, wanted=[forget, keep], who="anna", why="old rows")
        assert (done.forgotten, done.kept) == (1, 1)
        again = await stored.settle(conn, SITE, wanted=[forget, keep], who="anna", why="")
        assert (again.forgotten, again.kept) == (0, 0)
        after = {one.path: one for one in (await stored.undeclared(conn, SITE)).series}
        assert (after["a/l/d/hand"].active, after["a/l/d/kept"].protected) == (False, True)
        assert [await left(conn, each) for each in (hand, kept)] == [5, 5]
        trail = await conn.fetch(
            "SELECT who, subject, detail->>'reason' AS why FROM nexus.audit WHERE what = 'adopt-series'"
        )
        assert ("anna", "a/l/d/hand", "old rows") in [tuple(row) for row in trail]
        await resource(conn, "device.a/l/d", '{"protocol": "modbus", "tags": {"hand": {}}}')
        with pytest.raises(NexusError) as caught:
            await stored.settle(conn, SITE, wanted=[forget], who="anna", why="")
        assert caught.value.code == "NX5020", "it is declared meanwhile"
        with pytest.raises(NexusError):
            await stored.settle(conn, "acme/other", wanted=[keep], who="anna", why="")


def other_than(one: Settlement, **more: str) -> Settlement:
    return Settlement(**{"ulid": one.ulid, "path": one.path, "does": one.does, **more})


async def test_only_an_administrator_sees_and_settles(database: Settings, tmp_path: Path) -> None:
    async with people(database, tmp_path) as people_:
        for user in ("vera", "otto", "erik", "lars"):
            token = await people_.token(user)
            for path, body in (
                ("/series/undeclared", {}),
                ("/series/settle", {"series": [{"ulid": "x", "path": "y", "does": "keep"}]}),
            ):
                answer = await people_.ask("POST", path, token=token, json=body)
                assert (answer.status_code, answer.json()["code"]) == (403, "NX6403"), (user, path)
        token = await people_.token("ada")
        answer = await people_.ask("POST", "/series/undeclared", token=token)
        assert answer.status_code == 200 and answer.json()["series"] == []
        odd = {"ulid": "x", "path": "y", "does": "drop"}
        wrong: tuple[dict[str, Any], ...] = ({"series": []}, {"series": [odd]}, {"all": True})
        for each in wrong:
            answer = await people_.ask("POST", "/series/settle", token=token, json=each)
            assert answer.status_code == 422, answer.text


YAML = """nexus: 1
enterprise: acme
site: chicago  # by hand
defaults: {poll: 1s}
areas:
  a:
    lines:
      l:
        devices:
          new:
            protocol: modbus
            connection: {host: 10.0.0.9}
            tags: {energy: {address: "holding:0", type: float64}, voltage: {address: "holding:2", type: float64}}
          scale: {protocol: external, tags: {weight: {type: float64}}}
"""


@pytest.mark.needs_broker
async def test_a_removed_device_is_bound_declared_and_kept_without_loss(world: World, tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(YAML, encoding="utf-8")
    cli = dataclasses.replace(world.settings, control_token="cli-token")
    async with world.control() as control, FakeGateway(world.settings).up(), connection(world.settings) as conn:
        old = device(
            "a/l/old",
            tags={name: tag(address=f"holding:{at}") for at, name in enumerate(["energy", "voltage", "extra"])},
        )
        await applied(control, snapshot(old, device("a/l/one")))
        await applied(control, snapshot(device("a/l/one")), allow=("data-loss",))
        ids = {row["path"]: row["id"] for row in await conn.fetch("SELECT id, path FROM nexus.series")}
        table = await conn.fetchval("SELECT table_name FROM nexus.retention_class WHERE name = 'default'")
        relation = await conn.fetchval("SELECT to_regclass($1)::text", f"nexus.{table}_rest") or f"nexus.{table}"
        for at, path in enumerate(("a/l/old/energy", "a/l/old/voltage", "a/l/old/extra"), start=1):
            for second in range(at):
                await conn.execute(
                    f"INSERT INTO {relation} (time, series_id, value, quality) VALUES (now() - $1 * interval '1 s', $2, 1, 0)",
                    *(second, ids[path]),
                )
        total = 1 + 2 + 3
        choices = Choices(moves=(("a/l/old", "a/l/new"),), keep=("a/l/old/*",))
        found = await adopt_series.series(choices, into=site, settings=cli)
        states = {one.series.path: (one.state, one.series.samples) for one in found.entries}
        assert states == {
            "a/l/old/energy": ("bound", 1),
            "a/l/old/voltage": ("bound", 2),
            "a/l/old/extra": ("left", 3),
        }
        assert site.read_text() == YAML, "nothing is written before it is agreed"
        assert await conn.fetchval("SELECT count(*) FROM nexus.kept_series") == 0
        done = await adopt_series.carry_out(found, reason="moved", settings=cli)
        assert done.after is not None and sum(one.samples or 0 for one in done.after) == total
        assert done.settled is not None and done.settled.kept == 2
        assert "moved: [{from: a/l/old, to: a/l/new}]" in site.read_text()
        again = await adopt_series.series(choices, into=site, settings=cli)
        assert not again.changes
        assert [one.state for one in again.entries] == ["bound", "left", "bound"]

        new = device("a/l/new")
        await applied(control, snapshot(new, device("a/l/one")), moved=[("a/l/old", "a/l/new")])
        rows = await conn.fetch("SELECT id, path, active FROM nexus.series WHERE path LIKE 'a/l/new/%' ORDER BY path")
        assert [tuple(row) for row in rows] == [
            (ids["a/l/old/energy"], "a/l/new/energy", True),
            (ids["a/l/old/voltage"], "a/l/new/voltage", True),
        ]
        assert (
            await conn.fetchval("SELECT count(*) FROM nexus.sample WHERE series_id = ANY($1)", list(ids.values()))
            == total
        )
        assert paths((await stored.undeclared(conn, "acme/chicago")).series) == ["a/l/old/extra"]


@pytest.mark.needs_broker
async def test_a_tag_with_a_history_of_its_own_keeps_it(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up(), connection(world.settings) as conn:
        await applied(control, snapshot(device("a/l/old"), device("a/l/new"), device("a/l/one")))
        await applied(control, snapshot(device("a/l/one")), allow=("data-loss",))
        before = await conn.fetch("SELECT id, path FROM nexus.series ORDER BY id")
        await applied(control, snapshot(device("a/l/new"), device("a/l/one")), moved=[("a/l/old", "a/l/new")])
        assert await conn.fetch("SELECT id, path FROM nexus.series ORDER BY id") == before
        assert await conn.fetchval("SELECT bool_and(active) FROM nexus.series WHERE path LIKE 'a/l/new/%'")


async def test_a_site_of_another_name_is_refused(database: Settings, tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(YAML, encoding="utf-8")
    with pytest.raises(NexusError) as caught:
        await adopt_series.series(Choices(), into=site, settings=dataclasses.replace(database, site="acme/boston"))
    assert caught.value.code == "NX5019" and "acme/boston" in caught.value.message


async def test_a_control_that_goes_away_is_said_together_with_what_was_done(database: Settings, tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(YAML, encoding="utf-8")
    away = dataclasses.replace(
        database, site="acme/chicago", control_url="http://127.0.0.1:1", control_token="x", home=tmp_path / "home"
    )
    with pytest.raises(NexusError) as caught:
        await adopt_series.series(Choices(), into=site, settings=away)
    assert caught.value.code == "NX6401" or caught.value.retriable
    edit = Edit(path=site, before=YAML, after=YAML + "# more\n")
    found = adopt_series.SeriesAdoption(site="acme/chicago", entries=(), edit=edit)
    with pytest.raises(NexusError, match="written already"):
        await adopt_series.carry_out(found, reason="", settings=away)
    assert site.read_text() == YAML + "# more\n"
