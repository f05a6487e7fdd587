"""Rollouts and their waves: SQL. A rollout is in flight from its acceptance until it is applied, stopped or taken back.

What is left of a soak is stored, not a moment: control counts it down on a clock that can not be set, so that a stepped clock
ends none early, and a time without control prolongs it.

See docs/decisions/0104.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import orjson

from nexus_cli.database.connect import Connection
from nexus_cli.database.deployments import microseconds
from nexus_cli.database.nul import storable
from nexus_cli.database.ordered import PLAN, to_jsonb
from nexus_cli.json_value import JsonObject
from nexus_cli.wire.control import encode
from nexus_cli.wire.control_rollouts import Rollout, RolloutWave, Verdict
from nexus_cli.wire.rollout import ACTIVE, Gates, RolloutOf, RolloutRequest, WaveRequest

_COLUMNS = (
    "id, number, who, reason, state, why, position, gates::text AS gates, on_failure, window_use, base, expects, "
    "run_url, undone_by, started, ended"
)
_WAVE = (
    "position, name, addresses::text AS addresses, soak_ms, left_ms, state, deployment, opens, begun, "
    "measured::text AS measured, verdicts::text AS verdicts"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """A row of `rollout_wave`.

    Attributes:
        position: From 0.
        addresses: What it changes; of what moves also the old address.
        measured: What was measured `before` it began, and as its soak began (`soak`), as JSON of `apply.gates`.
        others: As in `wire.control_rollouts.RolloutWave`.
    """

    position: int
    name: str
    addresses: tuple[str, ...]
    soak_ms: int
    left_ms: int
    state: str
    deployment: int
    opens: datetime | None
    begun: datetime | None
    measured: JsonObject
    verdicts: tuple[Verdict, ...]

    @property
    def devices(self) -> int:
        """How many devices it changes."""
        return sum(address.startswith("device.") for address in self.addresses)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A row of `rollout` with its waves, without its plan: see `plan_of`.

    Attributes:
        position: Of the wave that it is at, from 0.
        expects: Digest of the recorded state from which the next wave begins.
        others: As in `wire.control_rollouts.Rollout`.
    """

    id: int
    number: int
    who: str
    reason: str
    state: str
    why: str
    position: int
    gates: Gates
    on_failure: str
    window: str
    base: int
    expects: str
    run_url: str
    undone_by: int
    started: datetime
    ended: datetime | None
    waves: tuple[Wave, ...]

    @property
    def wave(self) -> Wave:
        """The wave that it is at."""
        return self.waves[self.position]

    def public(self) -> Rollout:
        """As control's API gives it."""
        return Rollout(
            number=self.number,
            who=self.who,
            reason=self.reason,
            state=self.state,
            why=self.why,
            wave=self.position + 1,
            waves=[_public(each) for each in self.waves],
            gates=self.gates,
            on_failure=self.on_failure,
            window=self.window,
            base=self.base,
            run_url=self.run_url,
            undone_by=self.undone_by,
            started=microseconds(self.started),
            ended=None if self.ended is None else microseconds(self.ended),
        )


async def create(
    conn: Connection,
    site: str,
    *,
    who: str,
    reason: str,
    request: RolloutRequest,
    waves: Sequence[WaveRequest],
    plan: JsonObject,
    digests_before: Mapping[str, str],
    base: int,
    expects: str,
    run_url: str = "",
) -> int:
    """Write a rollout that waits for its first wave; gives its number. Nothing of it is recorded yet."""
    row = await conn.fetchrow(
        "INSERT INTO nexus.rollout (site, number, who, reason, state, gates, on_failure, window_use, base, expects, plan, "
        "digests_before, run_url) SELECT $1, coalesce(max(number), 0) + 1, $2, $3, 'waiting', $4::text::jsonb, $5, $6, $7, $8, "
        "$9::text::json, $10::text::json, $11 FROM nexus.rollout WHERE site = $1 RETURNING id, number",
        *(site, who, reason, encode(request.gates).decode(), request.on_failure, request.window, base, expects),
        *(to_jsonb(plan, PLAN), orjson.dumps(dict(digests_before)).decode(), run_url),
    )
    await conn.executemany(
        "INSERT INTO nexus.rollout_wave (rollout_id, position, name, addresses, soak_ms, left_ms, state) "
        "VALUES ($1, $2, $3, $4::text::jsonb, $5, $5, 'pending')",
        [
            (row["id"], position, wave.name, orjson.dumps(wave.addresses).decode(), wave.soak_ms)
            for position, wave in enumerate(waves)
        ],
    )
    return int(row["number"])


async def locked(conn: Connection, site: str) -> None:
    """Wait for who changes a rollout of the site, until the end of this transaction: what is read afterwards stays so."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('rollout ' || $1, 0))", site)


async def active(conn: Connection, site: str) -> Stored | None:
    """The rollout that is in flight; there is one at most."""
    row = await conn.fetchrow(
        f"SELECT {_COLUMNS} FROM nexus.rollout WHERE site = $1 AND state = ANY($2::text[]) ORDER BY number LIMIT 1",
        *(site, list(ACTIVE)),
    )
    return None if row is None else await _whole(conn, row)


async def one(conn: Connection, site: str, number: int) -> Stored | None:
    """One rollout, or None."""
    row = await conn.fetchrow(f"SELECT {_COLUMNS} FROM nexus.rollout WHERE site = $1 AND number = $2", site, number)
    return None if row is None else await _whole(conn, row)


async def newest(conn: Connection, site: str, *, limit: int = 50) -> list[Stored]:
    """The newest rollouts first."""
    rows = await conn.fetch(
        f"SELECT {_COLUMNS} FROM nexus.rollout WHERE site = $1 ORDER BY number DESC LIMIT $2", site, limit
    )
    return [await _whole(conn, row) for row in rows]


async def plan_of(conn: Connection, rollout_id: int) -> tuple[str, dict[str, str]]:
    """The plan of all waves as JSON text (`apply.run.Work` reads it), and the recorded digests of what it changes."""
    row = await conn.fetchrow(
        "SELECT plan::text AS plan, digests_before::text AS digests FROM nexus.rollout WHERE id = $1", rollout_id
    )
    return row["plan"], orjson.loads(row["digests"])


async def of_deployments(conn: Connection, site: str, numbers: Iterable[int]) -> dict[int, RolloutOf]:
    """The rollout of those of these deployments that are waves, by number."""
    rows = await conn.fetch(
        "SELECT w.deployment, r.number, w.name AS wave, w.position + 1 AS position, r.state, "
        "(SELECT count(*) FROM nexus.rollout_wave o WHERE o.rollout_id = r.id) AS waves "
        "FROM nexus.rollout_wave w JOIN nexus.rollout r ON r.id = w.rollout_id "
        "WHERE r.site = $1 AND w.deployment = ANY($2::int[])",
        *(site, list(numbers)),
    )
    return {row["deployment"]: RolloutOf(**{key: row[key] for key in RolloutOf.__struct_fields__}) for row in rows}


async def set_rollout(conn: Connection, rollout_id: int, **columns: str | int) -> None:
    """Change columns of a rollout, such as its `state`; one that is not in flight any more has its end."""
    await _set(conn, "rollout", "id = $1", [rollout_id], columns)
    await conn.execute(
        "UPDATE nexus.rollout SET ended = CASE WHEN state = ANY($2::text[]) THEN NULL ELSE coalesce(ended, now()) END "
        "WHERE id = $1",
        *(rollout_id, list(ACTIVE)),
    )


async def set_wave(conn: Connection, rollout_id: int, position: int, **columns: Any) -> None:
    """Change columns of a wave; `measured` and `verdicts` are JSON values."""
    await _set(conn, "rollout_wave", "rollout_id = $1 AND position = $2", [rollout_id, position], columns)


async def stop_deployment(conn: Connection, site: str, number: int, *, why: str, verdicts: Sequence[Verdict]) -> None:
    """A wave's gates failed: its deployment is not simply applied any more, and its journal says why."""
    row = await conn.fetchrow(
        "UPDATE nexus.deployment SET outcome = CASE WHEN outcome IN ('applied', 'nothing') THEN 'stopped' ELSE outcome END "
        "WHERE site = $1 AND number = $2 RETURNING id",
        *(site, number),
    )
    if row is not None:
        detail = orjson.dumps(
            {"message": why, "code": "NX5033", "gates": [msgspec.to_builtins(each) for each in verdicts]}
        )
        await conn.execute(
            "INSERT INTO nexus.journal (deployment_id, step, subject, state, detail) "
            "VALUES ($1, 'gates', '', 'failed', $2::text::jsonb)",
            *(row["id"], storable(detail.decode())),
        )


async def alarms_since(conn: Connection, site: str, *, since: datetime, devices: Sequence[str]) -> list[str]:
    """Names of alarms on tags of these devices that became active since a moment of control's clock, each once."""
    rows = await conn.fetch(
        "SELECT DISTINCT name FROM nexus.alert_change WHERE site = $1 AND at >= $2 AND kind = 'active' "
        "AND regexp_replace(tag, '/[^/]*$', '') = ANY($3::text[]) ORDER BY name",
        *(site, since, list(devices)),
    )
    return [row["name"] for row in rows]


async def _set(conn: Connection, table: str, where: str, keys: Sequence[object], columns: Mapping[str, Any]) -> None:
    """Set columns by name; JSON values are written as text."""
    parts, values = [], list(keys)
    for name, value in columns.items():
        json = name in ("measured", "verdicts")
        values.append(storable(orjson.dumps(value, default=msgspec.to_builtins).decode()) if json else value)
        parts.append(f"{name} = ${len(values)}" + ("::text::jsonb" if json else ""))
    await conn.execute(f"UPDATE nexus.{table} SET {', '.join(parts)} WHERE {where}", *values)


async def _whole(conn: Connection, row: Any) -> Stored:
    waves = await conn.fetch(
        f"SELECT {_WAVE} FROM nexus.rollout_wave WHERE rollout_id = $1 ORDER BY position", row["id"]
    )
    fields = dict(row)
    return Stored(
        **{key: fields[key] for key in ("id", "number", "who", "reason", "state", "why", "position", "on_failure")},
        **{key: fields[key] for key in ("base", "expects", "run_url", "started", "ended")},
        gates=msgspec.json.decode(fields["gates"], type=Gates),
        window=fields["window_use"],
        undone_by=fields["undone_by"] or 0,
        waves=tuple(_wave(each) for each in waves),
    )


def _wave(row: Any) -> Wave:
    fields = dict(row)
    return Wave(
        **{key: fields[key] for key in ("position", "name", "soak_ms", "left_ms", "state", "deployment")},
        **{key: fields[key] for key in ("opens", "begun")},
        addresses=tuple(orjson.loads(fields["addresses"])),
        measured=orjson.loads(fields["measured"]),
        verdicts=tuple(msgspec.json.decode(fields["verdicts"], type=list[Verdict])),
    )


def _public(wave: Wave) -> RolloutWave:
    return RolloutWave(
        name=wave.name,
        state=wave.state,
        resources=len(wave.addresses),
        devices=wave.devices,
        soak_ms=wave.soak_ms,
        left_ms=wave.left_ms,
        deployment=wave.deployment,
        opens=None if wave.opens is None else microseconds(wave.opens),
        verdicts=list(wave.verdicts),
    )
