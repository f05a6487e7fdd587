"""What ends an export in the middle: the file is whole or absent, there is one, and the row says what is true."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.archive import exported
from nexus_cli.archive.folder import Sink
from nexus_cli.database import job_queue, jobs
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.project.export import export
from nexus_cli.runtime.worker import exporting
from nexus_cli.settings import Settings
from nexus_cli.wire.web_exports import Export
from tests.integration.exports_child import STEPS
from tests.integration.exports_world import ENERGY, SITE, ask, ended, fill, handler, job_of, row_of, try_once, worker
from tests.integration.web_world import WebWorld, web_world

pytestmark = [pytest.mark.needs_database]


async def killed_at(step: str, database: Settings, home: Path, export: str) -> None:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.exports_child", database.database_url, str(home), export, step),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": "."},
    )
    _, said = await child.communicate()
    assert child.returncode == -signal.SIGKILL, said.decode()


def whole_files(home: Path) -> list[Path]:
    return [each for each in (home / "exports").rglob("*") if each.is_file() and not each.name.startswith(".")]


async def the_row(web: WebWorld, export: str) -> Export:
    found = await row_of(web, export)
    assert found is not None
    return found


async def is_done_once(web: WebWorld, home: Path, export: str) -> None:
    """The row is done, there is one file, it is what the row says, and the trail has one line."""
    found = await the_row(web, export)
    assert (found.state, found.rows, found.reason) == ("done", 10, "")
    every = [each for each in (home / "exports").rglob("*") if each.is_file()]
    assert len(every) == 1, every
    data = every[0].read_bytes()
    assert (hashlib.sha256(data).hexdigest(), len(data)) == (found.sha256, found.size)
    got = await web.ask("GET", f"/exports/{export}/content", user="vera")
    assert got.content == data
    assert len(await web.people.trail("export")) == 1


@pytest.mark.parametrize("step", STEPS)
async def test_killed_between_two_steps(database: Settings, tmp_path: Path, step: str) -> None:
    async with web_world(database, tmp_path) as web:
        await fill(web)
        made = await ask(web)
        await killed_at(step, database, tmp_path, made)
        there = len(whole_files(tmp_path))
        assert there == (step in ("file there", "settled", "tidying"))
        assert (await the_row(web, made)).state == ("done" if step in ("settled", "tidying") else "running")
        await try_once(web, made, attempt=2)
        await is_done_once(web, tmp_path, made)


async def test_another_worker_ends_what_a_killed_one_began(
    database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_queue, "TAKEOVER_S", 2.0)
    monkeypatch.setattr(job_queue, "LOOK_S", 0.5)
    async with web_world(database, tmp_path) as web:
        await fill(web)
        made = await ask(web, format="parquet")
        await killed_at("file there", database, tmp_path, "worker")
        assert (await the_row(web, made)).state == "running"
        async with worker(web.people.settings):
            await ended(web, made)
        await is_done_once(web, tmp_path, made)


async def test_the_database_is_cut_off_in_the_middle(
    database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, cuts = exported.copy_readable, []

    async def cut(conn: Any, *args: Any, **more: Any) -> None:
        await real(conn, *args, **more)
        if not cuts:
            cuts.append(1)
            await conn.fetchval("SELECT pg_terminate_backend(pg_backend_pid())")

    monkeypatch.setattr(exported, "copy_readable", cut)
    async with web_world(database, tmp_path) as web:
        await fill(web)
        made = await ask(web)
        with pytest.raises(NexusError):
            await try_once(web, made)
        found = await the_row(web, made)
        assert (found.state, found.sha256) == ("waiting", "")
        assert found.reason
        assert whole_files(tmp_path) == []
        await try_once(web, made, attempt=2)
        await is_done_once(web, tmp_path, made)


async def test_a_disk_that_is_full(database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_sink: Sink, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with web_world(database, tmp_path) as web:
        await fill(web)
        made = await ask(web)
        with monkeypatch.context() as patch:
            patch.setattr(Sink, "write", full)
            for attempt, state in ((1, "waiting"), (exporting.TRIES, "failed")):
                with pytest.raises(NexusError, match="can't be written"):
                    await try_once(web, made, attempt=attempt)
                found = await the_row(web, made)
                assert found.state == state
                assert "No space left on device" in found.reason
                assert [each for each in (tmp_path / "exports").rglob("*") if each.is_file()] == []
        answer = await web.ask("GET", f"/exports/{made}/content", user="vera")
        assert (answer.status_code, answer.json()["code"]) == (409, "NX6489")
        assert "No space left" in answer.json()["cause"]
        await try_once(web, made)  # retried by a person
        await is_done_once(web, tmp_path, made)


async def test_a_full_disk_is_not_taken_for_a_database_that_is_away(
    database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_sink: Sink, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Sink, "write", full)
    async with web_world(database, tmp_path) as web:
        await fill(web)
        with pytest.raises(NexusError) as refused:
            await export([ENERGY], since="1h", until="now", out=tmp_path / "a.csv", settings=web.people.settings)
        assert (refused.value.code, refused.value.cause) == ("NX6486", "No space left on device")
        assert not (tmp_path / "a.csv").exists()


@pytest.mark.parametrize("order", ["the later one is done", "the later one runs"])
async def test_a_result_that_comes_too_late(
    database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    real, written, held = (
        exporting.write_samples,
        [asyncio.Event(), asyncio.Event()],
        [asyncio.Event(), asyncio.Event()],
    )
    number = iter((0, 1))

    async def write(*args: Any, **more: Any) -> Any:
        mine = next(number)
        done = await real(*args, **more)
        written[mine].set()
        await held[mine].wait()
        return done

    monkeypatch.setattr(exporting, "write_samples", write)
    async with web_world(database, tmp_path) as web:
        await fill(web)
        made = await ask(web)
        early = asyncio.create_task(try_once(web, made))
        await written[0].wait()
        later = asyncio.create_task(try_once(web, made, attempt=2))
        await written[1].wait()
        assert len(whole_files(tmp_path)) == 2
        if order == "the later one is done":
            held[1].set()
            await later
            held[0].set()
            await early
        else:
            held[0].set()
            with pytest.raises(NexusError, match="Another try"):
                await early
            assert (await the_row(web, made)).state == "running"
            held[1].set()
            await later
        await is_done_once(web, tmp_path, made)


async def test_an_export_that_is_removed_while_it_is_written_leaves_nothing(
    database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, written, held = exporting.write_samples, asyncio.Event(), asyncio.Event()

    async def write(*args: Any, **more: Any) -> Any:
        done = await real(*args, **more)
        written.set()
        await held.wait()
        return done

    monkeypatch.setattr(exporting, "write_samples", write)
    async with web_world(database, tmp_path) as web:
        await fill(web)
        made = await ask(web)
        running = asyncio.create_task(try_once(web, made))
        await written.wait()
        assert (await web.ask("DELETE", f"/exports/{made}", user="vera")).status_code == 204
        held.set()
        await running
        assert list((tmp_path / "exports").iterdir()) == []
        await handler(web).keep_up()
        assert await web.people.pool.fetchval("SELECT count(*) FROM nexus.export") == 0
        assert await web.people.trail("export") == []


async def test_a_row_whose_job_failed_is_gone_or_waits_again(database: Settings, tmp_path: Path) -> None:
    async with web_world(database, tmp_path) as web:
        await fill(web)
        discarded, lost = await ask(web), await ask(web)
        await handler(web).keep_up()
        assert (await the_row(web, discarded)).state == "waiting"
        pool = web.people.pool
        ids = {row["id"]: row["payload"].decode() for row in await pool.fetch("SELECT id, payload FROM nexus.job")}
        async with pool.acquire() as conn:
            gone = [each for each, payload in ids.items() if discarded in payload]
            assert await jobs.discard(conn, SITE, ids=gone, kind="", all_=False, who="erik") == gone
        await pool.execute(
            "WITH j AS (UPDATE nexus.job SET status = 'failed' RETURNING id, entrypoint, priority)"
            " INSERT INTO nexus.job_log (job_id, status, entrypoint, priority, traceback)"
            """ SELECT id, 'failed', entrypoint, priority, '{"exception_message": "5 workers were lost with it"}' FROM j"""
        )
        await handler(web).keep_up()
        found = [await the_row(web, each) for each in (discarded, lost)]
        assert [(each.state, each.reason) for each in found] == [
            ("failed", "its job was discarded"),
            ("failed", "5 workers were lost with it"),
        ]
        async with pool.acquire() as conn:
            await jobs.retry(conn, SITE, ids=[], kind="export", all_=True, who="erik")
        await handler(web).keep_up()
        assert (await the_row(web, lost)).state == "waiting"
        await try_once(web, lost)
        await is_done_once(web, tmp_path, lost)


async def test_a_payload_that_names_no_export_is_given_up(database: Settings, tmp_path: Path) -> None:
    async with web_world(database, tmp_path) as web:
        job = job_of(ENERGY)
        await handler(web).export(job)  # one that was removed
        with pytest.raises(job_queue.GiveUpError):
            await handler(web).export(job_queue.Taken(id=1, kind="export", payload={}, attempt=1))
