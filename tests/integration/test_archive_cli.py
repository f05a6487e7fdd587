"""`nexus archive` and `nexus export` as commands, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import csv
import io
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest

from nexus_cli.settings import Settings
from tests.integration.test_archive import (
    SITE,
    a_row,
    connected,
    declared,
    four_series,
    of_all_types,
    of_archive,
    of_database,
    put,
    series,
    the_day,
    to_archive,
    upkeep,
)
from tests.integration.test_notifications import declare

pytestmark = [pytest.mark.needs_database, pytest.mark.every_database]
NOW = datetime.now(UTC).replace(microsecond=0)
DAY = (NOW - timedelta(days=5)).date()


async def nexus(database: Settings, *arguments: str, cwd: Path) -> tuple[int, str, str]:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nexus_cli", *arguments),
        cwd=cwd,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(cwd),
            "NEXUS_SITE": SITE,
            "NEXUS_DATABASE_URL": database.database_url,
            "NEXUS_DATABASE_PASSWORD": database.database_password,
        },
    )
    out, err = await child.communicate()
    assert child.returncode is not None
    return child.returncode, out.decode(), err.decode()


async def test_list_verify_restore(database: Settings, tmp_path: Path) -> None:
    root = tmp_path / "a"
    async with connected(database) as conn:
        assert (await nexus(database, "archive", "list", cwd=tmp_path))[:2] == (0, "nothing is archived\n")
        code, _, said = await nexus(database, "archive", "verify", cwd=tmp_path)
        assert (code, "NX6485" in said) == (6, True)
        await declare(conn, archive__store={"to": str(root)})
        made, ids = await declared(conn), await four_series(conn)
        await put(conn, made, *of_all_types(ids, DAY), now=NOW)
        expected = await of_database(conn, DAY)
        await to_archive(database, root, made, DAY)
        await upkeep(database, NOW + timedelta(days=8))
        assert await of_database(conn, DAY) == []

        code, out, _ = await nexus(database, "archive", "list", cwd=tmp_path)
        assert code == 0
        assert out.splitlines()[1].split()[:5] == ["fast", str(DAY), "dropped", str(len(expected)), "1"]
        code, out, _ = await nexus(database, "archive", "list", "--from", "2d", "--format", "json", cwd=tmp_path)
        assert (code, orjson.loads(out)) == (0, {"days": []})
        code, out, _ = await nexus(database, "archive", "verify", cwd=tmp_path)
        assert (code, out) == (0, f"1 of 1 days are whole, {len(expected)} rows\n")

        span = ("--from", str(DAY), "--to", str(DAY + timedelta(days=1)), "--utc")
        code, out, said = await nexus(database, "archive", "restore", *span, "--hold", "3d", cwd=tmp_path)
        assert (code, out.splitlines()[0]) == (0, f"fast  {DAY}  {len(expected)} of {len(expected)} rows added"), said
        assert await of_database(conn, DAY) == expected
        found = await the_day(conn, DAY)
        assert found.hold_until is not None
        assert timedelta(days=2) < found.hold_until - NOW < timedelta(days=4)
        await upkeep(database, NOW + timedelta(days=8))
        assert await of_database(conn, DAY) == expected
        code, out, _ = await nexus(database, "archive", "restore", *span, "--format", "json", cwd=tmp_path)
        assert orjson.loads(out)["days"][0]["added"] == 0
        told = await conn.fetch("SELECT what, detail::text FROM nexus.audit WHERE what = 'restore-archive' ORDER BY id")
        assert [orjson.loads(row["detail"])["added"] for row in told] == [len(expected), 0]

        code, _, said = await nexus(database, "archive", "list", "--from", "30x", cwd=tmp_path)
        assert (code, "NX6211" in said) == (1, True), said
        root.rename(tmp_path / "unmounted")
        for command in (("verify",), ("restore", *span)):
            code, _, said = await nexus(database, "archive", *command, cwd=tmp_path)
            assert (code, "NX6481" in said) == (6, True), said
        assert (await the_day(conn, DAY)).error == ""
        (tmp_path / "unmounted").rename(root)

        file = next(root.glob("**/*.parquet"))
        file.write_bytes(file.read_bytes()[:-1])
        code, out, _ = await nexus(database, "archive", "verify", cwd=tmp_path)
        assert code == 1
        assert "was changed" in out
        assert "archived again" in out
        code, _, said = await nexus(database, "archive", "restore", *span, cwd=tmp_path)
        assert (code, "NX6483" in said) == (6, True)
        code, _, said = await nexus(
            database, "archive", "restore", "--from", "2019-01-01", "--to", "2019-02-01", cwd=tmp_path
        )
        assert (code, "NX6485" in said) == (6, True)


async def test_export_to_parquet_and_csv(database: Settings, tmp_path: Path) -> None:
    async with connected(database) as conn:
        made, ids = await declared(conn), await four_series(conn)
        switch = await series(conn, "running", type_="bool")
        rows = of_all_types(ids, DAY)
        await put(conn, made, *rows, a_row(switch, NOW - timedelta(days=5), 1.0), now=NOW)
        await put(conn, made, a_row(ids[0], NOW - timedelta(days=9), 3.0), now=NOW)
        expected = await of_database(conn)
        code, out, said = await nexus(database, "export", "--from", "30d", "--out", "all.parquet", cwd=tmp_path)
        assert (code, out.startswith(f"{len(expected)} samples of 5 tags in all.parquet")) == (0, True), said
        assert of_archive(tmp_path, "all.parquet") == expected

        arguments = ("packaging/line-1/*/temperature", "packaging/**", "--from", "7d", "--out", "w.csv", "--json")
        code, out, said = await nexus(database, "export", *arguments, cwd=tmp_path)
        assert code == 0, said
        assert orjson.loads(out)["rows"] == len(expected) - 1
        text = (tmp_path / "w.csv").read_bytes().decode()
        table: list[dict[str, Any]] = list(csv.DictReader(io.StringIO(text, newline="")))
        assert len(table) == len(expected) - 1
        values = {row["path"].rpartition("/")[2]: row["value"] for row in table}
        assert values["running"] == "true"
        assert {row["value"] for row in table if row["path"].endswith("/counter")} == {
            *("0", "-1", "9007199254740993", "9223372036854775807", "-9223372036854775808", "18446744073709551615")
        }
        assert 'say "hi"' in {row["value"] for row in table if row["path"].endswith("/batch")}
        assert {row["quality"] for row in table} == {"GOOD", "UNCERTAIN", "BAD"}
        assert table[0]["time"].endswith("Z")

        (tmp_path / "w.csv").write_text("before")
        os.mkfifo(tmp_path / "pipe.csv")
        for wrong, problem in (
            (("nothing/**", "--out", "w.csv"), "NX6210"),
            (("--out", "missing/w.csv"), "NX6486"),
            (("--out", "w.txt"), "NX6486"),
            (("--out", "pipe.csv"), "it is no file"),
            (("--from", "now", "--to", "1d", "--out", "w.csv"), "NX6211"),
        ):
            code, _, said = await nexus(database, "export", *wrong, cwd=tmp_path)
            assert code in (1, 6)
            assert problem in said
        assert (tmp_path / "w.csv").read_text() == "before"
        assert sorted(each.name for each in tmp_path.iterdir() if each.is_file()) == ["all.parquet", "w.csv"]
        with duckdb.connect() as duck:
            asked = f"SELECT decode(value) FROM parquet_kv_metadata('{tmp_path}/all.parquet') WHERE decode(key) = 'nexus.series'"
            found = duck.sql(asked).fetchall()
        assert len(found) == 1
        assert orjson.loads(found[0][0])["packaging/line-1/filler/temperature"]["unit"] == "°C"
