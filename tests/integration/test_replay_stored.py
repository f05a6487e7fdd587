"""Replays of stored history and of dead letters equal the rows."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from nexus_cli.database.class_table import table_name
from nexus_cli.database.connect import connection
from nexus_cli.database.series import sync_series
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.project import replay_sources
from nexus_cli.project.replay import ReplaySpan, source_of
from nexus_cli.runtime.historian.dead_letters import DeadLetters, DeadLetterStore
from nexus_cli.settings import Settings
from nexus_cli.wire.recording import Record
from nexus_cli.wire.sample import pack_status
from tests.postgres import SITE

pytestmark = [pytest.mark.needs_database, pytest.mark.every_database]
PATH = "packaging/line-1/filler"
START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
TAGS = {
    "temp": TagConfig(type="float64", published_type="float64", unit="degC"),
    "state": TagConfig(type="int16", published_type="int16", values={"1": "running"}),
    "serial": TagConfig(type="uint64", published_type="uint64"),
    "on": TagConfig(type="bool", published_type="bool"),
    "recipe": TagConfig(type="string[20]", published_type="string[20]"),
    "curve": TagConfig(type="float32[2]", published_type="float32[2]"),
}


async def store(database: Settings, rows: list[tuple[float, str, dict[str, Any]]]) -> None:
    """Rows: seconds after `START`, tag, and columns."""
    device = DeviceConfig(path=PATH, protocol="modbus", gateway="gw-1", tags=TAGS)
    async with connection(database) as conn:
        await sync_series(conn, site=SITE, devices={PATH: device})
        found = await conn.fetch("SELECT id, path FROM nexus.series")
        ids = {row["path"].rpartition("/")[2]: row["id"] for row in found}
        await conn.executemany(
            f"INSERT INTO nexus.{table_name('default', site=SITE)} (time, series_id, value, value_exact, value_text,"
            " value_json, quality, status, source_time) VALUES ($1, $2, $3, $4, $5, $6::text::jsonb, $7, $8, $9)",
            [
                (
                    START + timedelta(seconds=at_s),
                    ids[tag],
                    row.get("value"),
                    row.get("exact"),
                    row.get("text"),
                    row.get("json"),
                    row.get("quality", 192),
                    row.get("status"),
                    row.get("source"),
                )
                for at_s, tag, row in rows
            ],
        )


async def played(database: Settings, *globs: str, seconds: float = 7200) -> list[Record]:
    span = ReplaySpan(
        history=globs or ("**",),
        since=START.isoformat(),
        until=(START + timedelta(seconds=seconds)).isoformat(),
    )
    settings = _of_site(database)
    return [each async for each in source_of(span, settings).messages()]


def _of_site(database: Settings) -> Settings:
    return dataclasses.replace(database, site=SITE)


async def test_history_is_played_as_its_rows(database: Settings) -> None:
    bad, source = pack_status("device_timeout", 0), START + timedelta(milliseconds=500)
    await store(
        database,
        [
            (0.0, "temp", {"value": 20.5}),
            (1.0, "temp", {"value": 21.25, "quality": 64, "status": pack_status("out_of_range", 0)}),
            (2.0, "temp", {"quality": 0, "status": bad}),
            (1.5, "state", {"value": 1.0, "source": source}),
            (1.6, "serial", {"value": float(2**63), "exact": 2**63 + 1}),
            (1.7, "on", {"value": 1.0}),
            (1.8, "recipe", {"text": "größe 7"}),
            (1.9, "curve", {"json": "[1.5, 2]"}),
            (3601.0, "temp", {"value": 1.0}),
            (7200.0, "temp", {"value": 99.0}),
        ],
    )
    found = await played(database)
    ms = round(START.timestamp() * 1000)
    assert [(each.topic.rpartition("/")[2], orjson.loads(each.payload)) for each in found] == [
        ("temp", {"value": 20.5, "timestamp": ms, "quality": "GOOD", "unit": "degC"}),
        (
            "temp",
            {"value": 21.25, "timestamp": ms + 1000, "quality": "UNCERTAIN", "unit": "degC", "reason": "out_of_range"},
        ),
        (
            "state",
            {"value": 1, "timestamp": ms + 1500, "quality": "GOOD", "source_timestamp": ms + 500, "label": "running"},
        ),
        ("serial", {"value": str(2**63 + 1), "timestamp": ms + 1600, "quality": "GOOD"}),
        ("on", {"value": True, "timestamp": ms + 1700, "quality": "GOOD"}),
        ("recipe", {"value": "größe 7", "timestamp": ms + 1800, "quality": "GOOD"}),
        ("curve", {"value": [1.5, 2], "timestamp": ms + 1900, "quality": "GOOD"}),
        ("temp", {"value": None, "timestamp": ms + 2000, "quality": "BAD", "unit": "degC", "reason": "device_timeout"}),
        ("temp", {"value": 1.0, "timestamp": ms + 3_601_000, "quality": "GOOD", "unit": "degC"}),
    ]
    assert [each.time_us for each in found] == sorted(each.time_us for each in found)
    assert {each.topic.rpartition("/")[0] for each in found} == {f"{SITE}/{PATH}"}


async def test_slices_lose_and_repeat_nothing(database: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_sources, "MOST_ROWS", 50)
    times = [at * 0.01 for at in range(1000)] + [600.0] * 3 + [3000 + at * 20.0 for at in range(150)]
    await store(database, [(at_s, "temp", {"value": float(at)}) for at, at_s in enumerate(dict.fromkeys(times))])
    found = await played(database, f"{PATH}/temp")
    values = [orjson.loads(each.payload)["value"] for each in found]
    assert values == [float(at) for at in range(len(dict.fromkeys(times)))]


async def test_a_line_means_everything_below_and_nothing_is_said(database: Settings) -> None:
    await store(database, [(1.0, "temp", {"value": 1.0}), (2.0, "on", {"value": 0.0})])
    assert len(await played(database, "packaging/line-1")) == 2
    assert len(await played(database, f"{PATH}/on")) == 1
    assert await played(database, seconds=0.5) == []
    with pytest.raises(NexusError) as caught:
        await played(database, "packing/**")
    assert caught.value.code == "NX6963"


async def test_dead_letters_come_from_their_topics(database: Settings, tmp_path: Path) -> None:
    letters = DeadLetters()
    letters.add("acme/chicago/a/l/d/t", "not_text", detail="", payload=b"\x00\xffab")
    letters.add("acme/chicago/a/l/d/u", "no_value", detail="", payload=b'{"x":1}', count=3)
    letters.add("_nexus/acme/chicago/data/gw", "not_a_frame", detail="", payload=b"x" * 5000)
    async with connection(database) as conn:
        await DeadLetterStore(site=SITE).store(conn, letters, now_s=0.0)
    source = source_of(ReplaySpan(dead_letters=True), _of_site(database))
    found = [(each.topic, each.payload) async for each in source.messages()]
    assert found == [("acme/chicago/a/l/d/t", b"\x00\xffab"), ("acme/chicago/a/l/d/u", b'{"x":1}')]
    assert source.left_out == {"folded into one letter": 2, "cut when they were recorded": 1}


def test_one_thing_is_replayed(database: Settings, tmp_path: Path) -> None:
    for span in (ReplaySpan(), ReplaySpan(dead_letters=True, history=("**",))):
        with pytest.raises(NexusError) as caught:
            source_of(span, _of_site(database))
        assert caught.value.code == "NX6963"
    with pytest.raises(NexusError) as caught:
        source_of(ReplaySpan(dead_letters=True, since="1h", until="2h"), _of_site(database))
    assert caught.value.code == "NX6211"
