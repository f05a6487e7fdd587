"""Rows of the historian since a test began."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from nexus_cli.database.connect import Connection
from nexus_cli.database.queries import StoredSample, load_samples, series_at
from nexus_cli.project.testing.plant import Row
from nexus_cli.wire.sample import Quality

MOST_ROWS = 10_000
LONG_AGO = datetime(1971, 1, 1, tzinfo=UTC)


async def newest_times(conn: Connection, *, site: str, paths: Sequence[str]) -> dict[str, datetime]:
    """The time of the newest row by path; a tag without one is left out."""
    found = {}
    for series in await series_at(conn, site=site, paths=paths):
        rows = await load_samples(conn, series_id=series.id, since=LONG_AGO, until=_later(), limit=1, newest=True)
        if rows:
            found[series.path] = rows[-1].time
    return found


async def rows_since(
    conn: Connection, *, site: str, paths: Sequence[str], before: Mapping[str, datetime]
) -> dict[str, tuple[list[Row], list[Row]]]:
    """The row that was there before the begin, and those since, by path; both may be empty."""
    found: dict[str, tuple[list[Row], list[Row]]] = {path: ([], []) for path in paths}
    for series in await series_at(conn, site=site, paths=paths):
        begin = before.get(series.path)
        stored = await load_samples(conn, series_id=series.id, since=begin or LONG_AGO, until=_later(), limit=MOST_ROWS)
        rows = [Row(at_ms=0, value=_value(one, series.type), quality=Quality(one.quality).name) for one in stored]
        found[series.path] = (rows[:1], rows[1:]) if begin is not None else ([], rows)
    return found


def _later() -> datetime:
    return datetime.now(UTC) + timedelta(days=1)


def _value(sample: StoredSample, type_: str) -> Any:
    """The stored value by the type of its series: true and false, whole numbers without a fraction."""
    value = next((kept for kept in (sample.exact, sample.text, sample.json) if kept is not None), sample.value)
    if isinstance(value, float) and type_ == "bool":
        return bool(value)
    if isinstance(value, float) and type_.lstrip("u").startswith("int") and value.is_integer():
        return int(value)
    return value
