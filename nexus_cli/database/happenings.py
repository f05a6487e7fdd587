"""What happened lately, for who watches: deployments, runs of sequences and their steps, and how commands ended."""

from __future__ import annotations

from typing import Any, NamedTuple

from nexus_cli.database.connect import Connection
from nexus_cli.database.deployments import microseconds
from nexus_cli.database.ordered import from_jsonb
from nexus_cli.json_value import JsonObject

MOST = 500
"""Lines of one answer."""
_LATELY = "(ended IS NULL OR ended > now() - interval '1 minute')"


class Line(NamedTuple):
    """One line of a table that only grows.

    Attributes:
        number: Rises.
        at: µs since 1970 UTC.
        facts: What it says.
    """

    number: int
    at: int
    facts: JsonObject


async def last_numbers(conn: Connection, site: str) -> tuple[int, int]:
    """The last line of the audit trail and the last step of a sequence; 0 of none."""
    audit: int = await conn.fetchval("SELECT coalesce(max(id), 0) FROM nexus.audit WHERE site = $1", site)
    step: int = await conn.fetchval("SELECT coalesce(max(number), 0) FROM nexus.sequence_step WHERE site = $1", site)
    return audit, step


async def commands_after(conn: Connection, site: str, number: int) -> list[Line]:
    """How commands ended, as the audit trail has it, beyond a line: `path`, `who` and what is known."""
    rows = await conn.fetch(
        "SELECT id, at, who, subject, detail::text AS detail FROM nexus.audit "
        "WHERE site = $1 AND id > $2 AND what = 'command' ORDER BY id LIMIT $3",
        *(site, number, MOST),
    )
    return [
        Line(
            row["id"],
            microseconds(row["at"]),
            {"path": row["subject"], "who": row["who"], **from_jsonb(row["detail"])},
        )
        for row in rows
    ]


async def steps_after(conn: Connection, site: str, number: int) -> list[Line]:
    """Lines of the journals of runs beyond one: `run`, `name` of the sequence, `step`, `branch`, `text`, `state`."""
    rows = await conn.fetch(
        "SELECT s.number, s.at, s.run, r.name, s.step, s.branch, s.text, s.state "
        "FROM nexus.sequence_step s JOIN nexus.sequence_run r ON r.site = s.site AND r.id = s.run "
        "WHERE s.site = $1 AND s.number > $2 ORDER BY s.number LIMIT $3",
        *(site, number, MOST),
    )
    names = ("run", "name", "step", "branch", "text", "state")
    return [Line(row["number"], microseconds(row["at"]), {name: row[name] for name in names}) for row in rows]


async def recent_runs(conn: Connection, site: str) -> list[JsonObject]:
    """Runs that are under way or ended within a minute: `run`, `name`, `who`, `state`, `started`, `ended`."""
    rows = await conn.fetch(
        "SELECT id AS run, name, who, state, started, ended FROM nexus.sequence_run "
        f"WHERE site = $1 AND {_LATELY} ORDER BY started LIMIT {MOST}",
        site,
    )
    return [_plain(row) for row in rows]


async def recent_deployments(conn: Connection, site: str) -> list[JsonObject]:
    """Deployments that are under way or ended within a minute: `number`, `who`, `reason`, `state`, `started`, `ended`."""
    rows = await conn.fetch(
        "SELECT number, who, reason, outcome AS state, started, ended FROM nexus.deployment "
        f"WHERE site = $1 AND {_LATELY} ORDER BY number LIMIT {MOST}",
        site,
    )
    return [_plain(row) for row in rows]


def _plain(row: Any) -> JsonObject:
    found = dict(row)
    for name in ("started", "ended"):
        found[name] = None if found[name] is None else microseconds(found[name])
    return found
