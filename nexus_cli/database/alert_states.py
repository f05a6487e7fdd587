"""Where each alert stands (`alert`), and every change of state it went through (`alert_change`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson

from nexus_cli.database.connect import Connection
from nexus_cli.database.deployments import microseconds

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KEPT_CHANGES = 1_000
"""Changes of state kept of one alert; the oldest go first."""
LOOK_BACK_DAYS = 7
LOOK_BACK_MS = 3_000
"""How far back, and how long, the newest stored value of a tag is looked for."""


async def load(conn: Connection, site: str) -> dict[str, dict[str, Any]]:
    """Every stored alert by name.

    Returns:
        `state`, `since` (µs since 1970 UTC), `value`, `acknowledged_by`, `pending` (see `alerts.restored`), and
        `stored` and `now`: when the row was written and what time it is, both by the database's clock, in µs.
    """
    fetched = await conn.fetch(
        "SELECT name, state, since, value::text AS value, acknowledged_by, pending::text AS pending, stored, "
        "clock_timestamp() AS now FROM nexus.alert WHERE site = $1",
        site,
    )
    return {
        row["name"]: {
            "state": row["state"],
            "since": microseconds(row["since"]),
            "value": None if row["value"] is None else orjson.loads(row["value"]),
            "acknowledged_by": row["acknowledged_by"],
            "pending": None if row["pending"] is None else orjson.loads(row["pending"]),
            "stored": microseconds(row["stored"]),
            "now": microseconds(row["now"]),
        }
        for row in fetched
    }


async def write(
    conn: Connection, site: str, facts: Mapping[str, Any], *, pending: Mapping[str, Any] | None, changed: bool
) -> None:
    """Store where an alert stands; with `changed` also the change itself. Writing one twice is writing it once.

    A state older than the stored one is kept as a change and moves nothing back: changes that could not be stored in
    time may come late (another control may have led since).
    """
    since = EPOCH + timedelta(microseconds=facts["since"])
    value = orjson.dumps(facts["value"]).decode().replace("\\u0000", "\\ufffd")
    await conn.execute(
        "INSERT INTO nexus.alert AS a (site, name, state, since, value, severity, acknowledged_by, pending, stored) "
        "VALUES ($1, $2, $3, $4, $5::text::jsonb, $6, $7, $8::text::jsonb, clock_timestamp()) "
        "ON CONFLICT (site, name) DO UPDATE SET state = excluded.state, since = excluded.since, "
        "value = excluded.value, severity = excluded.severity, acknowledged_by = excluded.acknowledged_by, "
        "pending = excluded.pending, stored = excluded.stored WHERE a.since <= excluded.since",
        *(site, facts["name"], facts["state"], since, value, facts["severity"], facts["acknowledged_by"]),
        None if pending is None else orjson.dumps(dict(pending)).decode(),
    )
    if not changed:
        return
    done = await conn.execute(
        "INSERT INTO nexus.alert_change (site, name, at, state, value, severity, tag, acknowledged_by) "
        "VALUES ($1, $2, $3, $4, $5::text::jsonb, $6, $7, $8) ON CONFLICT DO NOTHING",
        *(site, facts["name"], since, facts["state"], value, facts["severity"], facts["tag"]),
        facts["acknowledged_by"],
    )
    if done == "INSERT 0 1" and facts["state"] == "acknowledged":
        await conn.execute(
            "INSERT INTO nexus.audit (site, at, who, what, subject, detail) VALUES ($1, $2, $3, 'acknowledge', $4, '{}')",
            *(site, since, facts["acknowledged_by"], facts["name"]),
        )
    await conn.execute(
        "DELETE FROM nexus.alert_change WHERE site = $1 AND name = $2 AND at < (SELECT at FROM nexus.alert_change "
        "WHERE site = $1 AND name = $2 ORDER BY at DESC OFFSET $3 LIMIT 1)",
        *(site, facts["name"], KEPT_CHANGES - 1),
    )


async def delete(conn: Connection, site: str, names: Sequence[str]) -> None:
    """Forget where alerts stand that are no longer declared; their changes stay on record."""
    await conn.execute("DELETE FROM nexus.alert WHERE site = $1 AND name = ANY($2::text[])", site, list(names))


async def changes(conn: Connection, site: str, name: str, *, limit: int) -> list[dict[str, Any]]:
    """The newest changes of state of one alert, oldest first; `at` in µs since 1970 UTC."""
    fetched = await conn.fetch(
        "SELECT at, state, value::text AS value, severity, tag, acknowledged_by FROM nexus.alert_change "
        "WHERE site = $1 AND name = $2 ORDER BY at DESC LIMIT $3",
        *(site, name, limit),
    )
    return [
        {
            **dict(row),
            "at": microseconds(row["at"]),
            "value": None if row["value"] is None else orjson.loads(row["value"]),
        }
        for row in reversed(fetched)
    ]


async def last_values(conn: Connection, site: str, paths: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The newest stored sample of tags, by path: `value` and `label` (of an enumeration), and `quality` (192/64/0).

    At most a week and a few seconds are looked back: beyond that, and where the database is busy, there is none.
    """
    found: dict[str, dict[str, Any]] = {}
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
        found[row["path"]] = {
            "value": value,
            "label": orjson.loads(row["labels"]).get(code),
            "quality": int(row["quality"]),
        }
    return found
