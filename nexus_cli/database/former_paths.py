"""Where series were before: former paths by the one that each has now."""

from __future__ import annotations

from nexus_cli.database.connect import Connection
from nexus_cli.database.names import SCHEMA


async def former_paths(conn: Connection, *, site: str) -> list[tuple[str, str]]:
    """`(former, current)` of every declared series that was moved; of two that had the same path, the newer last."""
    rows = await conn.fetch(
        f"""SELECT unnest(former_paths) AS former, path FROM {SCHEMA}.series
            WHERE site = $1 AND active AND former_paths <> '{{}}' ORDER BY id""",
        site,
    )
    return [(row["former"], row["path"]) for row in rows]
