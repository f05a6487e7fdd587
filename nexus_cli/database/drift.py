"""The tables `drift_report` and `device_identity`: results of the schedule, and what devices said of themselves.

See docs/decisions/0106.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import orjson

from nexus_cli.database.connect import Connection
from nexus_cli.database.deployments import write_audit
from nexus_cli.database.names import SCHEMA
from nexus_cli.database.nul import storable
from nexus_cli.wire.control_drift import DriftReport, decode_report

KEPT = 200
"""Results of one site; older ones are removed with each new one."""


async def running(conn: Connection, site: str) -> tuple[int, list[str]]:
    """Number of the deployment in flight, 0 for none, and the addresses that it changes."""
    rows = await conn.fetch(
        f"""SELECT number, address FROM {SCHEMA}.deployment d
            LEFT JOIN LATERAL json_object_keys(d.plan->'changed') AS address ON true
            WHERE site = $1 AND outcome = 'running'""",
        site,
    )
    return max((row["number"] for row in rows), default=0), sorted({row["address"] for row in rows if row["address"]})


async def store(conn: Connection, site: str, report: DriftReport) -> None:
    """Keep a result, and no more than `KEPT`."""
    async with conn.transaction():
        await conn.execute(
            f"""INSERT INTO {SCHEMA}.drift_report (site, time_us, report) VALUES ($1, $2, $3::text::jsonb)
                ON CONFLICT (site, time_us) DO UPDATE SET report = excluded.report""",
            *(site, report.time, storable(msgspec.json.encode(report).decode())),
        )
        await conn.execute(
            f"""DELETE FROM {SCHEMA}.drift_report WHERE site = $1 AND time_us NOT IN
                (SELECT time_us FROM {SCHEMA}.drift_report WHERE site = $1 ORDER BY time_us DESC LIMIT $2)""",
            *(site, KEPT),
        )


async def looked(conn: Connection, site: str) -> int:
    """When the newest result was found, µs since 1970 UTC; 0 without one."""
    found = await conn.fetchval(f"SELECT max(time_us) FROM {SCHEMA}.drift_report WHERE site = $1", site)
    return int(found or 0)


async def newest(conn: Connection, site: str, *, limit: int = 1) -> list[DriftReport]:
    """The newest results first; one that can't be read is left out."""
    rows = await conn.fetch(
        f"SELECT report::text AS report FROM {SCHEMA}.drift_report WHERE site = $1 ORDER BY time_us DESC LIMIT $2",
        *(site, limit),
    )
    found: list[DriftReport] = []
    for row in rows:
        try:
            found.append(decode_report(row["report"]))
        except msgspec.MsgspecError:
            continue
    return found


async def identities(conn: Connection, site: str, links: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """What devices said of themselves, by path; only of those that still have the link that it was said on.

    `links` are those of the recorded devices, by path.
    """
    rows = await conn.fetch(
        f"SELECT device, link, facts::text AS facts FROM {SCHEMA}.device_identity WHERE site = $1", site
    )
    return {row["device"]: orjson.loads(row["facts"]) for row in rows if links.get(row["device"]) == row["link"]}


async def record_identities(
    conn: Connection,
    site: str,
    facts: Mapping[str, Mapping[str, str]],
    links: Mapping[str, str],
    *,
    who: str = "",
) -> list[str]:
    """Record what devices say of themselves; gives the paths. With `who` a person did it, and it is audited; one that says
    nothing any more is forgotten then."""
    wanted = sorted(path for path in facts if path in links and (facts[path] or who))
    async with conn.transaction():
        for path in wanted:
            if not facts[path]:
                await conn.execute(f"DELETE FROM {SCHEMA}.device_identity WHERE site = $1 AND device = $2", site, path)
                await write_audit(conn, site, who=who, what="adopt-identity", subject=path, detail={})
                continue
            await conn.execute(
                f"""INSERT INTO {SCHEMA}.device_identity (site, device, link, facts, since)
                    VALUES ($1, $2, $3, $4::text::jsonb, now()) ON CONFLICT (site, device)
                    DO UPDATE SET link = excluded.link, facts = excluded.facts, since = excluded.since""",
                *(site, path, links[path], storable(orjson.dumps(dict(facts[path])).decode())),
            )
            if who:
                await write_audit(conn, site, who=who, what="adopt-identity", subject=path, detail=dict(facts[path]))
    return wanted
