"""The table `command`, read."""

from __future__ import annotations

from typing import Any

import orjson

from nexus_cli.database.connect import Connection


async def commands(conn: Connection, site: str, *, path: str = "", limit: int = 50) -> list[dict[str, Any]]:
    """The newest commands first, of one tag or of all."""
    fetched = await conn.fetch(
        "SELECT id, path, principal, value::text AS value, state, detail::text AS detail, at FROM nexus.command "
        "WHERE site = $1 AND ($2 = '' OR path = $2) ORDER BY at DESC LIMIT $3",
        *(site, path, limit),
    )
    return [
        {
            **{name: row[name] for name in ("id", "path", "principal", "state", "at")},
            "value": orjson.loads(row["value"]),
            **orjson.loads(row["detail"]),
        }
        for row in fetched
    ]
