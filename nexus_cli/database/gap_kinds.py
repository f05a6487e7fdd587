"""One thing that is missing in the database."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = (
    "table",
    "column",
    "constraint",
    "index",
    "trigger",
    "function",
    "view",
    "partition",
    "policy",
    "rollup",
    "grant",
)


@dataclass(frozen=True, slots=True)
class Gap:
    """One thing that is missing.

    Attributes:
        kind: One of `KINDS`.
        table: The table that it belongs to, without the schema; of a function, view or table its own name.
        name: Its name in the table; "" when it is the table.
        text: A sentence without its end.
        put_back: Statements that make it again, one after another, each in a transaction of its own; none when what is gone
            can't be made again by a statement.
    """

    kind: str
    table: str
    name: str
    text: str
    put_back: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """How a report names it: `database.TABLE/NAME`."""
        return f"database.{self.table}" + (f"/{self.name}" if self.name else "")
