"""The archive in an S3-compatible store and on a disk that is full or away; a whole worker that archives what is due."""

from __future__ import annotations

import asyncio
import resource
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.archive import keeping
from nexus_cli.archive.store import open_store
from nexus_cli.database import archive_days
from nexus_cli.database.jobs import listing
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.resources import ArchiveConfig
from nexus_cli.runtime.worker.archiving import kinds
from nexus_cli.runtime.worker.worker import run_worker
from nexus_cli.settings import Settings
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
    plain,
    put,
    the_day,
    to_archive,
    upkeep,
)
from tests.integration.test_notifications import declare
from tests.servers import free_port
from tests.waiting import until_found, wait_until

pytestmark = [pytest.mark.needs_database]
DAY = TODAY - timedelta(days=5)


def _answers(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """The address of an S3 server with the bucket `acme-history`."""
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: _answers(port), "the S3 server")
        put_bucket = urllib.request.Request(f"http://127.0.0.1:{port}/acme-history", method="PUT")
        urllib.request.urlopen(put_bucket).close()
        yield f"http://127.0.0.1:{port}"
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def in_bucket(moto: str, prefix: str) -> ArchiveConfig:
    return ArchiveConfig(
        to=f"s3://acme-history/{prefix}", endpoint=moto, user="${env:S3_USER}", password="${env:S3_PASSWORD}"
    )


async def test_s3_archive_verify_drop_restore_remove(
    database: Settings, moto: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S3_USER", "nexus")
    monkeypatch.setenv("S3_PASSWORD", "secret")
    config = in_bucket(moto, "hall")
    async with connected(database) as conn:
        made, ids = await declared(conn), await four_series(conn)
        await put(conn, made, *of_all_types(ids, DAY))
        expected = await of_database(conn, DAY)
        done = await to_archive(database, config, made, DAY)
        assert done.rows == len(expected)
        store, found = open_store(config), await the_day(conn, DAY)
        assert (await keeping.verify_day(conn, store, found, site=SITE)).problems == []
        await upkeep(database, NOW + timedelta(days=8))
        assert await of_database(conn, DAY) == []
        folder = f"{SITE}/class=fast/day={DAY}"
        names = store.names(folder)
        assert names == ["manifest.json", found.manifest["files"][0]["name"]]
        for name in names:  # what DuckDB reads of a store, it reads of a copy
            with store.read(f"{folder}/{name}") as file:
                (tmp_path / name).write_bytes(file.read())
        assert of_archive(tmp_path, "*.parquet") == expected
        found = await the_day(conn, DAY)
        back = await keeping.restore_day(conn, config, store, made, found, now=NOW, hold=timedelta(days=7))
        assert back.added == len(expected)
        assert await of_database(conn, DAY) == expected

        with store.write(f"{folder}/{names[1]}") as sink:
            sink.write(b"PAR1 garbage")
        checked = await keeping.verify_day(conn, store, await the_day(conn, DAY), site=SITE)
        assert len(checked.problems) == 1
        assert "was changed" in checked.problems[0]
        keeping.remove_day(store, found, site=SITE)
        assert store.names(folder) == []


async def test_an_upload_that_fails_leaves_no_file(moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_USER", "nexus")
    monkeypatch.setenv("S3_PASSWORD", "secret")
    store = open_store(in_bucket(moto, "upload"))
    with pytest.raises(ValueError, match="broken"), store.write("x/y") as sink:
        sink.write(b"z" * 20_000_000)
        raise ValueError("broken")
    assert store.names("x") == []
    with pytest.raises(FileNotFoundError):
        store.read("x/y")


async def test_a_store_that_is_away_or_refuses_is_said_and_nothing_goes(
    database: Settings, moto: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S3_USER", "nexus")
    monkeypatch.setenv("S3_PASSWORD", "secret")
    no_bucket = replace_config(in_bucket(moto, "x"), to="s3://no-such-bucket/x")
    no_secret = replace_config(in_bucket(moto, "x"), password="${env:S3_NONE}")
    away = replace_config(in_bucket(moto, "x"), endpoint=f"http://127.0.0.1:{free_port()}")
    async with connected(database) as conn:
        made, ids = await declared(conn), await four_series(conn)
        await put(conn, made, *of_all_types(ids, DAY))
        for config in (no_bucket, no_secret, away):
            with pytest.raises(NexusError) as raised:
                await to_archive(database, config, made, DAY)
            assert raised.value.code == "NX6481"
            assert "secret" not in str(raised.value.cause) or config is no_secret
            found = await the_day(conn, DAY)
            assert found.state == "open"
            assert found.error
            await upkeep(database, NOW + timedelta(days=8))
            assert await of_database(conn, DAY) != []


def replace_config(config: ArchiveConfig, **changed: Any) -> ArchiveConfig:
    import msgspec

    return msgspec.structs.replace(config, **changed)


async def test_a_full_disk_and_a_disk_that_is_not_mounted(database: Settings, tmp_path: Path) -> None:
    root = tmp_path / "mount" / "archive"
    async with connected(database) as conn:
        made, ids = await declared(conn), await four_series(conn)
        await put(conn, made, *of_all_types(ids, DAY))
        expected = await of_database(conn, DAY)
        with pytest.raises(NexusError) as raised:
            await to_archive(database, root, made, DAY)
        assert (raised.value.code, "is not there" in str(raised.value.cause)) == ("NX6481", True)

        root.parent.mkdir()
        limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        try:
            with pytest.raises(NexusError) as raised:
                await to_archive(database, root, made, DAY)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)
        assert raised.value.code == "NX6481"
        assert [each for each in root.rglob("*") if each.is_file()] == []
        await upkeep(database, NOW + timedelta(days=8))
        assert await of_database(conn, DAY) == expected

        await to_archive(database, root, made, DAY)
        await upkeep(database, NOW + timedelta(days=8))
        assert await of_database(conn, DAY) == []
        assert of_archive(root) == expected


async def test_a_worker_archives_what_is_due_and_removes_what_is_over(
    database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kinds, "LOOK_S", 0.2)
    now = datetime.now(UTC)
    ages = [5, 7, 20, 300]
    root, away = tmp_path / "a", replace(database, broker_url=f"mqtt://127.0.0.1:{free_port()}")
    stop = asyncio.Event()
    async with connected(database) as conn:
        await declare(conn, archive__store={"to": str(root)})
        made, ids = await declared(conn), await four_series(conn)
        days = [(now - timedelta(days=age)).date() for age in ages]
        for day in days:
            await put(conn, made, *of_all_types(ids, day), now=now)
        await put(conn, made, a_row(ids[0], now), now=now)
        today = plain(await conn.fetch("SELECT time FROM nexus.sample WHERE time >= $1", now))
        expected = [row for row in await of_database(conn) if row[:1] not in today]
        worker = asyncio.create_task(run_worker(away, stop=stop))
        try:

            async def states() -> list[str]:
                return [each.state for each in await archive_days.archived_days(conn, site=SITE)]

            await until_found(states, lambda found: found == ["verified"] * 4)
            assert of_archive(root) == expected
            await upkeep(database, now)
            assert sorted(await states()) == ["dropped", "dropped", "verified", "verified"]

            # The archive keeps a hundred days: what is 300 days old goes from there, and what is 20 days old stays.
            await conn.execute("UPDATE nexus.retention_class SET archive_keep_ms = 100 * 86400000::bigint")

            async def known() -> list[Any]:
                return [each.day for each in await archive_days.archived_days(conn, site=SITE)]

            await until_found(known, lambda found: found == sorted(days[:3]))
            assert not (root / SITE / "class=fast" / f"day={days[3]}").exists()
            assert len(of_archive(root)) == len(expected) * 3 // 4
            assert await listing(conn, SITE, state="failed") == []
        finally:
            stop.set()
            await worker


async def test_a_worker_says_that_the_archive_is_behind(
    database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kinds, "LOOK_S", 0.2)
    now = datetime.now(UTC)
    away = replace(database, broker_url=f"mqtt://127.0.0.1:{free_port()}", http_port=free_port())
    stop, root = asyncio.Event(), tmp_path / "mount" / "a"
    async with connected(database) as conn:
        await declare(conn, archive__store={"to": str(root)})
        made, ids = await declared(conn), await four_series(conn)
        await put(conn, made, *of_all_types(ids, (now - timedelta(days=9)).date()), now=now)
        worker = asyncio.create_task(run_worker(away, stop=stop))
        try:

            async def page(name: str) -> str:
                def read() -> str:
                    try:
                        with urllib.request.urlopen(f"http://127.0.0.1:{away.http_port}/{name}") as found:
                            return str(found.read().decode())
                    except urllib.error.HTTPError as error:
                        return error.read().decode()
                    except OSError:
                        return ""

                return await asyncio.to_thread(read)

            found = await until_found(lambda: page("status"), lambda text: "is not there" in text)
            assert "NX6482: 1 days wait for the archive" in found
            metrics = await page("metrics")
            assert "nexus_archive_waiting_days 1.0" in metrics
            assert await of_database(conn) != []
            root.parent.mkdir()  # the disk is mounted again
            await conn.execute("UPDATE nexus.job SET execute_after = now()")
            caught_up = await until_found(
                lambda: page("metrics"), lambda text: "nexus_archive_waiting_days 0.0" in text
            )
            assert "nexus_archive_behind_seconds 0.0" in caught_up
        finally:
            stop.set()
            await worker
