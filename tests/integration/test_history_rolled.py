"""`nexus history` on real databases: kept rollups say what the samples say, and a sample keeps what it was stored with."""

from __future__ import annotations

import asyncio
import csv
import io
import math
import random
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest

from nexus_cli.cli.views.history import table, to_csv
from nexus_cli.database.connect import Connection, connection
from nexus_cli.database.retention import keep_up
from nexus_cli.database.rollup_tables import changed_hours, mark_changed, roll_up
from nexus_cli.database.sample_class import load_classes
from nexus_cli.database.seams import place_segments
from nexus_cli.database.series import sync_series
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.history.document import History
from nexus_cli.model.calendar import HOUR_US, microseconds
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.project.history import history, history_to_draw
from nexus_cli.runtime.historian.maintenance import HourlyMaintenance
from nexus_cli.settings import Settings
from tests.integration.historian_rig import SmallOutbox, declare, historian, outbox_settings
from tests.integration.historian_rig import device as rig_device
from tests.postgres import SITE
from tests.servers import TestBroker

pytestmark = [pytest.mark.needs_database, pytest.mark.every_database]
PATH = "packaging/line-1/filler"
NOW = datetime(2026, 10, 27, 12, 30, tzinfo=UTC)
BERLIN, KOLKATA = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata")
COLUMNS = ("time", "value", "value_exact", "value_text", "value_json", "quality")


def device(**tags: TagConfig) -> dict[str, DeviceConfig | None]:
    return {PATH: DeviceConfig(path=PATH, protocol="modbus", gateway="gw-1", tags=tags)}


def tag(kind: str = "float64", unit: str = "", **more: Any) -> TagConfig:
    return TagConfig(type=kind, published_type=kind, unit=unit, **more)


async def put(conn: Connection, name: str, rows: Sequence[tuple[Any, ...]], *, marked: bool = True) -> None:
    """Rows as a historian adds them: (time, value, quality, and further columns by name)."""
    ident = await conn.fetchval("SELECT id FROM nexus.series WHERE path = $1", f"{PATH}/{name}")
    (made,) = (await load_classes(conn, site=SITE)).values()
    async with conn.transaction():
        for time, value, quality, *more in rows:
            extra = more[0] if more else {}
            await conn.execute(
                f"INSERT INTO nexus.{made.table if made.hypertable else made.rest} (series_id, {', '.join(COLUMNS)})"
                " VALUES ($1, $2, $3, $4, $5, $6, $7)",
                *(ident, time, value, extra.get("exact"), extra.get("text"), extra.get("json"), quality),
            )
        if marked:
            await mark_changed(conn, made.table, {int(time.timestamp()) // 3600 for time, *_ in rows})


async def roll(conn: Connection, *, now: datetime = NOW) -> None:
    for made in (await load_classes(conn, site=SITE)).values():
        assert await roll_up(conn, made, now=now)


async def ask(database: Settings, name: str = "temp", **question: Any) -> History:
    return await history(f"{PATH}/{name}", settings=database, **{"now": NOW, "zone": UTC, "limit": 100_000, **question})


def values(found: History) -> list[Any]:
    return [row.value for row in found.rows]


async def test_rollups_say_what_the_samples_say(database: Settings) -> None:
    source = random.Random(11)
    start = NOW - timedelta(days=4)
    times = sorted({start + timedelta(seconds=source.randrange(4 * 86_400)) for _ in range(600)})
    rows = []
    for time in times:
        quality = source.choice((192, 192, 192, 64, 0))
        rows.append((time, None if quality == 0 else round(source.uniform(-50, 50), 3), quality))
    looks = [("1d", UTC, "avg"), ("1d", BERLIN, "avg"), ("1d", UTC, "max"), ("1d", KOLKATA, "min"), ("7h", UTC, "avg")]
    looks += [("15m", UTC, "last"), ("1w", BERLIN, "count"), ("1w", UTC, "good"), ("2h", UTC, "first")]
    questions = [
        {"since": "100h", "every": every, "zone": zone, "aggregate": aggregate} for every, zone, aggregate in looks
    ]
    async with connection(database) as conn:
        await sync_series(conn, site=SITE, devices=device(temp=tag()))
        await put(conn, "temp", rows[:500])
        await conn.execute(
            'INSERT INTO nexus.gap (site, gateway, device, start, "end", reason) VALUES ($1, $2, $3, $4, $5, $6)',
            *(SITE, "gw-1", PATH, start + timedelta(hours=30, minutes=7), start + timedelta(hours=31), "overflow"),
        )
        before = [await ask(database, **question) for question in questions]
        await roll(conn)
        relation = await conn.fetchval("SELECT relation FROM nexus.rollup WHERE width = '1h'")
        assert await conn.fetchval(f"SELECT sum(n) FROM nexus.{relation}") >= 400
        assert await conn.fetchval("SELECT count(*) FROM nexus.rollup_change") == 0
        rolled = [await ask(database, **question) for question in questions]
        late = [(rows[3][0] + timedelta(microseconds=1), 1000.0, 192), *rows[500:]]
        await put(conn, "temp", late)
        with_late = [await ask(database, **question) for question in questions]
        await roll(conn)
        again = [await ask(database, **question) for question in questions]
    for one, other in (*zip(before, rolled, strict=True), *zip(with_late, again, strict=True)):
        assert [each.time for each in one.buckets] == [each.time for each in other.buckets]
        assert values(one) == pytest.approx(values(other))
        assert [each.gap for each in one.buckets] == [each.gap for each in other.buckets]
    assert max(values(with_late[2])) == 1000.0


async def test_the_smallest_and_the_largest_values_are_rolled_up(database: Settings) -> None:
    start, largest = NOW - timedelta(hours=30), sys.float_info.max
    extremes = [5e-324, -5e-324, 0.0, largest, largest, largest, -largest, math.inf, math.nan]
    async with connection(database) as conn:
        await sync_series(conn, site=SITE, devices=device(temp=tag(), other=tag()))
        await put(conn, "temp", [(start + timedelta(minutes=at), value, 192) for at, value in enumerate(extremes)])
        await put(conn, "other", [(start + timedelta(hours=at), 2.0, 192) for at in range(4)])
        await roll(conn)
        held = "SELECT nexus.hold(v, t ORDER BY t) FROM unnest($1::float8[], $2::timestamptz[]) AS u(v, t)"
        times = [start + timedelta(minutes=at) for at in range(4)]
        days, covered_us, *_ = await conn.fetchval(held, [5e-324, largest, -2.0, 1.0], times)
    assert (days, covered_us) == (pytest.approx((8e307 - 2.0) / 1440), 180e6)
    assert sum(values(await ask(database, "temp", since="31h", every="1h", aggregate="count"))) == 9
    assert 2.0 in values(await ask(database, "other", since="31h", every="1d", aggregate="avg"))


async def test_timescale_keeps_continuous_aggregates_and_upkeep_makes_what_the_class_names(database: Settings) -> None:
    async with connection(database) as conn:
        await sync_series(conn, site=SITE, devices=device(temp=tag()))
        await conn.execute("UPDATE nexus.retention_class SET rollups = ARRAY['1d', '15m']")
        done = await keep_up(conn, site=SITE, now=datetime.now(UTC))
        assert done is not None
        assert not done.postponed
        kept = {row["width"]: row for row in await conn.fetch("SELECT width, relation, continuous FROM nexus.rollup")}
        (made,) = (await load_classes(conn, site=SITE)).values()
        assert {width: row["continuous"] for width, row in kept.items()} == dict.fromkeys(
            ("1h", "1d", "15m"), made.hypertable
        )
        if made.hypertable:
            views = await conn.fetch("SELECT view_name FROM timescaledb_information.continuous_aggregates")
            assert {row["view_name"] for row in views} == {row["relation"] for row in kept.values()}
        await conn.execute("UPDATE nexus.retention_class SET rollups = '{}'")
        await keep_up(conn, site=SITE, now=datetime.now(UTC))
        assert [row["width"] for row in await conn.fetch("SELECT width FROM nexus.rollup")] == ["1h"]
        assert await conn.fetchval("SELECT to_regclass($1)", f"nexus.{kept['1d']['relation']}") is None


@pytest.mark.parametrize("rolled", [False, True])
async def test_a_value_holds_whatever_its_age(database: Settings, rolled: bool) -> None:
    async with connection(database) as conn:
        await sync_series(conn, site=SITE, devices=device(temp=tag()))
        await put(conn, "temp", [(NOW - timedelta(days=300), 7.5, 192)])
        if rolled:
            await roll(conn)
        for aggregate in ("avg", "min", "max", "first", "last"):
            found = await ask(database, since="1h", every="30m", aggregate=aggregate)
            assert values(found) == [7.5, 7.5]
        assert values(await ask(database, since="1h", every="30m", aggregate="count")) == [0, 0]
        # A gap between the sample and the span: nobody knows what it was since.
        await conn.execute(
            'INSERT INTO nexus.gap (site, gateway, device, start, "end", reason) VALUES ($1, $2, $3, $4, $5, $6)',
            *(SITE, "gw-1", PATH, NOW - timedelta(days=9), NOW - timedelta(days=8), "overflow"),
        )
        assert values(await ask(database, since="1h", every="30m")) == []


async def test_a_forgotten_tag_holds_nothing_and_holds_again_when_it_comes_back(database: Settings) -> None:
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    later = now + timedelta(minutes=30)

    async def after(moment: datetime) -> bool:
        """Whether it has a value some time after the deployments."""
        found = await ask(database, since="2h", every="1m", now=now + timedelta(hours=1))
        assert any(datetime.fromisoformat(each.time) < now for each in found.buckets)
        return any(datetime.fromisoformat(each.time) > moment for each in found.buckets)

    async with connection(database) as conn:
        await sync_series(conn, site=SITE, devices=device(temp=tag()))
        await put(conn, "temp", [(now - timedelta(hours=2), 7.0, 192), (now - timedelta(minutes=1), 7.5, 192)])
        assert await after(later)
        await sync_series(conn, site=SITE, devices=device(other=tag()))
        assert not await after(later)
        await sync_series(conn, site=SITE, devices=device(temp=tag(), other=tag()))
        assert not await after(later)
        await put(conn, "temp", [(later + timedelta(minutes=1), 8.0, 192)])
        assert await after(later)


async def changed(conn: Connection, at: datetime, temp: TagConfig) -> None:
    """A deployment that changes the tag, with its segment at a moment of our choice."""
    await sync_series(conn, site=SITE, devices=device(temp=temp))
    stored = orjson.loads(await conn.fetchval("SELECT segments FROM nexus.series WHERE path = $1", f"{PATH}/temp"))
    stored[-1]["since"] = at.isoformat()
    stored[0]["since"] = (NOW - timedelta(days=9)).isoformat()
    await conn.execute("UPDATE nexus.series SET segments = $1::jsonb", orjson.dumps(stored).decode())


async def test_a_seam_lies_where_the_gateway_took_the_change_over(database: Settings) -> None:
    async with connection(database) as conn:
        await sync_series(conn, site=SITE, devices=device(temp=tag(unit="kg"), other=tag(unit="kg")))
        await conn.execute(
            "INSERT INTO nexus.deployment (site, number, who, outcome, base_digest, desired_digest, plan)"
            " VALUES ($1, 2, 'me', 'running', '', '', '{}')",
            SITE,
        )
        await sync_series(conn, site=SITE, devices=device(temp=tag(unit="g"), other=tag(unit="kg")))
        now: datetime = await conn.fetchval("SELECT clock_timestamp()")
        took_over = now + timedelta(seconds=3)

        async def place(moment: datetime, path: str = PATH) -> int:
            return await place_segments(conn, site=SITE, number=2, devices=[path], time_us=microseconds(moment))

        assert await place(took_over, "packaging/line-1/other") == 0
        assert await place(now + timedelta(hours=1)) == 0, "a clock that is wrong"
        assert await place(took_over) == 1
        # What was read by the old terms before the gateway heard of the new ones, then the first by the new ones.
        await put(conn, "temp", [(now + timedelta(seconds=1), 5.0, 192), (took_over, 5000.0, 192)])
    assert values(await ask(database, since="1m", now=now + timedelta(seconds=9))) == [5000.0, 5000.0]


@pytest.mark.parametrize("rolled", [False, True])
async def test_a_sample_keeps_the_unit_that_it_was_stored_with(database: Settings, rolled: bool) -> None:
    seam = NOW.replace(minute=0) - timedelta(hours=5, minutes=-20)
    async with connection(database) as conn:
        await sync_series(conn, site=SITE, devices=device(temp=tag(unit="kg")))
        await put(conn, "temp", [(seam - timedelta(hours=2), 5.0, 192), (seam - timedelta(hours=1), 6.0, 192)])
        await changed(conn, seam, tag(unit="g"))
        await put(conn, "temp", [(seam + timedelta(minutes=1), 5000.0, 192)])
        if rolled:
            await roll(conn)
    found = await ask(database, since="10h")
    assert found.unit == "g"
    assert values(found) == [5000.0, 6000.0, 5000.0]
    assert [(each.before.unit, each.after.unit, each.converted) for each in found.seams] == [("kg", "g", True)]
    assert "unit kg -> g; what was before is converted" in table(found)
    whole = await ask(database, since="10h", every="1d", aggregate="min")
    assert values(whole) == [5000.0]
    assert values(await ask(database, since="10h", every="1d", aggregate="max")) == [6000.0]
    # A span that ends before the seam is shown as it was stored.
    early = await ask(database, since="10h", until="6h", every="1d", aggregate="max")
    assert (early.unit, values(early)) == ("kg", [6.0])


async def test_units_that_can_not_be_converted_are_never_mixed(database: Settings) -> None:
    seam = NOW.replace(minute=0) - timedelta(hours=5, minutes=-20)
    async with connection(database) as conn:
        await sync_series(conn, site=SITE, devices=device(temp=tag(unit="bar")))
        await put(conn, "temp", [(seam - timedelta(hours=2), 5.0, 192)])
        await changed(conn, seam, tag(unit="degC"))
        await put(conn, "temp", [(seam + timedelta(minutes=30), 80.0, 192)])
        await roll(conn)
    found = await ask(database, since="10h", every="1d")
    assert [(each.value, each.unit) for each in found.buckets] == [(5.0, "bar"), (80.0, None)]
    assert datetime.fromisoformat(found.buckets[1].time) == seam
    rows = list(csv.DictReader(io.StringIO(to_csv(await ask(database, since="10h")))))
    assert [(row["value"], row["quality"], row["unit"]) for row in rows] == [
        ("5.0", "GOOD", "bar"),
        ("", "SEAM", "degC"),
        ("80.0", "GOOD", "degC"),
    ]


async def test_names_are_those_of_their_time(database: Settings) -> None:
    seam = NOW - timedelta(hours=2)
    async with connection(database) as conn:
        await sync_series(conn, site=SITE, devices=device(temp=tag("int16", values={"0": "idle", "1": "running"})))
        await put(conn, "temp", [(seam - timedelta(minutes=5), 1.0, 192)])
        await changed(conn, seam, tag("int16", values={"0": "off", "1": "fault"}))
        await put(conn, "temp", [(seam + timedelta(minutes=5), 1.0, 192)])
    found = await ask(database, since="5h")
    assert [each.label for each in found.samples] == ["running", "fault"]
    assert len(found.seams) == 1
    buckets = await ask(database, since="5h", every="1d")
    assert buckets.aggregate == "last"
    assert [(each.value, each.label) for each in buckets.buckets] == [(1, "running"), (1, "fault")]


async def test_texts_structures_integers_and_booleans_are_exact(database: Settings) -> None:
    at = NOW - timedelta(hours=2, minutes=30)
    large = 2**53 + 1
    tags = {"text": tag("string"), "json": tag("json"), "serial": tag("uint64"), "on": tag("bool")}
    structure = {"a": [1, None, True], "b": "x"}
    async with connection(database) as conn:
        await sync_series(conn, site=SITE, devices=device(**tags))
        await put(
            conn, "text", [(at, None, 192, {"text": "abc"}), (at + timedelta(minutes=1), None, 192, {"text": "-5"})]
        )
        await put(conn, "json", [(at, None, 192, {"json": orjson.dumps(structure).decode()})])
        await put(conn, "serial", [(at, float(large), 192, {"exact": large}), (at + timedelta(minutes=1), 5.0, 192)])
        await put(conn, "on", [(at, 1.0, 192), (at + timedelta(minutes=15), 0.0, 192)])
        await roll(conn)
    span = {"since": "3h", "until": "2h", "every": "1h"}
    expected: dict[str, dict[str, Any]] = {
        "text": {"first": "abc", "last": "-5", "count": 2},
        "json": {"first": structure, "last": structure, "good": 1},
        "serial": {"first": large, "max": large, "last": 5, "min": 5},
        "on": {"first": True, "last": False, "min": False, "max": True, "avg": 0.5},
    }
    for name, aggregates in expected.items():
        for aggregate, value in aggregates.items():
            found = await ask(database, name, **span, aggregate=aggregate)
            assert found.buckets[0].value == value
            assert type(found.buckets[0].value) is type(value)
    assert values(await ask(database, "serial", since="110m", every="1h", aggregate="last")) == [5, 5, 5]
    assert (await ask(database, "text", **span)).aggregate == "last"
    with pytest.raises(NexusError) as caught:
        await ask(database, "text", **span, aggregate="avg")
    assert (caught.value.code, caught.value.hint) == ("NX6211", "write --agg last, first, count or good")


async def test_days_are_those_of_the_site_or_of_the_zone_that_is_asked_for(database: Settings) -> None:
    async with connection(database) as conn:
        await sync_series(conn, site=SITE, devices=device(temp=tag()))
        await put(conn, "temp", [(datetime(2026, 10, 24, 12, tzinfo=UTC), 1.0, 192)])
        number = await conn.fetchval(
            "INSERT INTO nexus.deployment (site, number, who, outcome, base_digest, desired_digest, plan)"
            " VALUES ($1, 1, 'me', 'applied', '', '', '{}') RETURNING id",
            SITE,
        )
        await conn.execute(
            "INSERT INTO nexus.resource (site, address, digest, attributes, deployment_id) VALUES ($1, 'site', '', $2, $3)",
            *(SITE, '{"time_zone": "Europe/Berlin"}', number),
        )
    span = {"since": "2026-10-25T00:00+02:00", "until": "2026-10-27T00:00+01:00", "every": "1d"}
    site = await ask(database, **span, zone=None)
    assert site.zone == "Europe/Berlin"
    starts = [datetime.fromisoformat(each.time) for each in site.buckets]
    assert starts == [datetime(2026, 10, 24, 22, tzinfo=UTC), datetime(2026, 10, 25, 23, tzinfo=UTC)]
    given = await ask(database, **span, zone=BERLIN)
    assert [each.time for each in given.buckets] == ["2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00"]
    utc = await ask(database, **span, zone=UTC)
    assert [each.time[:19] for each in utc.buckets] == [f"2026-10-{day}T00:00:00" for day in (24, 25, 26)]


async def test_a_plot_of_more_than_can_be_listed_shows_the_whole_span(database: Settings) -> None:
    async with connection(database) as conn:
        await sync_series(conn, site=SITE, devices=device(temp=tag()))
        await put(conn, "temp", [(NOW - timedelta(minutes=at), float(at), 192) for at in range(1, 50)])
    found = await history_to_draw(f"{PATH}/temp", since="1h", limit=10, now=NOW, zone=UTC, settings=database)
    assert found.every == "30s"
    assert datetime.fromisoformat(found.buckets[0].time) <= NOW - timedelta(minutes=49)
    few = await history_to_draw(f"{PATH}/temp", since="1h", limit=100, now=NOW, zone=UTC, settings=database)
    assert few.every is None


async def test_the_historian_notes_the_hours_that_it_writes_to(
    database: Settings, broker: TestBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def until(_: HourlyMaintenance, stop: asyncio.Event) -> None:
        await stop.wait()

    monkeypatch.setattr(HourlyMaintenance, "run", until)  # it rolls up what was noted, and ends the note
    await declare(database, rig_device(a="float64", b="string"))
    now_us = microseconds(datetime.now(UTC))
    outbox = SmallOutbox(outbox_settings(broker))
    async with historian(database, broker), outbox.running():
        outbox.frame(1, {"a": 1.0, "b": "x"}, time=now_us - 30 * HOUR_US)
        outbox.frame(2, {"a": 2.0}, time=now_us)
        await outbox.drained()
    async with connection(database) as conn:
        (made,) = (await load_classes(conn, site=SITE)).values()
        assert await changed_hours(conn, [made.table]) == {now_us // HOUR_US - 30, now_us // HOUR_US}
