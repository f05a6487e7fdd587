"""What the historian holds, against what the counting devices gave out: missing, doubled, out of order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

COUNTED = """
select s.path,
       count(*) as rows,
       count(distinct x.value) as distinct_values,
       min(x.value)::bigint as first,
       max(x.value)::bigint as last,
       count(*) filter (where x.previous is not null and x.value <= x.previous) as backwards
from (
  select series_id, value, lag(value) over (partition by series_id order by time) as previous
  from nexus.sample where quality = 192
) x join nexus.series s on s.id = x.series_id
where s.path like $1
group by s.path order by s.path
"""

HOLES = """
select path, previous::bigint + 1 as first, value::bigint - 1 as last, before, after from (
  select s.path, x.value, x.time as after,
         lag(x.value) over w as previous, lag(x.time) over w as before
  from nexus.sample x join nexus.series s on s.id = x.series_id
  where x.quality = 192 and s.path like $1
  window w as (partition by x.series_id order by x.time)
) y where value > previous + 1 order by path, first
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """One series of a counter.

    Attributes:
        rows: Stored GOOD rows.
        doubled: Rows beyond one for a value.
        backwards: Rows whose value is not above the one before in time.
        missing: Values between first and last that have no row.
    """

    path: str
    rows: int
    first: int
    last: int
    doubled: int
    backwards: int
    missing: int


async def counts(connection: Any, like: str = "%") -> list[Count]:
    """Every counter series below a path pattern."""
    records = await connection.fetch(COUNTED, like)
    return [
        Count(
            path=r["path"],
            rows=r["rows"],
            first=r["first"],
            last=r["last"],
            doubled=r["rows"] - r["distinct_values"],
            backwards=r["backwards"],
            missing=r["last"] - r["first"] + 1 - r["distinct_values"],
        )
        for r in records
    ]


async def holes(connection: Any, like: str = "%") -> list[tuple[str, int, int, Any, Any]]:
    """Runs of missing values: path, first and last missing value, time of the row before and after."""
    return [tuple(record) for record in await connection.fetch(HOLES, like)]
