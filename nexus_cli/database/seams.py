"""Where a change of a tag's terms lies in time: at the moment from which on its gateway reads by them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from nexus_cli.database.connect import Connection
from nexus_cli.database.names import SCHEMA
from nexus_cli.model.calendar import moment_of

FURTHEST = timedelta(minutes=5)
"""A gateway's clock that is further from the database's is not believed: the moment of recording stays."""


async def place_segments(conn: Connection, *, site: str, number: int, devices: Collection[str], time_us: int) -> int:
    """Move the segments that a deployment began to the moment at which the gateway applied it; gives how many.

    They were recorded before the gateway was notified: values read in between have the earlier unit, type and names.

    Args:
        conn: An open connection.
        site: `enterprise/site`.
        number: Of the deployment.
        devices: Paths of those that the gateway reports.
        time_us: When it applied the deployment, by its own clock as in its samples, µs since 1970 UTC.
    """
    done: str = await conn.execute(
        f"""UPDATE {SCHEMA}.series AS s SET segments = (s.segments - -1)
              || jsonb_build_array(s.segments->-1 || jsonb_build_object('since', $4::timestamptz))
            FROM {SCHEMA}.deployment d
            WHERE d.site = $1 AND d.number = $2 AND s.site = $1 AND s.active AND jsonb_array_length(s.segments) > 1
              AND array_to_string((string_to_array(s.path, '/'))[1:3], '/') = ANY($3::text[])
              AND (s.segments->-1->>'since')::timestamptz >= d.started
              AND $4::timestamptz BETWEEN now() - $5::interval AND now() + $5::interval
              AND $4::timestamptz > (s.segments->-2->>'since')::timestamptz""",
        *(site, number, sorted(devices), moment_of(time_us), FURTHEST),
    )
    return int(done.split()[-1])
