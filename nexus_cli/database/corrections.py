"""One stored sample put right by a person: replaced or added, with what was there before in the audit trail.

The historian itself never changes what it stored. A correction is part of the record like any other change: who, when, why,
the old and the new value. Rollups of its hour are made again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from nexus_cli.database.connect import Connection
from nexus_cli.database.deployments import write_audit
from nexus_cli.database.names import SAMPLE_COLUMNS, SCHEMA
from nexus_cli.database.nul import storable
from nexus_cli.database.queries import Series, StoredSample, find_series, sample_of, samples_of, stored_segments
from nexus_cli.database.rollup_tables import mark_changed
from nexus_cli.database.samples import SampleTables
from nexus_cli.database.segments import is_exact, kind_of, segments_of
from nexus_cli.model.calendar import HOUR_US, microseconds, moment_of

WHAT = "correct-history"
"""Its kind in the audit trail."""
LOCK = 0x6E78
"""First part of the advisory lock of a series that is corrected."""
MS_US = 1000
DAY_US = 24 * HOUR_US
_COLUMNS = ", ".join(f'"{name}"' for name in SAMPLE_COLUMNS)


class NotCorrected(ValueError):
    """The sample can't be put right; nothing was changed. The message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What a sample shall be.

    Attributes:
        path: `area/line/device/tag`.
        time_us: Of the sample, µs since 1970 UTC.
        value: Of the series' type, in its unit; None when BAD.
        quality: 192, 64 or 0.
        who: Whose correction it is.
        reason: For the audit trail.
    """

    path: str
    time_us: int
    value: Any
    quality: int
    who: str
    reason: str = ""


async def correct(conn: Connection, tables: SampleTables, wanted: Correction, *, site: str, now: datetime) -> bool:
    """Store it; not inside a transaction: a partition may be made first.

    Returns:
        False when exactly this was stored already: then nothing is written, not to the trail either.

    Raises:
        NotCorrected: No series has the path, the time lies ahead, before what is kept or before the series measured in
            its present unit, or the value is of another type.
    """
    series = await find_series(conn, site=site, path=wanted.path)
    if series is None:
        raise NotCorrected("no series is stored for it yet")
    await _refuse_time(conn, series, wanted, now=now)
    columns = _columns(series.type, wanted.value, quality=wanted.quality)
    table = await tables.table(conn, series.retention)
    if wanted.time_us < microseconds(now) - table.keep_ms * 1000:
        raise NotCorrected("its time lies before what is kept")
    placed = await tables.prepare(conn, series.retention, {wanted.time_us // DAY_US}, now=now)
    async with conn.transaction():
        # One correction of a series at a time; the historian adds beside it.
        await conn.execute("SELECT pg_advisory_xact_lock($1, $2)", LOCK, series.id)
        old = await _stored(conn, series, wanted.time_us)
        time = moment_of(wanted.time_us) if old is None else old.time
        if old is not None and _same(old, columns, wanted.quality):
            return False
        for base, relation in await relations_of_site(conn, site):
            gone = await conn.execute(
                f'DELETE FROM {SCHEMA}."{relation}" WHERE series_id = $1 AND "time" = $2', series.id, time
            )
            if gone != "DELETE 0" and base != table.table:
                await mark_changed(conn, base, [wanted.time_us // HOUR_US])
        home = table.table if placed else table.rest
        await conn.execute(
            f'INSERT INTO {SCHEMA}."{home}" ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6::text::jsonb, $7, NULL, NULL)',
            *(time, series.id, *columns, wanted.quality),
        )
        await mark_changed(conn, table.table, [wanted.time_us // HOUR_US])
        await write_audit(conn, site, who=wanted.who, what=WHAT, subject=series.path, detail=_detail(wanted, old))
    return True


async def _refuse_time(conn: Connection, series: Series, wanted: Correction, *, now: datetime) -> None:
    if wanted.time_us > microseconds(now + timedelta(minutes=1)):
        raise NotCorrected("its time lies ahead")
    stored = await stored_segments(conn, series_id=series.id)
    segments = segments_of(stored, type=series.type, unit=series.unit, labels=series.labels)
    if wanted.time_us < segments[-1].since_us:
        raise NotCorrected("at that time it was measured in another type or unit")


def _columns(type_name: str, value: Any, *, quality: int) -> tuple[float | None, int | None, str | None, str | None]:
    """`value`, `value_exact`, `value_text` and `value_json` of a row."""
    if value is None:
        if quality:
            raise NotCorrected("a value that is not Bad can't be null")
        return None, None, None, None
    kind = kind_of(type_name)
    number = isinstance(value, (bool, int, float))
    if is_exact(type_name) and (number or isinstance(value, str)):
        try:
            exact = int(value)
        except (ValueError, OverflowError):
            raise NotCorrected(f"the value is no {type_name}") from None
        return float(exact), exact, None, None
    if kind in ("bool", "number") and number:
        return float(value), None, None, None
    if kind == "text" and isinstance(value, str):
        return None, None, value.replace("\x00", ""), None
    if kind == "json":
        return None, None, None, storable(orjson.dumps(value).decode(), instead="")
    raise NotCorrected(f"the value is no {type_name}")


async def _stored(conn: Connection, series: Series, time_us: int) -> StoredSample | None:
    """The sample of a moment. Live values have milliseconds: a moment without a fraction of one names the only sample of its
    millisecond."""
    end_us = time_us + (MS_US if time_us % MS_US == 0 else 1)
    rows = await conn.fetch(
        f"""SELECT "time", value, value_exact, value_text, value_json, quality, status, source_time
            FROM {await samples_of(conn, series_id=series.id)}
            WHERE series_id = $1 AND "time" >= $2 AND "time" < $3 ORDER BY "time" LIMIT 2""",
        *(series.id, moment_of(time_us), moment_of(end_us)),
    )
    exact = [row for row in rows if row["time"] == moment_of(time_us)] or (rows if len(rows) == 1 else [])
    return sample_of(exact[0]) if exact else None


def _same(old: StoredSample, columns: tuple[Any, ...], quality: int) -> bool:
    value, exact, text, json = columns
    return (old.value, old.exact, old.text, old.quality) == (value, exact, text, quality) and (
        old.json == (None if json is None else orjson.loads(json))
    )


async def relations_of_site(conn: Connection, site: str) -> list[tuple[str, str]]:
    """`(table of the class, relation)` of all that may hold a sample of the site: a series may have changed its class."""
    rows = await conn.fetch(
        f"SELECT table_name, hypertable FROM {SCHEMA}.retention_class WHERE site = $1 ORDER BY table_name", site
    )
    found = []
    for row in rows:
        name = row["table_name"]
        found += [(name, name)] if row["hypertable"] else [(name, name), (name, f"{name}_rest")]
    return found


def _detail(wanted: Correction, old: StoredSample | None) -> Mapping[str, Any]:
    before = None
    if old is not None:
        before = next((each for each in (old.exact, old.text, old.json) if each is not None), old.value)
    return {
        "value": wanted.value,
        "quality": wanted.quality,
        "time": wanted.time_us,
        "old": before,
        "old_quality": None if old is None else old.quality,
        "reason": wanted.reason,
    }
