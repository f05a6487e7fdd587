"""Where series were before: former paths by the one that each has now."""

from __future__ import annotations

from collections.abc import Container, Sequence

from nexus_cli.database.connect import Connection
from nexus_cli.database.former_names import with_levels
from nexus_cli.database.names import SCHEMA

_NAMED = ("device.", "tag.")


async def former_paths(conn: Connection, *, site: str) -> list[tuple[str, str]]:
    """`(former, current)` of every declared series that was moved; of two that had the same path, the newer last."""
    rows = await conn.fetch(
        f"""SELECT unnest(former_paths) AS former, path FROM {SCHEMA}.series
            WHERE site = $1 AND active AND former_paths <> '{{}}' ORDER BY id""",
        site,
    )
    return [(row["former"], row["path"]) for row in rows]


async def renamed(conn: Connection, *, site: str, asked: Sequence[str], found: Container[str]) -> dict[str, str]:
    """Present address by former one, of those addresses of devices and tags that are not found because they were renamed."""
    missing = [address for address in asked if address not in found]
    named = {address: path for address in missing if (path := address.partition(".")[2]) and address.startswith(_NAMED)}
    if not named:
        return {}
    known = with_levels(await former_paths(conn, site=site))
    return {address: address.removesuffix(path) + known[path] for address, path in named.items() if path in known}
