"""The part of drift that is about the database: what control compares, and what it makes again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nexus_cli.database.connect import Pool, plain_errors
from nexus_cli.database.gap_kinds import Gap
from nexus_cli.database.schema_gaps import missing_in
from nexus_cli.database.schema_repair import put_back
from nexus_cli.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseRepair:
    """Sentences: what was put back, or would be, and what stays with its reason."""

    done: tuple[str, ...]
    left: tuple[str, ...]


async def repair_database(settings: Settings, pool: Pool, *, preview: bool) -> DatabaseRepair:
    """Make again what is missing in the database, or say what would be. Compared again: what is there by now is left alone.

    Raises:
        NexusError: NX62xx, the database is away.
    """
    with plain_errors(settings):
        async with pool.acquire() as conn:
            gaps = (await missing_in(conn, site=settings.site)).found
    able: Sequence[Gap] = [gap for gap in gaps if gap.put_back]
    why = dict.fromkeys(able, "") if preview else await put_back(settings, able)
    done = [f"{gap.path} is put back" for gap in able if not why[gap]]
    left = [f"{gap.path}: {why[gap]}" for gap in able if why[gap]]
    return DatabaseRepair(done=tuple(done), left=tuple(left))
