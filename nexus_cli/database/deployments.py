"""Recorded state, deployments and their journal, the lease and the audit trail: SQL on an asyncpg connection.

JSON goes in and out as text (`$1::text::jsonb`, `column::text`), so that no codec of the pool changes its meaning.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import orjson

from nexus_cli.database.connect import Connection
from nexus_cli.database.nul import storable
from nexus_cli.database.ordered import PLAN, RESOURCE, from_jsonb, to_jsonb
from nexus_cli.json_value import JsonObject, read_fields
from nexus_cli.model.snapshot import Attributes, site_digest
from nexus_cli.wire.control import JournalLine, TableRow, encode

RECORD_STEP = "record"
"""The journal step whose `done` is written in the transaction of the resources themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """The recorded state of a site.

    Attributes:
        number: The deployment that recorded it last; 0 when there was none.
        digests: Digest of every resource by address.
        gateways: Gateway of every device address.
        tags: Tags by retention class, where they were counted (`recorded_tags`).
    """

    enterprise: str
    site: str
    number: int = 0
    digests: Mapping[str, str] = field(default_factory=dict)
    gateways: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, int] | None = None

    @property
    def digest(self) -> str:
        """As `Snapshot.digest`: equal states have equal digests."""
        return site_digest(self.enterprise, self.site, self.digests)

    def every_gateway(self) -> list[str]:
        """Names of the declared gateways and of those that have devices, sorted: one may have lost its last device."""
        declared = {address.removeprefix("gateway.") for address in self.digests if address.startswith("gateway.")}
        return sorted(declared.union(name for name in self.gateways.values() if name))

    def gateway_devices(self, gateway: str) -> dict[str, str]:
        """Digest by device path of what one gateway has to run."""
        return {
            address.removeprefix("device."): self.digests[address]
            for address, name in self.gateways.items()
            if name == gateway
        }


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """How a deployment ended, as its row keeps it; empty while it runs.

    Attributes:
        counts: Changed resources by state (`applied`, `failed`, `skipped`, `unknown`) and by verification.
        table: One row per changed resource; of a long table those that are not simply well come first.
        left_out: Rows that the table does not have.
    """

    counts: dict[str, int] = {}
    table: list[TableRow] = []
    left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One row of `deployment`, without its plan: see `stored_plan`."""

    id: int
    site: str
    number: int
    who: str
    reason: str
    outcome: str
    base_digest: str
    desired_digest: str
    summary: Summary
    started: dt.datetime
    ended: dt.datetime | None
    allow: Sequence[str] = ()
    run_url: str = ""
    undoes: int = 0


async def recorded(conn: Connection, site: str) -> Recorded:
    """The recorded state of `enterprise/site`, digests only."""
    rows = await conn.fetch("SELECT address, digest, gateway FROM nexus.resource WHERE site = $1", site)
    number = await recorded_number(conn, site)
    enterprise, _, name = site.partition("/")
    return Recorded(
        enterprise=enterprise,
        site=name,
        number=number,
        digests={row["address"]: row["digest"] for row in rows},
        gateways={row["address"]: row["gateway"] for row in rows if row["gateway"]},
    )


async def recorded_number(conn: Connection, site: str) -> int:
    """Number of the newest deployment whose state is recorded; 0 when there is none."""
    number = await conn.fetchval(
        "SELECT d.number FROM nexus.deployment d WHERE d.site = $1 AND EXISTS (SELECT 1 FROM nexus.journal j "
        "WHERE j.deployment_id = d.id AND j.step = $2 AND j.state = 'done') ORDER BY d.number DESC LIMIT 1",
        site,
        RECORD_STEP,
    )
    return int(number or 0)


async def gateway_index(conn: Connection, site: str, gateway: str) -> tuple[int, dict[str, str]]:
    """Number of the recorded deployment, and digest by device path of what a gateway has to run."""
    rows = await conn.fetch(
        "SELECT address, digest FROM nexus.resource WHERE site = $1 AND gateway = $2", site, gateway
    )
    number = await recorded_number(conn, site)
    return number, {row["address"].removeprefix("device."): row["digest"] for row in rows}


async def attributes(conn: Connection, site: str, addresses: Sequence[str]) -> dict[str, Attributes]:
    """Attributes of those of the addresses that are recorded."""
    rows = await conn.fetch(
        "SELECT address, attributes::text AS body FROM nexus.resource WHERE site = $1 AND address = ANY($2::text[])",
        site,
        list(addresses),
    )
    return {row["address"]: from_jsonb(row["body"]) for row in rows}


async def full_state(conn: Connection, site: str, *, without: Collection[str] = ()) -> dict[str, Attributes]:
    """Attributes of everything recorded but for some addresses. Megabytes for a large site: not for every request."""
    rows = await conn.fetch(
        "SELECT address, attributes::text AS body FROM nexus.resource WHERE site = $1 AND address <> ALL($2::text[])",
        *(site, list(without)),
    )
    return {row["address"]: from_jsonb(row["body"]) for row in rows}


async def attributes_of_kind(conn: Connection, site: str, kind: str) -> dict[str, Attributes]:
    """Attributes of every resource of a kind (`device`, `alert`, …) by name."""
    prefix = kind + "."
    rows = await conn.fetch(
        "SELECT address, attributes::text AS body FROM nexus.resource WHERE site = $1 AND starts_with(address, $2)",
        site,
        prefix,
    )
    return {row["address"].removeprefix(prefix): from_jsonb(row["body"]) for row in rows}


async def attributes_of_links(
    conn: Connection, site: str, links: Collection[str], *, without: Collection[str] = ()
) -> dict[str, Attributes]:
    """Attributes of the devices on some links, by address, but for some."""
    if not links:
        return {}
    rows = await conn.fetch(
        "SELECT address, attributes::text AS body FROM nexus.resource WHERE site = $1 AND gateway <> '' "
        "AND attributes->>'link' = ANY($2::text[]) AND address <> ALL($3::text[])",
        *(site, list(links), list(without)),
    )
    return {row["address"]: from_jsonb(row["body"]) for row in rows}


async def attributes_of_gateway(
    conn: Connection, site: str, gateway: str, paths: Sequence[str] | None = None
) -> dict[str, Attributes]:
    """Devices of one gateway by path; of others nothing is given, whatever was asked for."""
    rows = await conn.fetch(
        "SELECT address, attributes::text AS body FROM nexus.resource WHERE site = $1 AND gateway = $2 "
        "AND ($3::text[] IS NULL OR address = ANY($3::text[]))",
        site,
        gateway,
        None if paths is None else [f"device.{path}" for path in paths],
    )
    return {row["address"].removeprefix("device."): from_jsonb(row["body"]) for row in rows}


async def write_resources(
    conn: Connection,
    site: str,
    deployment_id: int,
    changed: Mapping[str, Attributes | None],
    *,
    digests: Mapping[str, str],
) -> None:
    """Record changed resources; None removes one. Call inside the transaction of the record step.

    Digests are given, not computed: a float such as 1e17 comes back from JSONB as an integer, with another digest.
    """
    removed = [address for address, value in changed.items() if value is None]
    written = [
        (
            site,
            address,
            digests[address],
            str(value.get("gateway", "")) if address.startswith("device.") else "",
            to_jsonb(value, RESOURCE),
            deployment_id,
        )
        for address, value in changed.items()
        if value is not None
    ]
    if removed:
        await conn.execute("DELETE FROM nexus.resource WHERE site = $1 AND address = ANY($2::text[])", site, removed)
    if written:
        await conn.executemany(
            "INSERT INTO nexus.resource (site, address, digest, gateway, attributes, deployment_id) "
            "VALUES ($1, $2, $3, $4, $5::text::jsonb, $6) ON CONFLICT (site, address) DO UPDATE SET "
            "digest = excluded.digest, gateway = excluded.gateway, attributes = excluded.attributes, "
            "deployment_id = excluded.deployment_id",
            written,
        )


async def begin_deployment(
    conn: Connection,
    site: str,
    *,
    who: str,
    reason: str,
    base: str,
    desired: str,
    plan: JsonObject,
    run_url: str = "",
    undoes: int = 0,
) -> tuple[int, int]:
    """Write a deployment as `running`; gives its id and its number. Call while holding the lease."""
    row = await conn.fetchrow(
        "INSERT INTO nexus.deployment (site, number, who, reason, outcome, base_digest, desired_digest, plan, allow, "
        "run_url, undoes) SELECT $1, coalesce(max(number), 0) + 1, $2, $3, 'running', $4, $5, $6::text::json, "
        "$7::text[], $8, nullif($9::int, 0) FROM nexus.deployment WHERE site = $1 RETURNING id, number",
        site,
        who,
        reason,
        base,
        desired,
        to_jsonb(plan, PLAN),
        list(plan.get("allow", ())),
        run_url,
        undoes,
    )
    return int(row["id"]), int(row["number"])


async def end_deployment(conn: Connection, deployment_id: int, *, outcome: str, summary: Summary) -> None:
    """Close a running deployment with its outcome: `applied`, `partly`, `failed` or `nothing`. The first word counts."""
    await conn.execute(
        "UPDATE nexus.deployment SET outcome = $2, summary = $3::text::jsonb, ended = now() "
        "WHERE id = $1 AND outcome = 'running'",
        deployment_id,
        outcome,
        encode(summary).decode(),
    )


async def reopen(conn: Connection, deployment_id: int, *, detail: Mapping[str, Any]) -> bool:
    """Let a deployment that ended continue from its journal; False when it runs, or came to its end. Call while holding the lease."""
    row = await conn.fetchrow(
        "UPDATE nexus.deployment SET outcome = 'running', ended = NULL WHERE id = $1 AND outcome NOT IN ('running', 'applied', 'nothing') "
        "RETURNING id",
        deployment_id,
    )
    if row is None:
        return False
    await write_journal(conn, deployment_id, "resume", "begun", detail=detail)
    return True


_DEPLOYMENT = (
    "SELECT id, site, number, who, reason, outcome, base_digest, desired_digest, summary::text AS summary, started, "
    "ended, allow, run_url, coalesce(undoes, 0) AS undoes FROM nexus.deployment WHERE site = $1 "
)


async def deployment(conn: Connection, site: str, number: int) -> Deployment | None:
    """One deployment, or None."""
    row = await conn.fetchrow(_DEPLOYMENT + "AND number = $2", site, number)
    return None if row is None else _deployment(row)


async def deployments(
    conn: Connection,
    site: str,
    *,
    limit: int = 50,
    who: str = "",
    outcome: str = "",
    since_us: int = 0,
    before: int = 0,
) -> list[Deployment]:
    """The newest deployments first.

    Args:
        conn: Where they are.
        site: `enterprise/site`.
        limit: At most so many.
        who: Only of this principal.
        outcome: Only with this one.
        since_us: Only begun then or later, µs since 1970 UTC.
        before: Only with a smaller number; 0 is all.
    """
    rows = await conn.fetch(
        _DEPLOYMENT + "AND ($3 = '' OR who = $3) AND ($4 = '' OR outcome = $4) AND ($6 = 0 OR number < $6) "
        "AND started >= to_timestamp($5::float8) ORDER BY number DESC LIMIT $2",
        *(site, limit, who, outcome, since_us / 1e6, before),
    )
    return [_deployment(row) for row in rows]


async def running_deployments(conn: Connection, site: str) -> list[Deployment]:
    """Deployments that were begun and never closed, oldest first."""
    rows = await conn.fetch(_DEPLOYMENT + "AND outcome = 'running' ORDER BY number", site)
    return [_deployment(row) for row in rows]


async def stored_plan(conn: Connection, deployment_id: int) -> str:
    """The plan of a deployment as JSON text, megabytes for a large one; `from_jsonb` and `apply.run.Work` read it."""
    text: str = await conn.fetchval("SELECT plan::text FROM nexus.deployment WHERE id = $1", deployment_id)
    return text


def _deployment(row: Any) -> Deployment:
    fields = dict(row)
    return Deployment(**{**fields, "summary": read_fields(msgspec.json.decode(fields["summary"]), Summary)})


async def write_journal(
    conn: Connection,
    deployment_id: int,
    step: str,
    state: str,
    *,
    subject: str = "",
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Add one line: `begun`, `done`, `failed` or `skipped`. Every step is here before it happens."""
    await conn.execute(
        "INSERT INTO nexus.journal (deployment_id, step, subject, state, detail) VALUES ($1, $2, $3, $4, $5::text::jsonb)",
        deployment_id,
        step,
        subject,
        state,
        storable(orjson.dumps(detail or {}).decode()),
    )


async def journal(conn: Connection, deployment_id: int, *, after: int = 0, limit: int = 500) -> list[JournalLine]:
    """Journal lines with a larger id than `after`, in order; `at` in µs since 1970 UTC."""
    rows = await conn.fetch(
        "SELECT id, step, subject, state, detail::text AS detail, at FROM nexus.journal "
        "WHERE deployment_id = $1 AND id > $2 ORDER BY id LIMIT $3",
        deployment_id,
        after,
        limit,
    )
    return [
        JournalLine(**{**dict(row), "detail": orjson.loads(row["detail"]), "at": microseconds(row["at"])})
        for row in rows
    ]


async def has_step(conn: Connection, deployment_id: int, *, step: str, state: str, since: str = "") -> bool:
    """Whether a line of the journal says so, after the last line of the step `since` where there is one."""
    found = await conn.fetchval(
        "SELECT EXISTS (SELECT 1 FROM nexus.journal WHERE deployment_id = $1 AND step = $2 AND state = $3 AND id > "
        "coalesce((SELECT max(id) FROM nexus.journal WHERE deployment_id = $1 AND step = $4), 0))",
        *(deployment_id, step, state, since),
    )
    return bool(found)


async def write_audit(
    conn: Connection, site: str, *, who: str, what: str, subject: str = "", detail: Mapping[str, Any] | None = None
) -> None:
    """Add a line to the audit trail."""
    await conn.execute(
        "INSERT INTO nexus.audit (site, who, what, subject, detail) VALUES ($1, $2, $3, $4, $5::text::jsonb)",
        site,
        who,
        what,
        subject,
        storable(orjson.dumps(detail or {}).decode()),
    )


def microseconds(moment: dt.datetime) -> int:
    """A time of the database as µs since 1970 UTC."""
    return (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
