"""The table `command` and its lines in the audit trail: written once per command, however often it is reported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from nexus_cli.database.connect import Connection
from nexus_cli.database.loss import moment
from nexus_cli.database.nul import storable


async def add_command(
    conn: Connection,
    site: str,
    *,
    command_id: str,
    path: str,
    principal: str,
    asked_by: str = "",
    value: object,
    state: str,
    detail: Mapping[str, Any],
    at_us: int,
) -> bool:
    """Record how a command ended, and the same in the audit trail; False when it is on record already.

    Args:
        conn: In a transaction.
        site: `enterprise/site`.
        command_id: "" for what could not be read as a command: that goes to the audit trail alone.
        path: `area/line/device/tag`.
        principal: Who sent it.
        asked_by: For whom; "" for the sender itself. The trail shows this name, and the sender as `via`.
        value: As it was asked, in the published unit.
        state: `done`, `refused`, `failed` or `unknown`.
        detail: What else is known: gateway, old, read_back, code, …
        at_us: When it ended, µs since 1970 UTC.
    """
    at = moment(at_us)
    if command_id:
        done = await conn.execute(
            "INSERT INTO nexus.command (id, site, path, principal, asked_by, value, state, detail, at) "
            "VALUES ($1, $2, $3, $4, $5, $6::text::jsonb, $7, $8::text::jsonb, $9) ON CONFLICT DO NOTHING",
            *(command_id, site, path, principal, asked_by, _json(value), state, _json(dict(detail)), at),
        )
        if done != "INSERT 0 1":
            return False
    via = {"via": principal} if asked_by else {}
    facts = {"id": command_id, "value": value, "state": state, **via, **detail}
    await conn.execute(
        "INSERT INTO nexus.audit (at, site, who, what, subject, detail) VALUES ($1, $2, $3, $4, $5, $6::text::jsonb)",
        *(at, site, asked_by or principal, "command", path, _json(facts)),
    )
    return True


async def is_on_record(conn: Connection, site: str, *, command_id: str, path: str, principal: str, at_us: int) -> bool:
    """True when `add_command` recorded this before; arguments as there."""
    if command_id:
        sql = "SELECT EXISTS (SELECT FROM nexus.command WHERE site = $1 AND principal = $2 AND path = $3 AND id = $4)"
        return bool(await conn.fetchval(sql, site, principal, path, command_id))
    sql = (
        "SELECT EXISTS (SELECT FROM nexus.audit WHERE site = $1 AND who = $2 AND subject = $3 AND at = $4"
        " AND what = 'command')"
    )
    return bool(await conn.fetchval(sql, site, principal, path, moment(at_us)))


def _json(value: object) -> str:
    """JSON that PostgreSQL takes: a NUL has no place in its texts."""
    return storable(orjson.dumps(value).decode())
