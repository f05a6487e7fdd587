"""Dead letters that are retried: what a declaration cured is stored under its first time, once; the rest says why it stays."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from pathlib import Path
from typing import Any

import orjson
import pytest

from nexus_cli.database import letter_retries, loss
from nexus_cli.database.connect import connection
from nexus_cli.exit_codes import Exit
from nexus_cli.runtime.historian import letter_retries as historian_retries
from nexus_cli.runtime.signed_values import REASONS
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.frame import Frame, encode
from nexus_cli.wire.jobs import LetterChoice, LettersChanged
from tests.forks import run_nexus
from tests.integration.control_world import API, World, world
from tests.integration.historian_rig import DEVICE, START_US, TOPICS, SmallOutbox, declare, device, historian, query
from tests.integration.test_historian_others import SCALE, record, scale
from tests.postgres import SITE
from tests.servers import TestBroker
from tests.waiting import until, until_found

pytestmark = [pytest.mark.needs_database, pytest.mark.needs_broker]
__all__ = ["world"]
ROWS = """SELECT s.path, round(extract(epoch FROM x.time) * 1000000)::bigint AS time_us,
            coalesce(x.value_text, x.value_exact::text, x.value::text) AS value
          FROM nexus.sample x JOIN nexus.series s ON s.id = x.series_id ORDER BY s.path, x.time"""


async def rows(settings: Settings) -> list[tuple[str, int, str]]:
    return [
        (row["path"].rpartition("/")[2], row["time_us"] - START_US, row["value"]) for row in await query(settings, ROWS)
    ]


async def letters(settings: Settings) -> list[tuple[int, str, int, int]]:
    found = await query(settings, "SELECT id, reason, count, tries FROM nexus.dead_letter ORDER BY id")
    return [tuple(row) for row in found]


async def retried(settings: Settings, **choice: Any) -> letter_retries.RetryState:
    """Give letters back, and wait until the historian has looked at them."""
    async with connection(settings) as conn:
        keys = {"ids": (), "topic": "", "reason": "", "all_": not choice, **choice}
        asked = await letter_retries.ask_again(conn, SITE, who="anna", **keys)
        assert asked
        return await until_found(
            lambda: letter_retries.retry_state(conn, SITE, ids=asked), lambda found: not found.waiting
        )


async def test_what_a_declaration_cured_is_stored_once_under_its_first_time(
    database: Settings, broker: TestBroker
) -> None:
    await declare(database, device(a="float64"))
    outbox = SmallOutbox(dataclasses.replace(database, broker_url=broker.url))
    outbox.frame(1, {"a": 1.0, "b": 2.0, "c": "open"})
    outbox.frame(2, {"a": "warm"})
    async with historian(database, broker), outbox.running():
        await outbox.drained()
        assert [(reason, count) for _, reason, count, _ in await letters(database)] == [
            ("unknown_series", 2),
            ("type_mismatch", 1),
        ]
        [first] = await query(database, "SELECT id, at FROM nexus.dead_letter WHERE reason = 'unknown_series'")
        assert set((await retried(database)).kept) == {row[0] for row in await letters(database)}
        assert [tries for *_, tries in await letters(database)] == [1, 1]

        await declare(database, device(a="float64", b="float64"))
        found = await retried(database, reason="unknown_series")
        assert list(found.kept.values()) == ["unknown_series: no series for: c"]
        assert await rows(database) == [("a", 1000, "1"), ("b", 1000, "2")]
        [left] = await query(
            database, "SELECT id, at, count, tries FROM nexus.dead_letter WHERE reason = 'unknown_series'"
        )
        assert (left["id"], left["at"], left["count"], left["tries"]) == (first["id"], first["at"], 1, 2)

        await declare(database, device(a="float64", b="float64", c="string"))
        assert (await retried(database)).kept.keys() != set()
        assert await rows(database) == [("a", 1000, "1"), ("b", 1000, "2"), ("c", 1000, "open")]
        assert [(reason, count) for _, reason, count, _ in await letters(database)] == [("type_mismatch", 1)]
        audit = await query(
            database, "SELECT who, detail->>'reason' AS reason FROM nexus.audit WHERE what = 'retry-dead-letter'"
        )
        assert {(row["who"], row["reason"]) for row in audit} == {("anna", "unknown_series"), ("anna", "type_mismatch")}


async def test_a_gateway_that_was_not_assigned_and_what_was_only_counted(
    database: Settings, broker: TestBroker
) -> None:
    await declare(database, device(a="float64"))
    other = SmallOutbox(dataclasses.replace(database, broker_url=broker.url), gateway="gw-9", epoch="E9")
    for seq in range(1, 4):
        other.frame(seq, {"a": float(seq)})
    async with historian(database, broker), other.running():
        await other.drained()
        assert [each[1:] for each in await letters(database)] == [("not_assigned", 3, 0)]
        assert "not assigned" in next(iter((await retried(database)).kept.values()))
        await query(database, "UPDATE nexus.assignment SET gateway = 'gw-9' WHERE site = $1", SITE)
        found = await retried(database)
        assert list(found.kept.values()) == [
            "not_assigned: 2 alike were counted, and their payloads were not kept: only the first was stored"
        ]
        assert await rows(database) == [("a", 1000, "1")]
        assert [each[1:] for each in await letters(database)] == [("not_assigned", 2, 2)]
        other.frame(4, {"a": 4.0})  # the historian has not heard of the change that this test made past control
        await other.drained()
        assert [each[1:] for each in await letters(database)] == [("not_assigned", 2, 2), ("not_assigned", 1, 0)]


async def test_others_messages_have_the_time_of_their_first_receipt(database: Settings, broker: TestBroker) -> None:
    await record(database, scale())
    client = BrokerClient(settings=dataclasses.replace(database, broker_url=broker.url), client_id="others")
    async with historian(database, broker) as role, client.session():
        await until(lambda: role.following.is_our_turn)
        await client.publish(TOPICS.tag(f"{SCALE}/weight"), b"heavy")
        await until_found(lambda: letters(database))
        [letter] = await query(database, "SELECT at FROM nexus.dead_letter")
        assert list((await retried(database)).kept)
        await query(database, "UPDATE nexus.dead_letter SET payload = '17.5'")  # as if the type had been cured
        assert (await retried(database)).kept == {}
        [row] = await query(database, "SELECT x.time, x.value FROM nexus.sample x")
        assert (row["time"], row["value"]) == (letter["at"], 17.5)


async def test_a_cut_before_the_letter_is_gone_stores_nothing_twice(
    database: Settings, broker: TestBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is lost after the rows and before the letter is settled: both are rolled back, and tried again."""
    await declare(database, device(a="float64"))
    cuts, settle = [0], letter_retries.settle_asked

    async def cut(conn: Any, **keys: Any) -> None:
        await settle(conn, **keys)
        cuts[0] += 1
        if cuts[0] == 1:
            conn.terminate()
            raise ConnectionResetError("cut")

    monkeypatch.setattr(historian_retries, "settle_asked", cut)
    frame = encode(Frame(epoch="E1", seq=7, time=START_US, samples={"a": 7.0}))
    async with historian(database, broker):
        async with connection(database) as conn:
            topic = TOPICS.data("gw-1", DEVICE)
            for _ in range(2):  # the same frame twice: one row
                await loss.add_dead_letter(
                    conn, site=SITE, topic=topic, reason="not_assigned", detail="", payload=frame.decode(), count=1
                )
        assert (await retried(database)).kept == {}
    assert cuts == [3]
    assert await rows(database) == [("a", 0, "7")]
    assert await letters(database) == []


async def test_what_can_not_be_stored_stays_with_its_reason(database: Settings, broker: TestBroker) -> None:
    data, other = TOPICS.data("gw-1", DEVICE), {"epoch": "E1", "seq": 3, "samples": {"a": 1.0}}
    await record(database, scale())
    await declare(database, device(a="float64"))
    hopeless = [
        (data, "foreign_epoch", orjson.dumps({**other, "time": START_US}).decode()),
        (data, "not_a_frame", "{"),
        (data, "not_assigned", orjson.dumps({**other, "time": START_US, "samples": {"a": "x" * 5000}}).decode()[:4096]),
        (data, "ahead_of_time", orjson.dumps({**other, "time": START_US + 9 * 3_600_000_000}).decode()),
        (f"{data}/a", "refused_by_database", "\\x00\\x01"),
        (TOPICS.tag("packaging/line-1/nobody/x"), "no_value", "1"),
        ("gap/gw-1", "refused_by_database", "{}"),
        *((TOPICS.tag(f"{SCALE}/weight"), reason, "17.5") for reason in sorted(REASONS)),
    ]
    async with historian(database, broker):
        async with connection(database) as conn:
            for topic, reason, payload in hopeless:
                await loss.add_dead_letter(
                    conn, site=SITE, topic=topic, reason=reason, detail="", payload=payload, count=1
                )
        kept = (await retried(database)).kept
    assert [why.partition(":")[0] for why in kept.values()] == [reason for _, reason, _ in hopeless]
    assert all(why.partition(": ")[2] for why in kept.values())
    assert await rows(database) == []


async def test_over_control_and_the_command_line(world: World, tmp_path: Path) -> None:
    await declare(world.settings, device(a="float64"))
    frame = encode(Frame(epoch="E1", seq=7, time=START_US, samples={"a": 7.0, "b": 1.0}))
    async with connection(world.settings) as conn:
        for topic, reason in ((TOPICS.data("gw-1", DEVICE), "not_assigned"), ("acme/chicago/x", "no_value")):
            await loss.add_dead_letter(
                conn, site=SITE, topic=topic, reason=reason, detail="", payload=frame.decode(), count=1
            )
    async with world.control() as control:
        body = LetterChoice(reason="not_assigned")
        away = await control.call("POST", "/dead-letters/retry", LettersChanged, body=body)
        assert (away.ids, away.kept, len(away.waiting)) == ([], {}, 1)  # no historian runs
        environ = {
            **os.environ,
            "NEXUS_HOME": str(tmp_path / ".nexus"),
            "NEXUS_SITE": SITE,
            "NEXUS_CONTROL_URL": world.settings.control_url,
            "NEXUS_CONTROL_TOKEN": API["nexus.cli"],
        }

        def nexus(*arguments: str) -> tuple[int, str]:
            done = run_nexus(("dead-letters", *arguments), folder=tmp_path, environment=environ, timeout_s=60)
            return done.returncode, done.stdout + done.stderr

        async with historian(world.settings, world.broker):
            await until_found(lambda: letters(world.settings), lambda found: found[0][3] == 1)
            code, said = await asyncio.to_thread(nexus, "retry", "--all", "--format", "json")
            assert code == 1 and list(orjson.loads(said)["kept"].values()) == [
                "unknown_series: no series for: b",
                "no_value: no declared tag has its topic",
            ]
            await declare(world.settings, device(a="float64", b="float64"))
            code, said = await asyncio.to_thread(nexus, "retry", "--reason", "unknown_series")
            assert (code, said.strip()) == (0, "1 dead letters were stored")
            code, said = await asyncio.to_thread(nexus, "retry")
            assert code == Exit.USAGE and "NX6440" in said
    assert await rows(world.settings) == [("a", 0, "7"), ("b", 0, "1")]
