"""Topics that NEXUS once published and that are no longer declared, or no longer retained: a broker must not keep their
retained messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson

from nexus_cli.database.connect import Connection
from nexus_cli.model.config import readable_device

_PATHS = """
  SELECT path FROM nexus.series WHERE site = $1 AND NOT active AND NOT external
  UNION SELECT former.path FROM nexus.series, unnest(former_paths) AS former(path)
  WHERE site = $1 AND NOT external AND NOT (active AND EXISTS (
    SELECT FROM nexus.resource r JOIN nexus.deployment d ON d.id = r.deployment_id
    WHERE r.site = $1 AND starts_with(r.address, 'alias.')
      AND d.started + (r.attributes->>'for_ms')::float8 * interval '1 millisecond' > clock_timestamp()
      AND starts_with(former.path || '/', substr(r.address, 7) || '/')
      AND r.attributes->>'to' || substr(former.path, length(r.address) - 5) = series.path))
"""
"""Without the old paths under which values are published for a while (`keep_old_for`)."""


_NOT_RETAINED = """
  SELECT substr(address, 8) || '/' || tag.key AS path FROM nexus.resource, jsonb_each(attributes->'tags') AS tag
  WHERE site = $1 AND starts_with(address, 'device.') AND attributes->>'protocol' <> 'external'
    AND (tag.value->'live_publish' = 'false' OR tag.value->'live_retain' = 'false')
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retired:
    """Topics that are known and no longer declared.

    Attributes:
        paths: Tag paths of forgotten series and former paths of renamed ones, none that is declared again by name; and of
            declared tags whose values are not published, or not retained.
        globs: Path globs under which others publish; what they cover is declared as well.
        alerts: Names of the declared alerts.
        gateways: Names of the declared gateways, and of those that devices belong to.
    """

    paths: tuple[str, ...] = ()
    globs: tuple[str, ...] = ()
    alerts: frozenset[str] = field(default_factory=frozenset)
    gateways: frozenset[str] = field(default_factory=frozenset)


async def retired(conn: Connection, site: str, *, among: Sequence[str] | None = None) -> Retired:
    """The retired topics now; `among` limits the search to these paths.

    A series that others publish is left out: its retained message is theirs.
    """
    rows = await conn.fetch(
        f"SELECT path FROM ({_PATHS}) AS known(path) WHERE ($2::text[] IS NULL OR path = ANY($2::text[])) "
        "AND NOT EXISTS (SELECT 1 FROM nexus.series AS s WHERE s.site = $1 AND s.path = known.path AND s.active) "
        "AND position('~' IN path) = 0 "
        f"UNION SELECT path FROM ({_NOT_RETAINED}) AS quiet WHERE ($2::text[] IS NULL OR path = ANY($2::text[])) ORDER BY path",
        *(site, None if among is None else list(among)),
    )
    names = await conn.fetch(
        "SELECT address, gateway FROM nexus.resource WHERE site = $1 "
        "AND (starts_with(address, 'alert.') OR starts_with(address, 'gateway.') OR gateway <> '')",
        site,
    )
    addresses = [row["address"] for row in names]
    return Retired(
        paths=tuple(row["path"] for row in rows),
        globs=tuple(await _globs(conn, site)),
        alerts=frozenset(_named(addresses, "alert.")),
        gateways=frozenset({*_named(addresses, "gateway."), *(row["gateway"] for row in names if row["gateway"])}),
    )


async def _globs(conn: Connection, site: str) -> list[str]:
    rows = await conn.fetch(
        "SELECT address, attributes::text AS body FROM nexus.resource WHERE site = $1 AND starts_with(address, 'device.') "
        "AND attributes->>'protocol' = 'external'",
        site,
    )
    found = (readable_device(orjson.loads(row["body"]), address=row["address"]) for row in rows)
    return [glob for device in found if device is not None for glob in device.globs]


def _named(addresses: Sequence[str], prefix: str) -> list[str]:
    return [address.removeprefix(prefix) for address in addresses if address.startswith(prefix)]
