"""A retention class of a site as the database knows it, and what its tables are called."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from nexus_cli.database.connect import Connection

DAY_MS = 86_400_000
KEEP_DEFAULT_MS = 400 * DAY_MS
"""How long a class that is not declared (`default`) keeps its samples."""
SITE_LENGTH = 16
TABLE_LENGTH = 40
"""With `_pYYYYMMDD_series` behind it, and a number before that, a name stays below PostgreSQL's 63 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleClass:
    """A retention class of a site as the database knows it.

    Attributes:
        site: `enterprise/site`.
        name: As in the site file.
        table: Its table, without the schema.
        keep_ms: Age at which samples go.
        compress_after_ms: Age at which chunks are compressed; None never.
        hypertable: True when TimescaleDB keeps its partitions.
        archive_after_ms: Age at which a day goes to the archive; None never. Nothing of such a class is dropped before.
        archive_keep_ms: Age at which a day is removed from the archive; None never.
    """

    site: str
    name: str
    table: str
    keep_ms: int
    hypertable: bool
    compress_after_ms: int | None = None
    rollups: tuple[str, ...] = ()
    archive_after_ms: int | None = None
    archive_keep_ms: int | None = None

    @property
    def rest(self) -> str:
        """The table of the rows that no partition holds; a hypertable needs none."""
        return f"{self.table}_rest"


def table_name(class_name: str, *, site: str) -> str:
    """`sample_{site}_{class}`, everything but letters, digits and `_` as `_`, at most 40 characters.

    The site's part is cut first, to 16 characters. Two names may fold into one; see `_free_table_name`.
    """
    folded_site = re.sub(r"[^a-z0-9_]", "_", site.lower())[:SITE_LENGTH]
    folded = re.sub(r"[^a-z0-9_]", "_", class_name.lower())
    return f"sample_{folded_site}_{folded}"[:TABLE_LENGTH]


@asynccontextmanager
async def short_locks(conn: Connection, *, lock_s: float) -> AsyncIterator[None]:
    """A transaction, or a part of one, that waits for each lock for at most so long; the rest waits as before."""
    async with conn.transaction():
        before = await conn.fetchval("SELECT current_setting('lock_timeout')")
        await conn.execute(f"SET LOCAL lock_timeout = '{round(lock_s * 1000)}ms'")
        yield
        await conn.execute(f"SET LOCAL lock_timeout = '{before}'")
