"""Runs of sequences and their journal: a line before each step and one after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from nexus_cli.database.connect import Connection
from nexus_cli.database.deployments import microseconds
from nexus_cli.database.nul import storable
from nexus_cli.database.ordered import RUN, TRAIL, Places, from_jsonb, to_jsonb
from nexus_cli.json_value import JsonObject, read_fields
from nexus_cli.wire.control import as_object
from nexus_cli.wire.control_sequences import RunEnd, RunLine, SequenceRun, StepFacts

RUN_COLUMNS = "id, name, who, reason, state, detail::text AS detail, definition::text AS definition, started, ended"


async def begin_run(
    conn: Connection, site: str, *, run: str, name: str, who: str, reason: str, definition: Mapping[str, Any]
) -> bool:
    """Write a run down; False when its id is on record already."""
    done: str = await conn.execute(
        "INSERT INTO nexus.sequence_run (id, site, name, who, reason, state, definition) "
        "VALUES ($1, $2, $3, $4, $5, 'running', $6::text::jsonb) ON CONFLICT DO NOTHING",
        *(run, site, name, who, reason, _json(definition, RUN)),
    )
    return done == "INSERT 0 1"


async def end_run(conn: Connection, site: str, run: str, *, state: str, detail: RunEnd) -> None:
    """Say how a run ended, in its row and in the audit trail."""
    ended = as_object(detail)
    row = await conn.fetchrow(
        "UPDATE nexus.sequence_run SET state = $3, detail = $4::text::jsonb, ended = now() "
        "WHERE site = $1 AND id = $2 AND ended IS NULL "
        "RETURNING name, who, reason, definition::text AS definition",
        *(site, run, state, _json(ended)),
    )
    if row is not None:
        given = from_jsonb(row["definition"]).get("arguments")
        facts = {"run": run, "state": state, "reason": row["reason"], **({"set": given} if given else {}), **ended}
        await conn.execute(
            "INSERT INTO nexus.audit (site, who, what, subject, detail) VALUES ($1, $2, 'sequence', $3, $4::text::jsonb)",
            *(site, row["who"], row["name"], _json(facts, TRAIL)),
        )


async def write_abort(conn: Connection, site: str, run: str, *, name: str, who: str) -> None:
    """The principal that aborted a run, in the audit trail."""
    await conn.execute(
        "INSERT INTO nexus.audit (site, who, what, subject, detail) VALUES ($1, $2, 'sequence', $3, $4::text::jsonb)",
        *(site, who, name, _json({"run": run, "state": "aborting"})),
    )


class Begun(NamedTuple):
    """A run that has not ended, with the sequence as it began and the `arguments` that it was given."""

    id: str
    name: str
    definition: JsonObject


async def running(conn: Connection, site: str) -> list[Begun]:
    """Runs that have not ended, the oldest first."""
    rows = await conn.fetch(
        "SELECT id, name, definition::text AS definition FROM nexus.sequence_run "
        "WHERE site = $1 AND ended IS NULL ORDER BY started",
        site,
    )
    return [Begun(row["id"], row["name"], from_jsonb(row["definition"])) for row in rows]


async def end_interrupted(conn: Connection, site: str, *, detail: RunEnd) -> list[str]:
    """At the start of control: runs that its last life left. Gives their ids."""
    rows = await conn.fetch("SELECT id FROM nexus.sequence_run WHERE site = $1 AND ended IS NULL", site)
    for row in rows:
        await end_run(conn, site, row["id"], state="interrupted", detail=detail)
    return [row["id"] for row in rows]


async def write_step(
    conn: Connection,
    site: str,
    run: str,
    *,
    step: int,
    branch: str,
    text: str,
    state: str,
    detail: StepFacts | None = None,
) -> None:
    """Add a line to a run's journal."""
    await conn.execute(
        "INSERT INTO nexus.sequence_step (site, run, step, branch, text, state, detail) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7::text::jsonb)",
        *(
            site,
            run,
            step,
            branch,
            text.replace("\0", "\ufffd"),
            state,
            _json({} if detail is None else as_object(detail)),
        ),
    )


async def journal(conn: Connection, site: str, run: str, *, after: int = 0) -> list[RunLine]:
    """The journal of a run beyond a line; times in µs since 1970 UTC."""
    rows = await conn.fetch(
        "SELECT number, step, branch, text, state, detail::text AS detail, at FROM nexus.sequence_step "
        "WHERE site = $1 AND run = $2 AND number > $3 ORDER BY number LIMIT 1000",
        *(site, run, after),
    )
    return [
        RunLine(
            id=row["number"],
            step=row["step"],
            branch=row["branch"],
            text=row["text"],
            state=row["state"],
            detail=read_fields(msgspec.json.decode(row["detail"]), StepFacts),
            at=microseconds(row["at"]),
        )
        for row in rows
    ]


async def find_run(conn: Connection, site: str, run: str) -> SequenceRun | None:
    """One run, None when there is none."""
    row = await conn.fetchrow(f"SELECT {RUN_COLUMNS} FROM nexus.sequence_run WHERE site = $1 AND id = $2", site, run)
    return None if row is None else _run(row)


async def runs(conn: Connection, site: str, *, limit: int = 20) -> list[SequenceRun]:
    """The newest runs first."""
    rows = await conn.fetch(
        f"SELECT {RUN_COLUMNS} FROM nexus.sequence_run WHERE site = $1 ORDER BY started DESC LIMIT $2", site, limit
    )
    return [_run(row) for row in rows]


def _run(row: Mapping[str, Any]) -> SequenceRun:
    definition = from_jsonb(row["definition"])
    return SequenceRun(
        id=row["id"],
        name=row["name"],
        who=row["who"],
        reason=row["reason"],
        state=row["state"],
        detail=read_fields(msgspec.json.decode(row["detail"]), RunEnd),
        steps=len(definition.get("steps", ())),
        set=definition.get("arguments", {}),
        started=microseconds(row["started"]),
        ended=None if row["ended"] is None else microseconds(row["ended"]),
    )


def _json(value: Mapping[str, Any], places: Places = ()) -> str:
    return storable(to_jsonb(value, places, default=str))
