"""Alerts of rules of quality follow a rename: their names are made of the tag's path, so state, shelving and journal go along.

A declared alert has a name of its own, which a rename leaves as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from nexus_cli.database.connect import Connection
from nexus_cli.database.names import SCHEMA
from nexus_cli.model.governed import KINDS, alert_name


async def follow_renames(conn: Connection, site: str, *, moved: Sequence[tuple[str, str]]) -> None:
    """Keep the alerts of moved tags under their new names.

    Args:
        conn: In the transaction that records the deployment.
        site: `enterprise/site`.
        moved: (old, new) paths of tags.
    """
    if not moved:
        return
    pairs = [(alert_name(kind, old), alert_name(kind, new)) for old, new in moved for kind in KINDS]
    olds, news = [old for old, _ in pairs], [new for _, new in pairs]
    # What an earlier tag of the new path left behind is another alarm's, and ended with it.
    await conn.execute(
        f"""DELETE FROM {SCHEMA}.alert a USING unnest($2::text[], $3::text[]) AS m(old, new)
            WHERE a.site = $1 AND a.name = m.new
              AND EXISTS (SELECT FROM {SCHEMA}.alert o WHERE o.site = $1 AND o.name = m.old)""",
        *(site, olds, news),
    )
    await conn.execute(
        f"""UPDATE {SCHEMA}.alert a SET name = m.new FROM unnest($2::text[], $3::text[]) AS m(old, new)
            WHERE a.site = $1 AND a.name = m.old""",
        *(site, olds, news),
    )
    await conn.execute(
        f"""UPDATE {SCHEMA}.alert_change c SET name = m.new FROM unnest($2::text[], $3::text[]) AS m(old, new)
            WHERE c.site = $1 AND c.name = m.old AND NOT EXISTS (
              SELECT FROM {SCHEMA}.alert_change d
              WHERE d.site = $1 AND d.name = m.new AND d.at = c.at AND d.state = c.state)""",
        *(site, olds, news),
    )
