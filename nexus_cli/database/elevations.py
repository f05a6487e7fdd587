"""Elevation: users that have the role `admin`, too, for a while."""

from __future__ import annotations

from typing import Any

from nexus_cli.database.connect import Connection
from nexus_cli.database.deployments import microseconds
from nexus_cli.wire.control_access import Elevation

_COLUMNS = "id, principal, reason, given_by, begins, ends"


async def give(
    conn: Connection, site: str, *, elevation_id: str, principal: str, reason: str, given_by: str, for_s: float
) -> Elevation:
    """Record an elevation that begins now."""
    row = await conn.fetchrow(
        f"""INSERT INTO nexus.elevation (site, id, principal, reason, given_by, begins, ends)
            VALUES ($1, $2, $3, $4, $5, now(), now() + $6::float8 * interval '1 second') RETURNING {_COLUMNS}""",
        *(site, elevation_id, principal, reason, given_by, float(for_s)),
    )
    return _elevation(row)


async def current(conn: Connection, site: str, *, principal: str = "") -> list[Elevation]:
    """Those that have not ended, the newest first; of one principal, or of everybody ("")."""
    rows = await conn.fetch(
        f"""SELECT {_COLUMNS} FROM nexus.elevation WHERE site = $1 AND ends > now() AND ($2 = '' OR principal = $2)
            ORDER BY begins DESC, id DESC""",
        *(site, principal),
    )
    return [_elevation(row) for row in rows]


async def elevated(conn: Connection, site: str, *, principal: str = "") -> dict[str, int]:
    """Until when each elevated user is, µs since 1970 UTC: what `access.people.Moment` takes."""
    rows = await conn.fetch(
        """SELECT principal, max(ends) AS ends FROM nexus.elevation
           WHERE site = $1 AND ends > now() AND ($2 = '' OR principal = $2) GROUP BY principal""",
        *(site, principal),
    )
    return {row["principal"]: microseconds(row["ends"]) for row in rows}


async def end(conn: Connection, site: str, elevation_id: str) -> Elevation | None:
    """End an elevation now; None when it was not in force."""
    row = await conn.fetchrow(
        f"""UPDATE nexus.elevation SET ends = now() WHERE site = $1 AND id = $2 AND ends > now()
            RETURNING {_COLUMNS}""",
        *(site, elevation_id),
    )
    return None if row is None else _elevation(row)


async def end_all(conn: Connection, site: str, *, principal: str) -> None:
    """End every elevation of a principal now."""
    await conn.execute(
        "UPDATE nexus.elevation SET ends = now() WHERE site = $1 AND principal = $2 AND ends > now()", site, principal
    )


def _elevation(row: Any) -> Elevation:
    return Elevation(
        id=row["id"],
        principal=row["principal"],
        reason=row["reason"],
        given_by=row["given_by"],
        begins=microseconds(row["begins"]),
        ends=microseconds(row["ends"]),
    )
