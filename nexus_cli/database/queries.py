"""Questions to the database: series by path, stored samples, gaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import orjson

from nexus_cli.database.connect import Connection
from nexus_cli.database.names import SCHEMA
from nexus_cli.model.config import TagConfig, readable_device
from nexus_cli.wire.signature import SignatureRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One series as stored.

    Attributes:
        id: Key of its samples.
        ulid: Its identity for the outside.
        path: `area/line/device/tag`.
        former_paths: Where it was before.
        type: Of the published value.
        unit: Of the published value.
        retention: Its class.
        active: False when its tag is no longer declared.
        external: True when another system publishes it.
        labels: Names of an enumeration's codes.
    """

    id: int
    ulid: str
    path: str
    type: str
    unit: str
    retention: str
    active: bool
    external: bool
    former_paths: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSample:
    """One stored row."""

    time: datetime
    value: float | None
    exact: int | None
    text: str | None
    json: Any
    quality: int
    status: int | None
    source_time: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredGap:
    """A span in which samples are known to be missing; `frames` 0 is not known."""

    start: datetime
    end: datetime | None
    device: str
    gateway: str
    frames: int
    reason: str


_SERIES = f"""SELECT id, ulid, path, former_paths, type, unit, retention, active, external, labels
  FROM {SCHEMA}.series WHERE site = $1"""


def _series(row: Any) -> Series:
    labels = orjson.loads(row["labels"]) if row["labels"] != "{}" else {}
    return Series(**{**dict(row), "former_paths": tuple(row["former_paths"]), "labels": labels})


async def load_series(conn: Connection, *, site: str) -> list[Series]:
    """Every series of a site, forgotten ones included."""
    return [_series(row) for row in await conn.fetch(_SERIES, site)]


async def series_at(conn: Connection, *, site: str, paths: Sequence[str]) -> list[Series]:
    """The series at these paths, as far as they exist."""
    return [_series(row) for row in await conn.fetch(f"{_SERIES} AND path = ANY($2::text[])", site, list(paths))]


async def find_series(conn: Connection, *, site: str, path: str) -> Series | None:
    """The series at a path, or the one that once had it; None when there is neither."""
    row = await conn.fetchrow(f"{_SERIES} AND path = $2", site, path)
    if row is None:
        row = await conn.fetchrow(f"{_SERIES} AND $2 = ANY(former_paths) ORDER BY active DESC, id DESC", site, path)
    return None if row is None else _series(row)


async def series_paths(conn: Connection, *, site: str) -> list[str]:
    """The paths of all series of a site."""
    rows = await conn.fetch(f"SELECT path FROM {SCHEMA}.series WHERE site = $1 ORDER BY path", site)
    return [row["path"] for row in rows]


async def stored_segments(conn: Connection, *, series_id: int) -> Any:
    """The segments of a series as they are stored (JSON); see `segments.segments_of`."""
    return await conn.fetchval(f"SELECT segments FROM {SCHEMA}.series WHERE id = $1", series_id)


async def gateway_of_series(conn: Connection, *, series_id: int) -> str | None:
    """The gateway that reads a series; None when none is named."""
    name: str | None = await conn.fetchval(f"SELECT lineage->>'gateway' FROM {SCHEMA}.series WHERE id = $1", series_id)
    return name


async def zone_of_site(conn: Connection, *, site: str) -> str | None:
    """The time zone in the site's file as it was applied; None when it names none."""
    name: str | None = await conn.fetchval(
        f"SELECT attributes->>'time_zone' FROM {SCHEMA}.resource WHERE site = $1 AND address = 'site'", site
    )
    return name


async def samples_of(conn: Connection, *, series_id: int) -> str:
    """Where the samples of a series are, for a FROM: the tables of its site alone. It may have changed its class."""
    rows = await conn.fetch(
        f"""SELECT c.table_name, c.hypertable FROM {SCHEMA}.retention_class c
            JOIN {SCHEMA}.series s ON s.site = c.site WHERE s.id = $1 ORDER BY c.table_name""",
        series_id,
    )
    tables = [name for row in rows for name in _tables(row["table_name"], hypertable=row["hypertable"])]
    union = " UNION ALL ".join(f'SELECT * FROM {SCHEMA}."{table}"' for table in tables)
    return f"({union}) AS sample" if union else f"{SCHEMA}.sample"


def _tables(table: str, *, hypertable: bool) -> list[str]:
    return [table] if hypertable else [table, f"{table}_rest"]


async def load_samples(
    conn: Connection, *, series_id: int, since: datetime, until: datetime, limit: int, newest: bool = False
) -> list[StoredSample]:
    """Stored samples with `since <= time < until`, ascending.

    Args:
        conn: An open connection.
        series_id: Which series.
        since: Start, inclusive.
        until: End, exclusive.
        limit: At most so many.
        newest: With more than `limit`, give the newest instead of the oldest.
    """
    order = "DESC" if newest else "ASC"
    rows = await conn.fetch(
        f"""SELECT "time", value, value_exact, value_text, value_json, quality, status, source_time
            FROM {await samples_of(conn, series_id=series_id)}
            WHERE series_id = $1 AND "time" >= $2 AND "time" < $3
            ORDER BY "time" {order} LIMIT $4""",
        *(series_id, since, until, limit),
    )
    return [sample_of(row) for row in (reversed(rows) if newest else rows)]


def sample_of(row: Any) -> StoredSample:
    """A row with every column of a sample but its series."""
    return StoredSample(
        time=row["time"],
        value=row["value"],
        exact=None if row["value_exact"] is None else int(row["value_exact"]),
        text=row["value_text"],
        json=None if row["value_json"] is None else orjson.loads(row["value_json"]),
        quality=row["quality"],
        status=row["status"],
        source_time=row["source_time"],
    )


async def load_gaps(
    conn: Connection, *, site: str, devices: Sequence[str], gateways: Sequence[str], since: datetime, until: datetime
) -> list[StoredGap]:
    """Gaps that touch the span and concern these devices, or the whole of these gateways; by start."""
    rows = await conn.fetch(
        f"""SELECT start, "end", device, gateway, frames, reason FROM {SCHEMA}.gap
            WHERE site = $1 AND start < $5 AND coalesce("end", 'infinity') >= $4
              AND (device = ANY($2::text[]) OR (device = '' AND gateway = ANY($3::text[]))) ORDER BY start""",
        *(site, list(devices), list(gateways), since, until),
    )
    return [StoredGap(**dict(row)) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalDevice:
    """A device whose topics another system publishes, as recorded.

    Attributes:
        path: `area/line/device`.
        globs: Path globs that are stored beside the declared tags.
        max_series: At most this many series may come from the globs.
        tags: Names of the tags that are declared one by one.
        ruled: Those of them that have rules of quality.
    """

    path: str
    globs: tuple[str, ...]
    max_series: int
    tags: tuple[str, ...] = ()
    ruled: Mapping[str, TagConfig] = field(default_factory=dict)


async def load_external(conn: Connection, *, site: str) -> list[ExternalDevice]:
    """The external devices of the recorded state."""
    rows = await conn.fetch(
        f"""SELECT address, attributes FROM {SCHEMA}.resource
            WHERE site = $1 AND address LIKE 'device.%' AND attributes->>'protocol' = 'external' ORDER BY address""",
        site,
    )
    found = []
    for row in rows:
        device = readable_device(orjson.loads(row["attributes"]), address=row["address"])
        if device is not None and device.enabled:
            found.append(
                ExternalDevice(
                    path=device.path,
                    globs=device.globs,
                    max_series=device.max_series,
                    tags=tuple(device.tags),
                    ruled={name: tag for name, tag in device.tags.items() if tag.quality is not None},
                )
            )
    return found


async def load_signature_rules(conn: Connection, *, site: str) -> SignatureRules:
    """Which messages must be signed, as recorded."""
    found: str | None = await conn.fetchval(
        f"SELECT (attributes->'signatures')::text FROM {SCHEMA}.resource WHERE site = $1 AND address = 'site'", site
    )
    return msgspec.convert(orjson.loads(found or "null") or {}, SignatureRules)


async def sites(conn: Connection) -> list[str]:
    """The sites that have series here."""
    return [row["site"] for row in await conn.fetch(f"SELECT DISTINCT site FROM {SCHEMA}.series ORDER BY site")]
