"""Exports as jobs: asked for over web's API, written by the worker, downloaded by who may read the tags."""

from __future__ import annotations

import asyncio
import csv
import dataclasses
import hashlib
import io
from pathlib import Path

import duckdb
import pytest

from nexus_cli.archive.export_place import open_place
from nexus_cli.database import exports as stored
from nexus_cli.setting_values import ExportPlace
from nexus_cli.settings import Settings
from tests.integration.exports_world import ENERGY, HALF, ask, ended, fill, handler, job_of, row_of, try_once, worker
from tests.integration.test_archive_stores import moto
from tests.integration.web_world import WebWorld, web_world

__all__ = ["moto"]
pytestmark = [pytest.mark.needs_database, pytest.mark.every_database]
OTHER = {"role__narrow": {"read": ["a/l/one/energy"]}, "user__nora": {"roles": ["narrow"]}}


def files(home: Path) -> list[str]:
    return sorted(str(each.relative_to(home / "exports")) for each in (home / "exports").rglob("*") if each.is_file())


async def test_a_worker_writes_what_was_asked_for_and_web_hands_it_out(database: Settings, tmp_path: Path) -> None:
    async with web_world(database, tmp_path, **HALF) as web:
        await fill(web)
        made = await ask(web, format="parquet")
        found = await row_of(web, made)
        assert found is not None
        assert (found.state, found.who, found.tags, found.selectors) == ("waiting", "vera", 1, [ENERGY])
        refused = await web.ask("GET", f"/exports/{made}/content", user="vera")
        assert (refused.status_code, refused.json()["code"]) == (409, "NX6489")
        async with worker(web.people.settings):
            found = await ended(web, made)
        assert (found.state, found.rows, found.reason) == ("done", 10, "")
        answer = await web.ask("GET", f"/exports/{made}/content", user="vera")
        assert answer.status_code == 200
        assert hashlib.sha256(answer.content).hexdigest() == found.sha256 == answer.headers["etag"].strip('"')
        assert int(answer.headers["content-length"]) == len(answer.content) == found.size
        assert answer.headers["content-disposition"] == f'attachment; filename="nexus-export-{made}.parquet"'
        (tmp_path / "got.parquet").write_bytes(answer.content)
        with duckdb.connect() as duck:
            rows = duck.sql(f"SELECT path, value FROM '{tmp_path / 'got.parquet'}' ORDER BY time").fetchall()
        assert rows == [(ENERGY, float(minute)) for minute in range(10)]
        trail = await web.people.trail("export", "download-export")
        assert [(line["who"], line["what"], line["subject"]) for line in trail] == [
            ("vera", "export", made),
            ("vera", "download-export", made),
        ]
        said = (await web.people.ask("GET", "/audit", token="cli-token", params={"kind": "export"})).json()["entries"]
        assert [line["count"] for line in said] == [10, 10]
        assert said[0]["detail"].startswith(f"10 samples of 1 tags: {ENERGY} from ")


async def test_one_range_of_a_file(database: Settings, tmp_path: Path) -> None:
    async with web_world(database, tmp_path) as web:
        await fill(web)
        made = await ask(web)
        await try_once(web, made)
        whole = (await web.ask("GET", f"/exports/{made}/content", user="vera")).content
        rows = list(csv.DictReader(io.StringIO(whole.decode())))
        assert [(row["path"], float(row["value"]), row["unit"]) for row in rows][-1] == (ENERGY, 9.0, "kWh")
        tag = f'"{hashlib.sha256(whole).hexdigest()}"'
        size = len(whole)
        for asked, first, last in (
            ("0-9", 0, 9),
            ("20-", 20, size - 1),
            ("-7", size - 7, size - 1),
            ("5-99999", 5, size - 1),
        ):
            part = await web.ask(
                "GET", f"/exports/{made}/content", user="vera", headers={"range": f"bytes={asked}", "if-range": tag}
            )
            assert (part.status_code, part.content) == (206, whole[first : last + 1]), asked
            assert part.headers["content-range"] == f"bytes {first}-{last}/{size}"
        beyond = await web.ask("GET", f"/exports/{made}/content", user="vera", headers={"range": f"bytes={size}-"})
        assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
        for head in ({"range": "bytes=0-1,4-5"}, {"range": "lines=0-1"}, {"range": "bytes=0-9", "if-range": '"other"'}):
            answer = await web.ask("GET", f"/exports/{made}/content", user="vera", headers=head)
            assert (answer.status_code, answer.content) == (200, whole), head


async def test_what_a_caller_may_not_read_is_never_exported(database: Settings, tmp_path: Path) -> None:
    async with web_world(database, tmp_path, **HALF, **OTHER) as web:
        await fill(web)
        for body in ({"selectors": [ENERGY]}, {"selectors": ["a/m/**"]}):
            refused = await web.ask("POST", "/exports", user="hal", json=body)
            assert (refused.status_code, refused.json()["code"]) == (404, "NX6802"), refused.text
        refused = await web.ask("POST", "/exports", user="nina", json={})
        assert (refused.status_code, refused.json()["code"]) == (404, "NX6802")
        made = await ask(web, user="hal", selectors=["**"])
        await try_once(web, made)
        found = await row_of(web, made)
        assert found is not None
        assert (found.tags, found.rows) == (1, 0)

        other = await ask(web, user="nora")
        await try_once(web, other)
        assert (await web.ask("GET", f"/exports/{other}/content", user="nora")).status_code == 200
        await web.record({"role.narrow": {"read": ["a/m/**"], "write": []}})
        gone = await web.ask("GET", f"/exports/{other}/content", user="nora")
        assert (gone.status_code, gone.json()["code"]) == (404, "NX6802")
        trail = await web.people.trail("download-export")
        assert len(trail) == 1


async def test_who_sees_and_removes_whose_exports(database: Settings, tmp_path: Path) -> None:
    async with web_world(database, tmp_path) as web:
        await fill(web)
        made = await ask(web, user="vera")
        for user, status in (("otto", 404), ("erik", 200), ("vera", 200)):
            answer = await web.ask("GET", f"/exports/{made}", user=user)
            assert answer.status_code == status, user
            listed = (await web.ask("GET", "/exports", user=user)).json()["exports"]
            assert [each["id"] for each in listed] == ([made] if status == 200 else []), user
        assert (await web.ask("GET", "/exports/NOTTHERE", user="vera")).json()["code"] == "NX6488"
        refused = await web.ask("DELETE", f"/exports/{made}", user="lars")
        assert (refused.status_code, refused.json()["code"]) == (403, "NX6403")
        assert (await web.ask("DELETE", f"/exports/{made}", user="vera")).status_code == 204
        assert (await web.ask("GET", f"/exports/{made}", user="vera")).status_code == 404
        assert await web.people.pool.fetchval("SELECT count(*) FROM nexus.job") == 0
        await try_once(web, made)
        assert not (tmp_path / "exports").exists()
        done = await ask(web, user="vera")
        await try_once(web, done)
        assert (await web.ask("DELETE", f"/exports/{done}", user="erik")).status_code == 204
        assert len(files(tmp_path)) == 1
        await handler(web).keep_up()
        assert list((tmp_path / "exports").iterdir()) == []
        assert await web.people.pool.fetchval("SELECT count(*) FROM nexus.export") == 0
        trail = await web.people.trail("delete-export")
        assert [(line["who"], line["subject"]) for line in trail] == [("vera", made), ("erik", done)]


async def test_a_bound_on_what_one_caller_has_waiting(database: Settings, tmp_path: Path) -> None:
    async with web_world(database, tmp_path) as web:
        await fill(web)
        made = [await ask(web) for _ in range(stored.MOST_WAITING)]
        refused = await web.ask("POST", "/exports", user="vera", json={"selectors": [ENERGY]})
        assert (refused.status_code, refused.json()["code"]) == (429, "NX6487")
        await ask(web, user="otto")
        await try_once(web, made[0])
        await ask(web)


@pytest.mark.parametrize(
    "body",
    [
        {"from": "later"},
        {"from": "1h", "to": "2h"},
        {"format": "xlsx"},
        {"zone": "Nowhere/At"},
        {"selectors": ["a"] * 101},
        {"tags": []},
    ],
)
async def test_what_can_not_be_asked_for(database: Settings, tmp_path: Path, body: dict[str, object]) -> None:
    async with web_world(database, tmp_path) as web:
        await fill(web)
        answer = await web.ask("POST", "/exports", user="vera", json=body)
        assert answer.status_code == 422, answer.text
        assert await web.people.pool.fetchval("SELECT count(*) FROM nexus.export") == 0


async def expire(web: WebWorld) -> None:
    await web.people.pool.execute("UPDATE nexus.export SET expires = now() WHERE expires IS NOT NULL")


async def test_files_and_rows_go_when_their_time_is_over(database: Settings, tmp_path: Path) -> None:
    async with web_world(database, tmp_path) as web:
        await fill(web)
        done, waiting = await ask(web), await ask(web)
        await try_once(web, done)
        found = await row_of(web, done)
        assert found is not None
        assert found.expires is not None
        assert found.ended is not None
        assert found.expires - found.ended == 7 * 86_400_000_000
        await handler(web).keep_up()
        assert len(files(tmp_path)) == 1
        await expire(web)
        await handler(web).keep_up()
        assert files(tmp_path) == []
        assert await row_of(web, done) is None
        left = await row_of(web, waiting)
        assert left is not None
        assert left.state == "waiting"


async def test_exports_in_a_bucket(moto: str, database: Settings, tmp_path: Path) -> None:
    place = ExportPlace(to="s3://acme-history/exports", endpoint=moto, user="nexus", password="secret")
    async with web_world(dataclasses.replace(database, exports=place), tmp_path) as web:
        await fill(web)
        assert web.people.settings.exports == place
        made = [await ask(web), await ask(web, format="parquet")]
        for each in made:
            await try_once(web, each)
            found = await row_of(web, each)
            assert found is not None
            assert (found.state, found.rows) == ("done", 10)
            got = await web.ask("GET", f"/exports/{each}/content", user="vera")
            assert hashlib.sha256(got.content).hexdigest() == found.sha256
        part = await web.ask("GET", f"/exports/{made[0]}/content", user="vera", headers={"range": "bytes=0-3"})
        assert (part.status_code, part.content) == (206, b"path")
        assert (await web.ask("DELETE", f"/exports/{made[0]}", user="vera")).status_code == 204
        await handler(web).keep_up()
        store = await asyncio.to_thread(open_place, web.people.settings)
        assert [len(await asyncio.to_thread(store.names, each)) for each in made] == [0, 1]


async def test_a_place_that_web_does_not_see_is_said(database: Settings, tmp_path: Path) -> None:
    async with web_world(database, tmp_path) as web:
        await fill(web)
        made = await ask(web)
        place = dataclasses.replace(web.people.settings.exports, to=str(tmp_path / "elsewhere"))
        await handler(web, exports=place).export(job_of(made))
        answer = await web.ask("GET", f"/exports/{made}/content", user="vera")
        assert (answer.status_code, answer.json()["code"]) == (409, "NX6489")
        assert "NEXUS_EXPORTS_TO" in answer.json()["hint"]
        assert await web.people.trail("download-export") == []
