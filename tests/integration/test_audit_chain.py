"""The digest chain of the audit trail: every kind of damage by a superuser is found and named; writers can't break it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence

import asyncpg
import pytest

from nexus_cli.database.audit_chain import Checked, Place, chain_head, check_page
from nexus_cli.database.connect import connection, open_connection
from nexus_cli.database.deployments import write_audit
from nexus_cli.project.audit_verify import verify
from nexus_cli.settings import Settings
from tests.integration.control_world import World, world

__all__ = ["world"]
pytestmark = [pytest.mark.needs_broker, pytest.mark.needs_database]
SITE = "acme/chicago"
OFF = ("audit", "audit_link", "audit_head")


async def write(settings: Settings, count: int, *, who: str = "anna") -> None:
    async with connection(settings) as conn:
        for index in range(count):
            await write_audit(conn, SITE, who=who, what="apply", subject=f"deployment {index + 1}", detail={"n": index})


async def damage(settings: Settings, *statements: str) -> None:
    """As a superuser who knows the triggers."""
    async with connection(settings) as conn, conn.transaction():
        assert await conn.fetchval("SELECT usesuper FROM pg_user WHERE usename = current_user")
        for table in OFF:
            await conn.execute(f"ALTER TABLE nexus.{table} DISABLE TRIGGER USER")
        for statement in statements:
            await conn.execute(statement)
        for table in OFF:
            await conn.execute(f"ALTER TABLE nexus.{table} ENABLE TRIGGER USER")


async def checked(settings: Settings, *, limit: int = 4, anchors: dict[int, bytes] | None = None) -> Checked:
    """All pages, of so few links that damages lie at their borders, too."""
    place, found = Place(), []
    async with connection(settings) as conn:
        while True:
            page = await check_page(conn, SITE, place, anchors=anchors or {}, limit=limit)
            found += page.damages
            place = page.place
            if page.end:
                return dataclasses.replace(page, damages=tuple(found))


def named(found: Checked) -> Sequence[tuple[str, int, int]]:
    return [(each.kind, each.number, each.last) for each in found.damages]


SWAP = (
    "UPDATE nexus.audit_link SET audit_id = -audit_id WHERE number IN (2, 3)",
    "UPDATE nexus.audit_link AS link SET audit_id = (SELECT -other.audit_id FROM nexus.audit_link AS other "
    "WHERE other.number = 5 - link.number) WHERE number = 2",
    "UPDATE nexus.audit_link SET audit_id = 2 WHERE number = 3",
)


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        (["UPDATE nexus.audit SET who = 'ben' WHERE id = 3"], [("changed", 3, 3)]),
        (["UPDATE nexus.audit SET detail = '{\"n\": 9}' WHERE id = 4"], [("changed", 4, 4)]),
        (["UPDATE nexus.audit SET at = at - interval '1 microsecond' WHERE id = 5"], [("changed", 5, 5)]),
        (["DELETE FROM nexus.audit WHERE id = 4"], [("removed", 4, 4)]),
        (
            ["DELETE FROM nexus.audit WHERE id IN (4, 5)", "DELETE FROM nexus.audit_link WHERE number IN (4, 5)"],
            [("removed", 4, 5)],
        ),
        (
            ["DELETE FROM nexus.audit WHERE id = 1", "DELETE FROM nexus.audit_link WHERE number = 1"],
            [("removed", 1, 1)],
        ),
        (SWAP, [("reordered", 2, 2), ("reordered", 3, 3)]),
        (
            [
                "UPDATE nexus.audit AS a SET who = b.who, subject = b.subject, detail = b.detail, at = b.at "
                "FROM nexus.audit AS b WHERE (a.id, b.id) IN ((6, 7), (7, 6))"
            ],
            [("reordered", 6, 6), ("reordered", 7, 7)],
        ),
        (
            ["INSERT INTO nexus.audit (site, who, what) VALUES ('acme/chicago', 'eve', 'apply')"],
            [("inserted", 0, 0)],
        ),
        *(
            (
                [
                    "INSERT INTO nexus.audit (site, who, what) VALUES ('acme/chicago', 'eve', 'apply')",
                    "INSERT INTO nexus.audit_link (site, number, audit_id, at, previous, digest) "
                    f"SELECT '{site}', {number}, max(id), now(), '', '' FROM nexus.audit",
                ],
                [("inserted", 0, 0)],
            )
            for site, number in (("acme/chicago", -1), ("acme/other", 1))  # links that no walk comes to
        ),
        (
            ["DELETE FROM nexus.audit WHERE id >= 8", "DELETE FROM nexus.audit_link WHERE number >= 8"],
            [("cut", 8, 9)],
        ),
        (
            ["UPDATE nexus.audit_head SET digest = sha256('x')"],
            [("head", 9, 9)],
        ),
        (["DELETE FROM nexus.audit_head"], [("head", 9, 9)]),
        (
            [
                "UPDATE nexus.audit SET who = 'ben' WHERE id = 3",
                "UPDATE nexus.audit_link AS l SET digest = nexus.audit_digest(l.previous, l.number, a) "
                "FROM nexus.audit AS a WHERE a.id = l.audit_id AND a.id = 3",
            ],
            [("replaced", 3, 3)],
        ),
    ],
)
@pytest.mark.parametrize("limit", [1, 4, 100])
async def test_each_damage_is_found_and_named(
    database: Settings, statements: Sequence[str], expected: list[tuple[str, int, int]], limit: int
) -> None:
    if limit < 4 and expected[0][0] == "reordered":
        expected = [("changed", *each[1:]) for each in expected]  # pages of one link have nothing to compare with
    await write(database, 9)
    assert named(await checked(database, limit=limit)) == []
    await damage(database, *statements)
    assert named(await checked(database, limit=limit)) == expected


async def test_a_damage_names_who_and_when(database: Settings) -> None:
    await write(database, 3)
    async with connection(database) as conn:
        before = await conn.fetchval("SELECT at FROM nexus.audit WHERE id = 2")
    await damage(database, "UPDATE nexus.audit SET who = 'ben' WHERE id = 2")
    (found,) = (await checked(database)).damages
    assert (found.audit_id, found.who, found.what, found.subject) == (2, "ben", "apply", "deployment 2")
    assert found.at_us == int(before.timestamp() * 1e6) or abs(found.at_us - before.timestamp() * 1e6) < 2


async def test_a_chain_that_was_written_anew_is_found_by_its_anchor(database: Settings) -> None:
    await write(database, 6)
    async with connection(database) as conn:
        anchor = await chain_head(conn, SITE)
    assert anchor is not None and anchor.number == 6
    anchors = {anchor.number: anchor.digest}
    await write(database, 3)
    assert named(await checked(database, anchors=anchors)) == []
    renewed = """DO $$ DECLARE l record; before bytea := decode(repeat('00', 32), 'hex'); BEGIN
      FOR l IN SELECT link.number, line FROM nexus.audit_link AS link JOIN nexus.audit AS line ON line.id = link.audit_id
               ORDER BY link.number LOOP
        UPDATE nexus.audit_link SET previous = before, digest = nexus.audit_digest(before, l.number, l.line)
          WHERE number = l.number RETURNING digest INTO before;
      END LOOP;
      UPDATE nexus.audit_head SET digest = before;
    END $$"""
    await damage(database, "UPDATE nexus.audit SET who = 'ben' WHERE id = 2", renewed)
    assert named(await checked(database)) == [], "without an anchor a chain written anew is whole"
    assert named(await checked(database, anchors=anchors)) == [("anchor", 6, 6)]
    await damage(
        database,
        "DELETE FROM nexus.audit WHERE id > 5",
        "DELETE FROM nexus.audit_link WHERE number > 5",
        "UPDATE nexus.audit_head SET (number, digest) = (SELECT number, digest FROM nexus.audit_link WHERE number = 5)",
    )
    assert named(await checked(database)) == []
    assert named(await checked(database, anchors=anchors)) == [("cut", 6, 6)]


async def test_a_chain_that_was_begun_again_is_found_by_its_anchor(database: Settings) -> None:
    """A superuser empties everything, with no trigger in force, and the trail begins at 1 again."""
    await write(database, 6)
    async with connection(database) as conn:
        anchor = await chain_head(conn, SITE)
    assert anchor is not None
    anchors = {anchor.number: anchor.digest}
    everything = [f"DELETE FROM nexus.{table}" for table in ("audit", "audit_link", "audit_head")]
    await damage(database, *everything)
    assert named(await checked(database)) == [], "an empty trail alone says nothing"
    assert named(await checked(database, anchors=anchors)) == [("cut", 1, 6)]
    await write(database, 3)
    assert named(await checked(database)) == []
    assert named(await checked(database, anchors=anchors)) == [("cut", 4, 6)]
    await write(database, 5)
    assert named(await checked(database, anchors=anchors)) == [("anchor", 6, 6)]


async def test_what_follows_a_cut_does_not_hide_it(database: Settings) -> None:
    """The next link is made from the head: the numbers of removed rows are not given again."""
    await write(database, 5)
    await damage(database, "DELETE FROM nexus.audit WHERE id >= 4", "DELETE FROM nexus.audit_link WHERE number >= 4")
    await write(database, 2)
    assert named(await checked(database)) == [("removed", 4, 5)]


async def test_eight_writers_make_one_chain_and_a_rolled_back_one_leaves_no_gap(database: Settings) -> None:
    async def one(number: int) -> None:
        async with connection(database) as conn:
            for index in range(25):
                transaction = conn.transaction()
                await transaction.start()
                for _ in range(1 + index % 3):
                    await write_audit(conn, SITE, who=f"w{number}", what="apply")
                await (transaction.rollback() if index % 5 == 4 else transaction.commit())

    await asyncio.gather(*map(one, range(8)))
    found = await checked(database, limit=50)
    async with connection(database) as conn:
        rows = await conn.fetchval("SELECT count(*) FROM nexus.audit")
        numbers = await conn.fetchrow("SELECT count(*) AS many, max(number) AS last FROM nexus.audit_link")
    assert numbers is not None
    assert found.damages == () and found.place.number == rows == numbers["many"] == numbers["last"]
    assert rows == 8 * sum(1 + index % 3 for index in range(25) if index % 5 != 4)


async def test_a_writer_that_is_killed_before_its_commit_leaves_the_chain_whole(database: Settings) -> None:
    await write(database, 2)
    conn = await open_connection(database, application="writer")
    transaction = conn.transaction()
    await transaction.start()
    await write_audit(conn, SITE, who="lost", what="apply")
    await conn.execute("SET CONSTRAINTS ALL IMMEDIATE")  # the link is made, the head is locked
    async with connection(database) as killer:
        assert await killer.fetchval("SELECT pg_terminate_backend($1)", conn.get_server_pid())
    conn.terminate()
    await write(database, 1)
    found = await checked(database)
    assert (found.damages, found.place.number) == ((), 3)


async def test_a_large_insert_and_two_sites_at_once(database: Settings) -> None:
    async with connection(database) as conn:
        await conn.execute(
            "INSERT INTO nexus.audit (site, who, what) "
            "SELECT CASE WHEN i % 2 = 0 THEN 'acme/chicago' ELSE 'acme/other' END, 'é☃', 'apply' FROM generate_series(1, 3000) AS i"
        )
        other = await check_page(conn, "acme/other", Place(), anchors={})
    assert (other.damages, other.place.number) == ((), 1500)
    found = await checked(database, limit=1000)
    assert (found.damages, found.place.number) == ((), 1500)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE nexus.audit_link SET number = 7",
        "DELETE FROM nexus.audit_link",
        "TRUNCATE nexus.audit_link",
        "INSERT INTO nexus.audit_link (site, number, audit_id, at, previous, digest) VALUES ('a/b', 1, 99, now(), '', '')",
        "UPDATE nexus.audit_head SET number = 7",
        "DELETE FROM nexus.audit_head",
        "TRUNCATE nexus.audit_head",
    ],
)
async def test_the_chain_is_written_by_its_trigger_alone(database: Settings, statement: str) -> None:
    await write(database, 1)
    async with connection(database) as conn:
        with pytest.raises(asyncpg.PostgresError, match="is written by the trigger of"):
            await conn.execute(statement)


async def test_through_control_with_the_anchors_that_it_wrote(world: World) -> None:
    async with world.control():
        await write(world.settings, 5)
        settings = dataclasses.replace(world.settings, control_token="cli-token")
        found = await verify(settings=settings, page=2)
        assert (found.count, found.links, found.head.number) == (0, found.head.number, found.links) and found.links >= 5
        kept = f"{found.head.number}:{found.head.digest}"
        assert (await verify(kept, settings=settings)).anchors == 1
        number = found.head.number
        await damage(
            world.settings,
            f"DELETE FROM nexus.audit WHERE id IN (SELECT audit_id FROM nexus.audit_link WHERE number >= {number})",
            f"DELETE FROM nexus.audit_link WHERE number >= {number}",
            "UPDATE nexus.audit_head SET (number, digest) = (SELECT number, digest FROM nexus.audit_link "
            f"WHERE number = {number - 1})",
        )
        again = await verify(kept, settings=settings)
        assert [(each.kind, each.number, each.last) for each in again.damages] == [("cut", number, number)]
