"""Changes of unit and type inside the buckets of rollups: what history says is what follows from the samples by force."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import orjson
import pytest

from nexus_cli.database.connect import Connection, connection
from nexus_cli.database.history_rows import sources_of
from nexus_cli.database.queries import find_series
from nexus_cli.database.rollup_tables import mark_changed, roll_up
from nexus_cli.database.sample_class import SampleClass, load_classes
from nexus_cli.database.series import sync_series
from nexus_cli.history.reader import Reader
from nexus_cli.model.calendar import DAY_US, HOUR_US, microseconds, moment_of, parse_every
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.settings import Settings
from tests.postgres import SITE

pytestmark = [pytest.mark.needs_database, pytest.mark.every_database]
PATH = "packaging/line-1/scale"
NOW = datetime(2026, 10, 27, 12, 30, tzinfo=UTC)
START_US, END_US = microseconds(NOW) - 4 * DAY_US, microseconds(NOW)
MASS = {"kg": 1000.0, "g": 1.0, "t": 1e6}
"""Grams in a unit."""
TODAY = [("float64", "kg"), ("float64", "g"), ("int32", "g"), ("int64", "g"), ("float64", "t")]
BEFORE = [*TODAY, ("float64", "degC"), ("bool", ""), ("string", "")]
WIDTHS = ["15m", "20m", "1h", "7h", "1d", "1w"]
ZONES = [UTC, ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata")]
NUMBERS = ("avg", "min", "max")
TAGS = 7


class Term(NamedTuple):
    """From when on (µs since 1970 UTC) values have a type and a unit."""

    since_us: int
    type: str
    unit: str

    @property
    def mixes_as(self) -> str:
        """Neighbours that are alike in this are shown together."""
        return "mass" if self.unit in MASS else self.type + self.unit

    def shown_in(self, other: Term, value: Any) -> Any:
        return value if self.unit == other.unit else value * MASS[self.unit] / MASS[other.unit]


class Row(NamedTuple):
    """A stored sample; the value is None when BAD."""

    time_us: int
    value: Any
    quality: int


class Story(NamedTuple):
    """Everything of one tag."""

    terms: list[Term]
    rows: list[Row]

    def term_at(self, time_us: int) -> Term:
        return next(term for term in reversed(self.terms) if term.since_us <= time_us)


def a_moment(pick: random.Random) -> int:
    """Often on the border of an hour."""
    exact = pick.randrange(START_US, END_US)
    return exact - exact % HOUR_US if pick.random() < 0.25 else exact


def a_story(pick: random.Random) -> Story:
    times = sorted({a_moment(pick) for _ in range(pick.choice((3, 40, 150)))})
    seams = {a_moment(pick) for _ in range(pick.randrange(1, 6))} | {pick.choice(times)}
    seams |= {at + pick.randrange(1, HOUR_US // 4) for at in list(seams) if pick.random() < 0.4}
    terms = [Term(-(1 << 62), *pick.choice(BEFORE)), *(Term(at, *pick.choice(BEFORE)) for at in sorted(seams))]
    terms[-1] = Term(terms[-1].since_us, *pick.choice(TODAY))
    story = Story(terms, [])
    for time_us in times:
        quality = pick.choice((192, 192, 192, 64, 0))
        story.rows.append(Row(time_us, None if quality == 0 else a_value(story.term_at(time_us).type, pick), quality))
    return story


def a_value(kind: str, pick: random.Random) -> Any:
    if kind == "float64":
        return round(pick.uniform(-50, 50), 3)
    if kind == "string":
        return pick.choice("abc")
    return {"bool": pick.randrange(2), "int32": pick.randrange(-9, 9), "int64": 2**53 + pick.randrange(9)}[kind]


class Bucket(NamedTuple):
    time_us: int
    value: Any
    count: int
    unit: str


def by_force(
    story: Story, lost: Sequence[int], since_us: int, until_us: int, borders: list[int], agg: str
) -> list[Bucket]:
    """Every bucket in which something is known, from the spans in which each value held."""
    known_us = max((row.time_us for row in story.rows if row.time_us < since_us), default=since_us)
    found, first = [], True
    for start_us, end_us, last in stretches(story, known_us, until_us):
        if end_us <= since_us:
            continue
        low, high = max(start_us, since_us), min(end_us, until_us)
        turns = [(at, 0, None, 0) for at in lost if start_us <= at < high]
        turns += [
            (
                row.time_us,
                1,
                None if row.value is None else story.term_at(row.time_us).shown_in(last, row.value),
                row.quality,
            )
            for row in story.rows
            if start_us <= row.time_us < high
        ]
        turns.sort(key=lambda turn: turn[:2])
        for one, other in pairwise([*borders, 1 << 62]):
            left, right = max(one, low), min(other, high)
            if left < right:
                said = a_bucket(turns, left, right, agg, numeric=last.type not in ("string", "json"))
                if said is not None:
                    found.append(Bucket(one if first else left, *said, last.unit))
        first = False
    return found


def stretches(story: Story, since_us: int, until_us: int) -> list[tuple[int, int, Term]]:
    """Start, end and the terms in which neighbours that mix are shown: those of the last of them that the span touches."""
    found: list[tuple[int, int, Term]] = []
    for term, end_us in zip(story.terms, [*(each.since_us for each in story.terms[1:]), 1 << 62], strict=True):
        if end_us <= since_us or term.since_us >= until_us:
            continue
        if found and found[-1][2].mixes_as == term.mixes_as:
            found[-1] = (found[-1][0], end_us, term)
        else:
            found.append((term.since_us, end_us, term))
    return found


def a_bucket(
    turns: list[tuple[int, int, Any, int]], left: int, right: int, agg: str, *, numeric: bool
) -> tuple[Any, int] | None:
    held, area, covered, count, good = [], 0.0, 0, 0, 0
    for (at, kind, value, quality), (until, *_) in pairwise([*turns, (right, 2, None, 0)]):
        span = min(until, right) - max(at, left)
        inside = kind == 1 and left <= at < right
        count, good = count + inside, good + (inside and quality == 192)
        if value is not None and (span > 0 or inside):
            held.append(value)
        if value is not None and span > 0:
            covered += span
            area += value * span if numeric else 0
    if not count and not covered:
        return None
    if agg in ("count", "good"):
        return (count if agg == "count" else good), count
    if not held or (agg in NUMBERS and not numeric):
        return None, count
    if agg == "avg":
        return (area / covered if covered else None), count
    return {"min": min, "max": max, "first": lambda one: one[0], "last": lambda one: one[-1]}[agg](held), count


async def store(conn: Connection, made: SampleClass, name: str, rows: Sequence[Row], story: Story) -> None:
    ident = await conn.fetchval("SELECT id FROM nexus.series WHERE path = $1", f"{PATH}/{name}")
    table = made.table if made.hypertable else made.rest
    async with conn.transaction():
        await conn.executemany(
            f"INSERT INTO nexus.{table} (series_id, time, value, value_exact, value_text, quality)"
            " VALUES ($1, $2, $3, $4, $5, $6)",
            [
                (ident, moment_of(row.time_us), *columns(row, story.term_at(row.time_us).type), row.quality)
                for row in rows
            ],
        )
        await mark_changed(conn, made.table, {row.time_us // HOUR_US for row in rows})


def columns(row: Row, kind: str) -> tuple[Any, Any, Any]:
    if row.value is None:
        return None, None, None
    if kind == "string":
        return None, None, row.value
    return float(row.value), row.value if kind == "int64" else None, None


async def lay_seams(conn: Connection, name: str, terms: Sequence[Term]) -> None:
    stored = [
        {
            "segment": number,
            "type": term.type,
            "unit": term.unit,
            "labels": {},
            "since": moment_of(max(term.since_us, 0)).isoformat(),
        }
        for number, term in enumerate(terms)
    ]
    await conn.execute(
        "UPDATE nexus.series SET segments = $2::jsonb WHERE path = $1", f"{PATH}/{name}", orjson.dumps(stored).decode()
    )


async def said(
    conn: Connection, name: str, since_us: int, until_us: int, every: str, zone: tzinfo, agg: str
) -> list[Bucket]:
    """The answer of the product, but for buckets that only a gap is in."""
    series = await find_series(conn, site=SITE, path=f"{PATH}/{name}")
    assert series is not None
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        reader = Reader(conn, series, await sources_of(conn, series_id=series.id), site=SITE)
        start, end = moment_of(since_us), moment_of(until_us)
        width = parse_every(every)
        shown, rows, _ = await reader.rolled(start, end, every=width, aggregate=agg, days=zone, zone=UTC)
    newest = shown[-1].last.unit
    return [
        Bucket(
            microseconds(datetime.fromisoformat(row.time)),
            row.value,
            row.count,
            newest if row.unit is None else row.unit,
        )
        for row in rows
        if row.count or row.value
    ]


def same(one: Bucket, other: Bucket, agg: str) -> bool:
    if (one.time_us, one.count) != (other.time_us, other.count):
        return False
    if agg not in ("count", "good") and one.unit != other.unit:
        return False
    if isinstance(one.value, float) or isinstance(other.value, float):
        return bool(one.value == pytest.approx(other.value, rel=1e-9, abs=1e-6))
    return bool(one.value == other.value)


@pytest.mark.slow
async def test_what_changes_inside_a_bucket_is_never_mixed_nor_lost(database: Settings) -> None:
    pick = random.Random(20261130)
    stories = {f"w{number}": a_story(pick) for number in range(TAGS)}
    tags = {
        name: TagConfig(type=story.terms[-1].type, published_type=story.terms[-1].type, unit=story.terms[-1].unit)
        for name, story in stories.items()
    }
    gaps = sorted(a_moment(pick) for _ in range(3))
    rolled_once = 0
    async with connection(database) as conn:
        await sync_series(
            conn, site=SITE, devices={PATH: DeviceConfig(path=PATH, protocol="modbus", gateway="gw-1", tags=tags)}
        )
        await conn.execute("UPDATE nexus.retention_class SET rollups = ARRAY['1d', '15m']")
        (made,) = (await load_classes(conn, site=SITE)).values()
        for at in gaps:
            await conn.execute(
                'INSERT INTO nexus.gap (site, gateway, device, start, "end", reason) VALUES ($1, $2, $3, $4, $5, $6)',
                *(SITE, "gw-1", PATH, moment_of(at), moment_of(at) + timedelta(minutes=9), "overflow"),
            )
        late = {}
        for name, story in stories.items():
            await lay_seams(conn, name, story.terms)
            late[name] = set(pick.sample(story.rows, len(story.rows) // 5))
            await store(conn, made, name, [row for row in story.rows if row not in late[name]], story)
        assert await roll_up(conn, made, now=NOW)
        for step in ("rolled up", "late rows", "rolled up again"):
            for name, story in stories.items():
                if step == "late rows":
                    await store(conn, made, name, sorted(late[name]), story)
                elif step == "rolled up again":
                    late[name] = set()
                there = Story(story.terms, [row for row in story.rows if step != "rolled up" or row not in late[name]])
                for _ in range(5):
                    since_us, until_us = sorted((a_moment(pick), a_moment(pick)))
                    until_us += since_us == until_us
                    every, zone = parse_every(width := pick.choice(WIDTHS)), pick.choice(ZONES)
                    borders = [every.floor(since_us, zone)]
                    while borders[-1] < until_us:
                        borders.append(every.after(borders[-1], zone))
                    agg = pick.choice(("avg", "min", "max", "first", "last", "count", "good"))
                    true = by_force(there, gaps, since_us, until_us, borders[:-1], agg)
                    true = [each for each in true if each.count or each.value]
                    got = await said(conn, name, since_us, until_us, width, zone, agg)
                    asked = f"{step}: {name} {moment_of(since_us)} to {moment_of(until_us)} by {width} {zone}: {agg} of {story.terms}"
                    assert [each.time_us for each in got] == [each.time_us for each in true], asked
                    for one, other in zip(got, true, strict=True):
                        assert same(one, other, agg), (one, other, asked)
            if step == "late rows":
                assert await roll_up(conn, made, now=NOW)
            rolled_once += 1
    assert rolled_once == 3


async def test_rows_without_an_exact_integer_count_beside_those_that_have_one(database: Settings) -> None:
    """A change to int64 lies where the gateway took it over; what an outsider publishes meanwhile is a double still."""
    at = START_US - START_US % HOUR_US + HOUR_US
    rows = [Row(at, 3.0, 192), Row(at + 1, 2**53 + 1, 192), Row(at + 2, 9.0, 192)]
    stories = [Story([Term(0, kind, "")], []) for kind in ("float64", "int64", "float64")]
    tag = TagConfig(type="int64", published_type="int64")
    async with connection(database) as conn:
        await sync_series(
            conn, site=SITE, devices={PATH: DeviceConfig(path=PATH, protocol="external", tags={"w": tag})}
        )
        (made,) = (await load_classes(conn, site=SITE)).values()
        for row, story in zip(rows, stories, strict=True):
            await store(conn, made, "w", [row], story)
        for rolled in (False, True):
            if rolled:
                assert await roll_up(conn, made, now=NOW)
            for agg, value in {"min": 3, "max": 2**53 + 1, "first": 3, "last": 9}.items():
                (bucket,) = await said(conn, "w", at, at + HOUR_US, "1h", UTC, agg)
                assert bucket.value == value
