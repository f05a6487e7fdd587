"""SIGKILL between each two steps of archiving and dropping: nothing is lost, and the next try ends verified."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nexus_cli.archive import keeping
from nexus_cli.archive.store import Folder
from nexus_cli.database import archive_days, job_queue
from nexus_cli.runtime.worker.worker import run_worker
from nexus_cli.settings import Settings
from tests.integration.archive_child import ARCHIVING, UPKEEPING
from tests.integration.test_archive import (
    NOW,
    SITE,
    TODAY,
    a_row,
    connected,
    declared,
    four_series,
    of_all_types,
    of_archive,
    of_database,
    put,
    the_day,
    to_archive,
    upkeep,
)
from tests.integration.test_notifications import declare
from tests.servers import free_port
from tests.waiting import until_found

pytestmark = [pytest.mark.needs_database]
DAY = TODAY - timedelta(days=5)
LATER = NOW + timedelta(days=8)


async def killed_at(step: str, database: Settings, root: Path, *, day: str = str(DAY)) -> None:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.archive_child"),
        *(database.database_url, str(root), day, step, LATER.isoformat()),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": "."},
    )
    _, said = await child.communicate()
    assert child.returncode == -signal.SIGKILL, said.decode()


@pytest.mark.parametrize("step", ARCHIVING)
async def test_killed_while_archiving(database: Settings, tmp_path: Path, step: str) -> None:
    root = tmp_path / "a"
    async with connected(database) as conn:
        made, ids = await declared(conn), await four_series(conn)
        await put(conn, made, *of_all_types(ids, DAY))
        expected = await of_database(conn, DAY)
        await killed_at(step, database, root)
        assert (await the_day(conn, DAY)).state == ("verified" if step == "committed" else "writing")
        await upkeep(database, LATER)
        if step != "committed":
            assert await of_database(conn, DAY) == expected
            await to_archive(database, root, made, DAY)
        assert await the_state(conn, root) == []
        await upkeep(database, LATER)
        assert await of_database(conn, DAY) == []
        assert of_archive(root) == expected


async def the_state(conn: object, root: Path) -> list[str]:
    found = await the_day(conn, DAY)
    return (await keeping.verify_day(conn, Folder(root), found, site=SITE)).problems


@pytest.mark.every_database
@pytest.mark.parametrize("step", ARCHIVING)
async def test_killed_while_late_rows_are_added(database: Settings, tmp_path: Path, step: str) -> None:
    root = tmp_path / "a"
    async with connected(database) as conn:
        made, ids = await declared(conn), await four_series(conn)
        await put(conn, made, *of_all_types(ids, DAY))
        expected = await of_database(conn, DAY)
        await to_archive(database, root, made, DAY)
        await upkeep(database, LATER)
        late = a_row(ids[0], datetime(DAY.year, DAY.month, DAY.day, 21, 59, tzinfo=UTC), 4.0)
        await put(conn, made, late, now=LATER)
        expected = sorted([*expected, *await of_database(conn, DAY)], key=repr)
        await killed_at(step, database, root)
        await to_archive(database, root, made, DAY)
        await upkeep(database, LATER)
        assert await of_database(conn, DAY) == []
        assert await the_state(conn, root) == []
        assert of_archive(root) == expected


@pytest.mark.parametrize("step", UPKEEPING)
async def test_killed_while_dropping(database: Settings, tmp_path: Path, step: str) -> None:
    root = tmp_path / "a"
    async with connected(database) as conn:
        made, ids = await declared(conn), await four_series(conn)
        await put(conn, made, *of_all_types(ids, DAY))
        await put(conn, made, a_row(ids[0], NOW, 4.0))
        expected, today = await of_database(conn, DAY), await of_database(conn, TODAY)
        await to_archive(database, root, made, DAY)
        await killed_at(step, database, root)
        if step == "detached":  # a row of the day arrives where it has no partition now
            late = a_row(ids[0], datetime(DAY.year, DAY.month, DAY.day, 21, 59, tzinfo=UTC), 4.0)
            await put(conn, made, late, now=LATER)
            expected = sorted([*expected, *await of_database(conn, DAY)], key=repr)
            await upkeep(database, LATER)
            assert await of_database(conn, DAY) == expected
            await to_archive(database, root, made, DAY)
        for _ in range(2):
            await upkeep(database, LATER)
            if await of_database(conn, DAY):
                await to_archive(database, root, made, DAY)
        await upkeep(database, LATER)
        assert await of_database(conn) == today
        assert await the_state(conn, root) == []
        assert of_archive(root) == expected


@pytest.mark.every_database
@pytest.mark.parametrize("step", ["begun", "file there", "manifest there"])
async def test_another_worker_archives_what_a_killed_one_had_begun(
    database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr(job_queue, "TAKEOVER_S", 2.0)
    monkeypatch.setattr(job_queue, "LOOK_S", 0.5)
    now, root = datetime.now(UTC), tmp_path / "a"
    days = [(now - timedelta(days=age)).date() for age in (5, 6)]
    stop = asyncio.Event()
    async with connected(database) as conn:
        await declare(conn, archive__store={"to": str(root)})
        made, ids = await declared(conn), await four_series(conn)
        for day in days:
            await put(conn, made, *of_all_types(ids, day), now=now)
        expected = await of_database(conn)
        await killed_at(step, database, root, day="worker")
        assert "verified" not in {each.state for each in await archive_days.archived_days(conn, site=SITE)}
        worker = asyncio.create_task(
            run_worker(replace(database, broker_url=f"mqtt://127.0.0.1:{free_port()}"), stop=stop)
        )
        try:

            async def states() -> list[str]:
                return [each.state for each in await archive_days.archived_days(conn, site=SITE)]

            await until_found(states, lambda found: found == ["verified"] * 2)
        finally:
            stop.set()
            await worker
        for found in await archive_days.archived_days(conn, site=SITE):
            assert (await keeping.verify_day(conn, Folder(root), found, site=SITE)).problems == []
        assert of_archive(root) == expected
