"""Series laws on a real database: a move keeps the id, remove and add resumes, a type change begins a segment."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from nexus_cli.database.connect import connection
from nexus_cli.database.minting import COPY_FROM, create_series, facts_by_path
from nexus_cli.database.series import sync_series
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.settings import Settings
from tests.postgres import SITE

pytestmark = [pytest.mark.needs_database, pytest.mark.every_database]
PATH = "packaging/line-1/filler"


def device(path: str = PATH, **tags: str) -> DeviceConfig:
    """A device whose tags have these types."""
    built = {name: TagConfig(type=kind, published_type=kind, unit="bar") for name, kind in tags.items()}
    return DeviceConfig(path=path, protocol="modbus", gateway="gw-1", tags=built)


async def rows(conn: Any) -> dict[str, Any]:
    found = await conn.fetch("SELECT * FROM nexus.series WHERE site = $1", SITE)
    return {row["path"]: row for row in found}


async def test_remove_and_add_resumes_with_the_same_id(database: Settings) -> None:
    async with connection(database) as conn:
        made = await sync_series(conn, site=SITE, devices={PATH: device(a="float32", b="int16")})
        assert made.created == (f"{PATH}/a", f"{PATH}/b")
        before = await rows(conn)
        gone = await sync_series(conn, site=SITE, devices={PATH: device(a="float32")})
        assert gone.forgotten == (f"{PATH}/b",)
        assert not (await rows(conn))[f"{PATH}/b"]["active"]
        back = await sync_series(conn, site=SITE, devices={PATH: device(a="float32", b="int16")})
        assert (back.resumed, back.created, back.segmented) == ((f"{PATH}/b",), (), ())
        after = await rows(conn)
        assert {path: (row["id"], row["ulid"]) for path, row in after.items()} == {
            path: (row["id"], row["ulid"]) for path, row in before.items()
        }


async def test_a_removed_device_forgets_all_and_leaves_its_neighbours(database: Settings) -> None:
    other = "packaging/line-1/filler-2"
    async with connection(database) as conn:
        await sync_series(conn, site=SITE, devices={PATH: device(a="bool"), other: device(other, a="bool")})
        gone = await sync_series(conn, site=SITE, devices={PATH: None})
        assert gone.forgotten == (f"{PATH}/a",)
        assert (await rows(conn))[f"{other}/a"]["active"]


async def test_a_type_change_begins_a_segment_and_keeps_the_id(database: Settings) -> None:
    async with connection(database) as conn:
        await sync_series(conn, site=SITE, devices={PATH: device(a="int16")})
        before = (await rows(conn))[f"{PATH}/a"]
        changed = await sync_series(conn, site=SITE, devices={PATH: device(a="float64")})
        assert changed.segmented == (f"{PATH}/a",)
        after = (await rows(conn))[f"{PATH}/a"]
        assert (after["id"], after["segment"], after["type"]) == (before["id"], 2, "float64")
        assert [each["type"] for each in orjson.loads(after["segments"])] == ["int16", "float64"]
        assert await sync_series(conn, site=SITE, devices={PATH: device(a="float64")}) == type(changed)()


async def test_moves_keep_ids_through_swaps_and_taken_targets(database: Settings) -> None:
    async with connection(database) as conn:
        await sync_series(conn, site=SITE, devices={PATH: device(a="bool", b="int8", c="int16")})
        before = {path.rpartition("/")[2]: row["id"] for path, row in (await rows(conn)).items()}
        moved = [(f"{PATH}/a", f"{PATH}/b"), (f"{PATH}/b", f"{PATH}/a")]
        await sync_series(conn, site=SITE, devices={PATH: device(b="bool", a="int8", c="int16")}, moved=moved)
        after = await rows(conn)
        assert (after[f"{PATH}/b"]["id"], after[f"{PATH}/a"]["id"]) == (before["a"], before["b"])
        assert after[f"{PATH}/b"]["former_paths"] == [f"{PATH}/a"]
        assert after[f"{PATH}/b"]["segment"] == 1

        await sync_series(conn, site=SITE, devices={PATH: device(b="bool", a="int8")})  # c is forgotten
        onto_forgotten = [(f"{PATH}/a", f"{PATH}/c")]
        await sync_series(conn, site=SITE, devices={PATH: device(b="bool", c="int8")}, moved=onto_forgotten)
        last = await rows(conn)
        assert last[f"{PATH}/c"]["id"] == before["b"]
        aside = [row for path, row in last.items() if "~" in path]
        assert [(row["id"], row["active"], row["former_paths"]) for row in aside] == [
            (before["c"], False, [f"{PATH}/c"])
        ]


async def test_a_whole_device_moves(database: Settings) -> None:
    new = "packaging/line-2/filler"
    async with connection(database) as conn:
        await sync_series(conn, site=SITE, devices={PATH: device(a="bool", b="int8")})
        before = {row["id"] for row in (await rows(conn)).values()}
        change = await sync_series(
            conn, site=SITE, devices={PATH: None, new: device(new, a="bool", b="int8")}, moved=[(PATH, new)]
        )
        assert (change.created, change.forgotten) == ((), ())
        after = await rows(conn)
        assert set(after) == {f"{new}/a", f"{new}/b"}
        assert {row["id"] for row in after.values()} == before


async def test_a_path_that_somebody_else_mints_meanwhile_is_left_as_it_is(database: Settings) -> None:
    """A historian's glob may be first: its series stays, and all others are minted."""
    plant = device(**{f"tag-{number:04d}": "float32" for number in range(2 * COPY_FROM)})
    facts = list(facts_by_path({PATH: plant}).values())
    async with connection(database) as conn:
        await create_series(conn, site=SITE, facts=facts[7:8])
        first = await conn.fetchrow("SELECT id, ulid FROM nexus.series")
        async with conn.transaction():
            await create_series(conn, site=SITE, facts=facts)
        found = {row["path"]: row for row in await conn.fetch("SELECT path, id, ulid, segments FROM nexus.series")}
    assert found.keys() == {each.path for each in facts}
    assert (found[facts[7].path]["id"], found[facts[7].path]["ulid"]) == (first["id"], first["ulid"])


async def test_few_and_many_series_are_minted_alike(database: Settings) -> None:
    plant = device(**{f"tag-{number:04d}": "float32" for number in range(COPY_FROM)})
    facts = list(facts_by_path({PATH: plant}).values())
    columns = "path, former_paths, type, unit, retention, active, external, segment, labels, lineage"
    query = f"SELECT {columns}, segments #- '{{0,since}}' FROM nexus.series ORDER BY path"
    found = []
    async with connection(database) as conn:
        for size in (1, COPY_FROM):
            transaction = conn.transaction()
            await transaction.start()
            for start in range(0, len(facts), size):
                await create_series(conn, site=SITE, facts=facts[start : start + size])
            found.append(await conn.fetch(query))
            await transaction.rollback()
    few, many = found
    assert few == many and len(many) == COPY_FROM


async def test_a_site_of_41_000_tags_takes_a_hundred_statements(database: Settings) -> None:
    """How long that takes, `make bench ARGS="historian observed"` shows."""
    plant = {
        path: device(path, **{f"tag-{number}": "float32" for number in range(41)})
        for path in (f"area/line/device-{number}" for number in range(1000))
    }
    async with connection(database) as conn:
        statements: list[str] = []
        conn.add_query_logger(lambda query: statements.append(query.query))
        change = await sync_series(conn, site=SITE, devices=plant)
        asked = len(statements)
        assert len(change.created) == 41_000
        one = {PATH: device(a="bool")}
        await sync_series(conn, site=SITE, devices=one)
    assert 1 <= asked < 100, "one for a thousand tags, not one for each"
    assert len(statements) - asked < 100
