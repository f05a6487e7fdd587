"""Old paths under which live values are still published: which, and until when. The end is a time of the database's clock."""

from __future__ import annotations

import msgspec
import orjson

from nexus_cli.database.connect import Connection
from nexus_cli.database.deployments import microseconds
from nexus_cli.database.names import SCHEMA
from nexus_cli.model.alias_config import ALIAS, AliasConfig
from nexus_cli.wire.control_aliases import Alias


async def aliases(conn: Connection, *, site: str) -> list[Alias]:
    """Those that are recorded, by old path, also those that have ended: their entries are still in the site file.

    Each counts from the deployment that recorded it as it is: one whose time is changed begins again.
    """
    rows = await conn.fetch(
        f"""SELECT a.old, a.body, a.started, a.started + a.for_ms * interval '1 millisecond' AS until,
              extract(epoch FROM a.started + a.for_ms * interval '1 millisecond' - clock_timestamp())::float8 AS left_s
            FROM (
              SELECT substr(r.address, $3) AS old, r.attributes::text AS body, d.started,
                (r.attributes->>'for_ms')::float8 AS for_ms
              FROM {SCHEMA}.resource r JOIN {SCHEMA}.deployment d ON d.id = r.deployment_id
              WHERE r.site = $1 AND starts_with(r.address, $2)
            ) AS a ORDER BY a.old COLLATE "C" """,
        *(site, ALIAS, len(ALIAS) + 1),
    )
    found = []
    for row in rows:
        config = msgspec.convert(orjson.loads(row["body"]), AliasConfig)
        found.append(
            Alias(
                old=row["old"],
                to=config.to,
                since=microseconds(row["started"]),
                until=microseconds(row["until"]),
                left_us=max(0, int(row["left_s"] * 1e6)),
                gateways=list(config.gateways),
            )
        )
    return found
