"""The table `alert`: where each alert stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from nexus_cli.database.deployments import microseconds

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def load(conn: Any, site: str) -> dict[str, dict[str, Any]]:
    """Every stored alert by name: state, since (µs since 1970 UTC), value, acknowledged_by."""
    fetched = await conn.fetch(
        "SELECT name, state, since, value::text AS value, acknowledged_by FROM nexus.alert WHERE site = $1", site
    )
    return {
        row["name"]: {
            "state": row["state"],
            "since": microseconds(row["since"]),
            "value": None if row["value"] is None else orjson.loads(row["value"]),
            "acknowledged_by": row["acknowledged_by"],
        }
        for row in fetched
    }


async def write(conn: Any, site: str, facts: Mapping[str, Any]) -> None:
    """Store where an alert stands."""
    await conn.execute(
        "INSERT INTO nexus.alert (site, name, state, since, value, severity, acknowledged_by) "
        "VALUES ($1, $2, $3, $4, $5::text::jsonb, $6, $7) ON CONFLICT (site, name) DO UPDATE SET "
        "state = excluded.state, since = excluded.since, value = excluded.value, severity = excluded.severity, "
        "acknowledged_by = excluded.acknowledged_by",
        site,
        facts["name"],
        facts["state"],
        EPOCH + timedelta(microseconds=facts["since"]),
        orjson.dumps(facts["value"]).decode().replace("\\u0000", "\\ufffd"),
        facts["severity"],
        facts["acknowledged_by"],
    )


async def delete(conn: Any, site: str, names: Sequence[str]) -> None:
    """Forget alerts that are no longer declared."""
    await conn.execute("DELETE FROM nexus.alert WHERE site = $1 AND name = ANY($2::text[])", site, list(names))
