"""`nexus history` and `nexus db` as commands on a real database."""

from __future__ import annotations

import csv
import io
import json
import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from nexus_cli.cli.main import cli
from nexus_cli.database.class_table import table_name
from nexus_cli.database.connect import connection
from nexus_cli.database.series import sync_series
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.project.history import history
from nexus_cli.settings import Settings
from nexus_cli.wire.sample import pack_status
from tests.postgres import SITE

pytestmark = [pytest.mark.needs_database, pytest.mark.every_database]
PATH = "packaging/line-1/filler"
NOW = datetime.now(UTC).replace(microsecond=0)


def run(database: Settings, *arguments: str) -> Any:
    """A command in this process, with the database in its environment."""
    environment = {
        "NEXUS_DATABASE_URL": database.database_url,
        "NEXUS_DATABASE_PASSWORD": database.database_password,
        "NEXUS_SITE": SITE,
        "NEXUS_HOME": str(database.home),
        "PATH": os.environ["PATH"],
    }
    return CliRunner().invoke(cli, list(arguments), env=environment, standalone_mode=False)


async def fill(database: Settings) -> None:
    tags = {
        "temp": TagConfig(type="float64", published_type="float64", unit="degC"),
        "state": TagConfig(type="int16", published_type="int16", values={"1": "running"}),
        "serial": TagConfig(type="uint64", published_type="uint64"),
    }
    device = DeviceConfig(path=PATH, protocol="modbus", gateway="gw-1", tags=tags)
    async with connection(database) as conn:
        await sync_series(conn, site=SITE, devices={PATH: device})
        ids = {
            row["path"].rpartition("/")[2]: row["id"] for row in await conn.fetch("SELECT id, path FROM nexus.series")
        }
        insert = (
            f"INSERT INTO nexus.{table_name('default', site=SITE)} (time, series_id, value, value_exact, quality, status) "
            "VALUES ($1, $2, $3, $4, $5, $6)"
        )
        for minute in range(10):
            await conn.execute(
                insert, NOW - timedelta(minutes=20 - minute), ids["temp"], float(minute), None, 192, None
            )
        status = pack_status("device_timeout", 0x80050000)
        await conn.execute(insert, NOW - timedelta(minutes=10), ids["temp"], None, None, 0, status)
        await conn.execute(insert, NOW - timedelta(minutes=5), ids["state"], 1.0, None, 192, None)
        await conn.execute(insert, NOW - timedelta(minutes=5), ids["serial"], float(2**63), 2**63 + 1, 192, None)
        await conn.execute(
            'INSERT INTO nexus.gap (site, gateway, device, start, "end", frames, reason) VALUES ($1,$2,$3,$4,$5,$6,$7)',
            *(SITE, "gw-1", PATH, NOW - timedelta(minutes=9), NOW - timedelta(minutes=8), 60, "overflow"),
        )


@pytest.fixture
async def filled(database: Settings) -> Settings:
    await fill(database)
    return database


def test_history_as_table_csv_json_and_plot(filled: Settings) -> None:
    table = run(filled, "history", f"{PATH}/temp")
    assert table.exception is None
    lines = table.output.splitlines()
    assert lines[0] == f"{PATH}/temp [degC]: float64"
    assert len([line for line in lines if " GOOD" in line]) == 10
    assert any("BAD" in line and "device_timeout 0x80050000" in line for line in lines)
    assert "gap until" in lines[-1]
    assert "overflow, 60 frames" in lines[-1]

    found = json.loads(run(filled, "history", f"{SITE}/{PATH}/temp", "--format", "json", "--limit", "3").output)
    assert [sample["value"] for sample in found["samples"]] == [8.0, 9.0, None]
    assert found["truncated"] is True
    assert found["samples"][-1]["quality"] == "BAD"

    text = run(filled, "history", f"{PATH}/serial", "--format", "csv").output
    cells = list(csv.DictReader(io.StringIO(text)))
    assert [(row["value"], row["quality"], row["reason"]) for row in cells] == [
        ("", "GAP", "overflow"),
        ("", "GAP", "overflow"),
        (str(2**63 + 1), "GOOD", ""),
    ]
    buckets = json.loads(run(filled, "history", f"{PATH}/temp", "--every", "1m", "--format", "json").output)["samples"]
    assert {bucket.get("gap") for bucket in buckets} == {None, "overflow"}
    assert "(running)" in run(filled, "history", f"{PATH}/state").output
    plotted = run(filled, "history", f"{PATH}/temp", "--plot").output
    assert any(line.startswith("gap ┤") and "x" in line for line in plotted.splitlines())


async def test_gaps_of_a_device_follow_its_new_path(filled: Settings) -> None:
    moved = PATH.rpartition("/")[0] + "/renamed"
    async with connection(filled) as conn:
        await conn.execute(
            "UPDATE nexus.series SET path = $1, former_paths = ARRAY[path] WHERE path = $2",
            f"{moved}/temp",
            f"{PATH}/temp",
        )
    found = await history(f"{moved}/temp", settings=filled)
    assert [gap.device for gap in found.gaps] == [PATH]


def test_history_in_buckets_is_weighted_by_time(filled: Settings) -> None:
    arguments = ("--since", "2h", "--every", "2h", "--format", "json")
    for aggregate, expected in (("min", 0.0), ("max", 9.0), ("count", 11), ("good", 10)):
        found = json.loads(run(filled, "history", f"{PATH}/temp", *arguments, "--agg", aggregate).output)
        values = [sample["value"] for sample in found["samples"] if sample["value"] is not None]
        assert {"min": min, "max": max, "count": sum, "good": sum}[aggregate](values) == expected


@pytest.mark.parametrize(
    ("arguments", "code", "hint"),
    [
        ((f"{PATH}/tmp",), "NX6210", f"did you mean '{PATH}/temp'?"),
        ((f"{PATH}/temp", "--since", "soon"), "NX6211", "write 1h"),
        ((f"{PATH}/temp", "--since", "1h", "--until", "2h"), "NX6211", "its start is the earlier"),
        ((f"{PATH}/temp", "--since", "400d", "--every", "1s"), "NX6211", "widen --every"),
    ],
)
def test_a_question_that_can_not_be_answered_says_why(
    filled: Settings, arguments: tuple[str, ...], code: str, hint: str
) -> None:
    error = run(filled, "history", *arguments).exception
    assert isinstance(error, NexusError)
    assert (error.code, error.exit_code) == (code, 1)
    assert hint in error.hint


def test_db_commands(empty_database: Settings) -> None:
    assert run(empty_database, "db", "current", "--detailed-exitcode").return_value == 2
    behind = run(empty_database, "history", f"{PATH}/temp").exception
    assert isinstance(behind, NexusError)
    assert behind.code == "NX6201"
    assert "applied 0001" in run(empty_database, "db", "upgrade").output
    assert "nothing to apply" in run(empty_database, "db", "upgrade").output
    assert run(empty_database, "db", "check").return_value == 0
    assert "up to date" in run(empty_database, "db", "current").output
    assert "0001" in run(empty_database, "db", "downgrade", "base", "--yes").output.partition("took back ")[2]
