"""What was recorded before a deployment: what is recorded now, and what each deployment after it says of the state before."""

from __future__ import annotations

from dataclasses import dataclass

from nexus_cli.database.connect import Connection
from nexus_cli.database.deployments import RECORD_STEP
from nexus_cli.database.ordered import from_jsonb
from nexus_cli.model.snapshot import Attributes

_RECORDED = "EXISTS (SELECT 1 FROM nexus.journal j WHERE j.deployment_id = d.id AND j.step = $2 AND j.state = 'done')"


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """The deployments whose state was recorded after one.

    Attributes:
        base: Number of the deployment that recorded the state before it; 0 when there was none.
        later: Numbers of those after it, the newest first.
        size_bytes: Of the plans of the later ones, as JSON.
    """

    base: int
    later: tuple[int, ...]
    size_bytes: int


async def since(conn: Connection, site: str, number: int) -> Since:
    """What was recorded before and after a deployment."""
    base = await conn.fetchval(
        f"SELECT max(d.number) FROM nexus.deployment d WHERE d.site = $1 AND d.number < $3 AND {_RECORDED}",
        *(site, RECORD_STEP, number),
    )
    rows = await conn.fetch(
        "SELECT d.number, octet_length(d.plan::text) AS size FROM nexus.deployment d "
        f"WHERE d.site = $1 AND d.number > $3 AND {_RECORDED} ORDER BY d.number DESC",
        *(site, RECORD_STEP, number),
    )
    return Since(
        base=int(base or 0),
        later=tuple(row["number"] for row in rows),
        size_bytes=sum(row["size"] for row in rows),
    )


async def recorded_numbers(conn: Connection, site: str, *, since: int = 0) -> list[int]:
    """Numbers of the deployments from `since` on that recorded something, the newest first."""
    rows = await conn.fetch(
        f"SELECT d.number FROM nexus.deployment d WHERE d.site = $1 AND d.number >= $3 AND {_RECORDED} ORDER BY d.number DESC",
        *(site, RECORD_STEP, since),
    )
    return [row["number"] for row in rows]


async def rollbacks(conn: Connection, site: str) -> dict[int, int]:
    """The rollbacks that recorded something, by number: the first deployment that each took back."""
    rows = await conn.fetch(
        f"SELECT d.number, d.undoes FROM nexus.deployment d WHERE d.site = $1 AND d.undoes > 0 AND {_RECORDED}",
        *(site, RECORD_STEP),
    )
    return {row["number"]: row["undoes"] for row in rows}


async def plan_of(conn: Connection, site: str, number: int) -> str | None:
    """The plan of a deployment as JSON text, as `apply.run.Work` reads it; None when there is no such deployment."""
    text: str | None = await conn.fetchval(
        "SELECT plan::text FROM nexus.deployment WHERE site = $1 AND number = $2", site, number
    )
    return text


async def state_now(conn: Connection, site: str, *, whole: bool) -> dict[str, Attributes]:
    """Attributes of everything recorded by address; of devices what their session depends on alone, unless `whole` is asked
    for."""
    rows = await conn.fetch(
        "SELECT address, CASE WHEN $2 OR NOT starts_with(address, 'device.') THEN attributes::text "
        "ELSE jsonb_strip_nulls(jsonb_build_object('link', attributes->'link', 'gateway', attributes->'gateway', "
        "'enabled', attributes->'enabled', 'protocol', attributes->'protocol', 'connection', attributes->'connection'))::text "
        "END AS body FROM nexus.resource WHERE site = $1",
        *(site, whole),
    )
    return {row["address"]: from_jsonb(row["body"]) for row in rows}


def without(state: dict[str, Attributes], plan: str) -> None:
    """Take a recorded deployment back in a state, by its stored plan."""
    document = from_jsonb(plan)
    for address in document["changed"]:
        state.pop(address, None)
    state.update(document["before"])
