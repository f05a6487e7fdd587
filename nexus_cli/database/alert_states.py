"""The state of each alert (`alert`), and every change of it (`alert_change`)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import asyncpg
import orjson

from nexus_cli.database.connect import Connection
from nexus_cli.database.deployments import microseconds
from nexus_cli.database.nul import storable
from nexus_cli.json_value import JsonObject
from nexus_cli.wire.control import Alert, AlertChange
from nexus_cli.wire.sample import Value

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KEPT_CHANGES = 1_000
"""Changes of state kept of one alert; the oldest go first."""
LOOK_BACK_DAYS = 7
LOOK_BACK_MS = 3_000
"""How far back, and how long, the newest stored value of a tag is looked for."""


class StoredAlert(NamedTuple):
    """The state of an alert as it was stored. Times are µs since 1970 UTC.

    Attributes:
        state: `cleared`, `active` or `acknowledged`.
        since: When that state began.
        value: The value that made it active, or the newest while it was.
        acknowledged_by: Principal, "" unless it is acknowledged.
        pending: Of a condition that held without being active yet, a `StoredPending` of control; None when none did.
        stored, now: When the row was written and what time it is, both by the database's clock.
    """

    state: str
    since: int
    value: Value
    acknowledged_by: str
    pending: JsonObject | None = None
    stored: int = 0
    now: int = 0


class LastValue(NamedTuple):
    """The newest stored sample of a tag: its value, the label of its code (of an enumeration), and 192, 64 or 0."""

    value: Value
    label: str | None
    quality: int


async def load(conn: Connection, site: str) -> dict[str, StoredAlert]:
    """Every stored alert by name."""
    fetched = await conn.fetch(
        "SELECT name, state, since, value::text AS value, acknowledged_by, pending::text AS pending, stored, "
        "clock_timestamp() AS now FROM nexus.alert WHERE site = $1",
        site,
    )
    return {
        row["name"]: StoredAlert(
            state=row["state"],
            since=microseconds(row["since"]),
            value=None if row["value"] is None else orjson.loads(row["value"]),
            acknowledged_by=row["acknowledged_by"],
            pending=None if row["pending"] is None else orjson.loads(row["pending"]),
            stored=microseconds(row["stored"]),
            now=microseconds(row["now"]),
        )
        for row in fetched
    }


async def write(conn: Connection, site: str, alert: Alert, *, pending: JsonObject | None, changed: bool) -> None:
    """Store the state of an alert; with `changed` also the change itself. Writing one twice is writing it once.

    A state older than the stored one is kept as a change and moves nothing back: changes that could not be stored in
    time may come late (another control may have led since).
    """
    since = EPOCH + timedelta(microseconds=alert.since)
    value = storable(orjson.dumps(alert.value).decode())
    await conn.execute(
        "INSERT INTO nexus.alert AS a (site, name, state, since, value, severity, acknowledged_by, pending, stored) "
        "VALUES ($1, $2, $3, $4, $5::text::jsonb, $6, $7, $8::text::jsonb, clock_timestamp()) "
        "ON CONFLICT (site, name) DO UPDATE SET state = excluded.state, since = excluded.since, "
        "value = excluded.value, severity = excluded.severity, acknowledged_by = excluded.acknowledged_by, "
        "pending = excluded.pending, stored = excluded.stored WHERE a.since <= excluded.since",
        *(site, alert.name, alert.state, since, value, alert.severity, alert.acknowledged_by),
        None if pending is None else storable(orjson.dumps(pending).decode()),
    )
    if not changed:
        return
    done = await conn.execute(
        "INSERT INTO nexus.alert_change (site, name, at, state, value, severity, tag, acknowledged_by) "
        "VALUES ($1, $2, $3, $4, $5::text::jsonb, $6, $7, $8) ON CONFLICT DO NOTHING",
        *(site, alert.name, since, alert.state, value, alert.severity, alert.tag, alert.acknowledged_by),
    )
    if done == "INSERT 0 1" and alert.state == "acknowledged":
        await conn.execute(
            "INSERT INTO nexus.audit (site, at, who, what, subject, detail) VALUES ($1, $2, $3, 'acknowledge', $4, '{}')",
            *(site, since, alert.acknowledged_by, alert.name),
        )
    await conn.execute(
        "DELETE FROM nexus.alert_change WHERE site = $1 AND name = $2 AND at < (SELECT at FROM nexus.alert_change "
        "WHERE site = $1 AND name = $2 ORDER BY at DESC OFFSET $3 LIMIT 1)",
        *(site, alert.name, KEPT_CHANGES - 1),
    )


async def delete(conn: Connection, site: str, names: Sequence[str]) -> None:
    """Delete the state of alerts that are no longer declared; their changes stay on record."""
    await conn.execute("DELETE FROM nexus.alert WHERE site = $1 AND name = ANY($2::text[])", site, list(names))


async def changes(conn: Connection, site: str, name: str, *, limit: int) -> list[AlertChange]:
    """The newest changes of state of one alert, oldest first; `at` in µs since 1970 UTC."""
    fetched = await conn.fetch(
        "SELECT at, state, value::text AS value, severity, tag, acknowledged_by FROM nexus.alert_change "
        "WHERE site = $1 AND name = $2 ORDER BY at DESC LIMIT $3",
        *(site, name, limit),
    )
    return [
        AlertChange(
            at=microseconds(row["at"]),
            state=row["state"],
            value=None if row["value"] is None else orjson.loads(row["value"]),
            severity=row["severity"],
            tag=row["tag"],
            acknowledged_by=row["acknowledged_by"],
        )
        for row in reversed(fetched)
    ]


async def last_values(conn: Connection, site: str, paths: Sequence[str]) -> dict[str, LastValue]:
    """The newest stored sample of tags, by path.

    At most a week and a few seconds are looked back: beyond that, and where the database is busy, there is none.
    """
    found: dict[str, LastValue] = {}
    try:
        async with conn.transaction():
            await conn.execute(f"SET LOCAL statement_timeout = {LOOK_BACK_MS}")
            fetched = await conn.fetch(
                "SELECT s.path, s.labels::text AS labels, s.type, v.value, v.value_exact, v.value_text, v.quality "
                "FROM nexus.series AS s CROSS JOIN LATERAL (SELECT value, value_exact, value_text, quality "
                "FROM nexus.sample WHERE series_id = s.id AND \"time\" > now() - $3::int4 * interval '1 day' "
                'ORDER BY "time" DESC LIMIT 1) AS v WHERE s.site = $1 AND s.path = ANY($2::text[]) AND s.active',
                *(site, list(paths), LOOK_BACK_DAYS),
            )
    except asyncpg.QueryCanceledError:
        return found
    for row in fetched:
        value = next((row[key] for key in ("value_exact", "value", "value_text") if row[key] is not None), None)
        if row["value_exact"] is not None:
            value = int(row["value_exact"])
        elif row["type"] == "bool" and value is not None:
            value = bool(value)
        code = str(int(value)) if isinstance(value, (int, float)) else ""
        found[row["path"]] = LastValue(value, orjson.loads(row["labels"]).get(code), int(row["quality"]))
    return found
