"""How many tags are on record, for limits that are shares of them."""

from __future__ import annotations

from nexus_cli.database.connect import Connection


async def tags_by_class(conn: Connection, site: str) -> dict[str, int]:
    """Recorded tags of `enterprise/site` by retention class, as `plan.mass_change.tags_by_class` counts them."""
    rows = await conn.fetch(
        """SELECT coalesce(nullif(tag.value->>'retention', ''), 'default') AS class, count(*) AS tags
           FROM nexus.resource r
           CROSS JOIN LATERAL jsonb_each(
               CASE WHEN jsonb_typeof(r.attributes->'tags') = 'object' THEN r.attributes->'tags' ELSE '{}'::jsonb END
           ) AS tag
           WHERE r.site = $1 AND starts_with(r.address, 'device.') GROUP BY 1""",
        site,
    )
    return {row["class"]: int(row["tags"]) for row in rows}
