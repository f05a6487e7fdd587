"""The revision of a database's schema, and the one that this version needs. Apart from `migrate.py`, which loads
Alembic and SQLAlchemy, almost a second of processor, while every historian checks this when it starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nexus_cli.database.connect import connection, schema_behind
from nexus_cli.database.names import SCHEMA
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings

VERSION_TABLE = "alembic_version"


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaState:
    """The revision of a database's schema.

    Attributes:
        current: Its revision, or None for an empty database.
        head: The revision that this version of NEXUS needs.
        pending: Revisions still to be applied, in order; empty when up to date.
        known: False when the database's revision is unknown here: a newer version made it.
    """

    current: str | None
    head: str
    pending: tuple[str, ...]
    known: bool = True

    @property
    def up_to_date(self) -> bool:
        """True when nothing is pending."""
        return self.known and self.current == self.head


def scripts_folder() -> Path:
    """Where the migrations lie: inside the wheel, else beside the package in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "_migrations"
    return inside if inside.is_dir() else package.parent / "migrations"


def revisions() -> tuple[str, ...]:
    """Those of this version, the oldest first: one chain, each in a file that begins with its number."""
    return tuple(sorted(path.name.partition("_")[0] for path in (scripts_folder() / "versions").glob("[0-9]*_*.py")))


async def current(settings: Settings) -> SchemaState:
    """Read the schema's revision; changes nothing.

    Raises:
        NexusError: NX6200 to NX6203, NX6206 to NX6208.
    """
    async with connection(settings, application="nexus-migrate") as conn:
        made = await conn.fetchval("SELECT to_regclass($1)::text", f"{SCHEMA}.{VERSION_TABLE}")
        found = await conn.fetchval(f"SELECT version_num FROM {SCHEMA}.{VERSION_TABLE}") if made else None
    ours = revisions()
    if found is not None and found not in ours:
        return SchemaState(current=found, head=ours[-1], pending=(), known=False)
    applied = 0 if found is None else ours.index(found) + 1
    return SchemaState(current=found, head=ours[-1], pending=ours[applied:])


async def require_current(settings: Settings) -> None:
    """Raise NX6201 unless the schema is the one this version needs, NX6204 when it is a newer one's."""
    state = await current(settings)
    if not state.known:
        raise from_the_future(state)
    if not state.up_to_date:
        at = f"revision {state.current}" if state.current else "empty"
        raise schema_behind(settings, cause=f"the schema is {at}, {len(state.pending)} migration(s) are pending")


def from_the_future(state: SchemaState) -> NexusError:
    """NX6204: the database was made by a newer version."""
    return NexusError(
        f"The database's schema is revision {state.current}, which this version of nexus does not know.",
        code="NX6204",
    )
