"""What is missing in the database made again, by the statements that each gap has.

See docs/decisions/0116.
"""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from nexus_cli.database.connect import UPKEEP, Connection, open_connection, plain_errors
from nexus_cli.database.errors import Trouble, trouble_of
from nexus_cli.database.gap_kinds import Gap
from nexus_cli.settings import Settings

ORDER = ("grant", "column", "constraint", "index", "trigger", "partition", "policy", "rollup")
"""Rights first: what follows may need them. Primary keys come before what refers to them: see `schema_gaps`."""


async def put_back(settings: Settings, gaps: Sequence[Gap]) -> dict[Gap, str]:
    """Make again what is missing and can be made again, on a connection of its own: indexes may take longer than a pool allows.

    Every statement may be repeated after one that failed or was killed: what is half made is found by the next look.

    Returns:
        For each gap why it is missing still; "" when it is put back.

    Raises:
        NexusError: NX62xx, the database is away.
    """
    able = sorted((gap for gap in gaps if gap.put_back), key=lambda gap: (ORDER.index(gap.kind), _refers(gap)))
    result: dict[Gap, str] = {}
    if not able:
        return result
    with plain_errors(settings):
        conn = await open_connection(settings, application="nexus-drift", limits=UPKEEP)
        try:
            for gap in able:
                result[gap] = await _one(conn, gap)
        finally:
            await conn.close()
    return result


def _refers(gap: Gap) -> bool:
    return any("FOREIGN KEY" in one for one in gap.put_back)


async def _one(conn: Connection, gap: Gap) -> str:
    try:
        for statement in gap.put_back:
            await conn.execute(statement)
    except asyncpg.PostgresError as error:
        if trouble_of(error) is Trouble.AWAY:
            raise
        return str(error.args[0]) if error.args else type(error).__name__
    return ""
