"""Hashes of passwords, two slots for each principal: both are valid while one replaces the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import orjson

from nexus_cli.database.connect import Connection
from nexus_cli.database.deployments import microseconds
from nexus_cli.database.ordered import from_jsonb

SLOTS = ("a", "b")
_VALID = "(expires IS NULL OR expires > now())"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCredential:
    """A slot that is valid.

    Attributes:
        principal: A declared user or application.
        slot: `a` or `b`.
        hashes: Fields of `access.passwords.Hashes` by name.
        active: False when the other slot took its place; it is valid until `expires`.
        expires: µs since 1970 UTC; None: never.
        made: µs since 1970 UTC.
        made_by: Principal.
    """

    principal: str
    slot: str
    hashes: Mapping[str, str]
    active: bool
    expires: int | None
    made: int
    made_by: str


async def put(
    conn: Connection, site: str, *, principal: str, hashes: msgspec.Struct, made_by: str, keep_old_s: float
) -> tuple[str, int | None]:
    """Write a new password into the slot that is not active; the old one ends in `keep_old_s` seconds.

    Call inside a transaction. Gives the slot, and when the old password ends (µs since 1970 UTC; None without one).
    """
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"credential {site} {principal}")
    old = await conn.fetchrow(
        f"""SELECT slot FROM nexus.credential WHERE site = $1 AND principal = $2 AND active AND {_VALID}""",
        *(site, principal),
    )
    slot = SLOTS[1 - SLOTS.index(old["slot"])] if old is not None else SLOTS[0]
    ended = await conn.fetchval(
        f"""UPDATE nexus.credential SET active = false,
            expires = least(expires, now() + $3::float8 * interval '1 second')
            WHERE site = $1 AND principal = $2 AND active AND {_VALID} RETURNING expires""",
        *(site, principal, float(keep_old_s)),
    )
    await conn.execute(_PUT, *(site, principal, slot, _stored(hashes), made_by))
    return slot, None if ended is None else microseconds(ended)


async def put_first(conn: Connection, site: str, *, principal: str, hashes: msgspec.Struct, made_by: str) -> None:
    """Write a password into slot `a`, at once and for good; one in slot `b` ends now. Call inside a transaction."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"credential {site} {principal}")
    await conn.execute(
        f"""UPDATE nexus.credential SET active = false, expires = now()
            WHERE site = $1 AND principal = $2 AND slot = 'b' AND {_VALID}""",
        *(site, principal),
    )
    await conn.execute(_PUT, *(site, principal, SLOTS[0], _stored(hashes), made_by))


async def valid(conn: Connection, site: str, principal: str) -> list[StoredCredential]:
    """The valid slots of a principal: the active one first."""
    rows = await conn.fetch(
        f"{_SELECT} WHERE site = $1 AND principal = $2 AND {_VALID} ORDER BY active DESC, made DESC",
        *(site, principal),
    )
    return [_credential(row) for row in rows]


async def every(conn: Connection, site: str) -> dict[str, list[StoredCredential]]:
    """The valid slots of every principal, the active one first; for the brokers' files."""
    rows = await conn.fetch(f"{_SELECT} WHERE site = $1 AND {_VALID} ORDER BY principal, active DESC, made DESC", site)
    found: dict[str, list[StoredCredential]] = {}
    for row in rows:
        found.setdefault(row["principal"], []).append(_credential(row))
    return found


async def remove(conn: Connection, site: str, principal: str) -> int:
    """Remove every slot of a principal that is no longer declared; gives how many there were."""
    rows = await conn.fetch(
        "DELETE FROM nexus.credential WHERE site = $1 AND principal = $2 RETURNING slot", *(site, principal)
    )
    return len(rows)


_PUT = """INSERT INTO nexus.credential (site, principal, slot, hashes, active, expires, made_by, made)
VALUES ($1, $2, $3, $4::text::jsonb, true, NULL, $5, now())
ON CONFLICT (site, principal, slot) DO UPDATE SET hashes = excluded.hashes, active = true,
expires = NULL, made_by = excluded.made_by, made = now()"""
_SELECT = "SELECT principal, slot, hashes::text AS hashes, active, expires, made, made_by FROM nexus.credential"


def _stored(hashes: msgspec.Struct) -> str:
    return orjson.dumps(msgspec.to_builtins(hashes)).decode()


def _credential(row: Any) -> StoredCredential:
    return StoredCredential(
        principal=row["principal"],
        slot=row["slot"],
        hashes=from_jsonb(row["hashes"]),
        active=row["active"],
        expires=None if row["expires"] is None else microseconds(row["expires"]),
        made=microseconds(row["made"]),
        made_by=row["made_by"],
    )
