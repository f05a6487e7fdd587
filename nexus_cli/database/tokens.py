"""API tokens and sessions: what was made, until when, and what was revoked. The tokens themselves are nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from nexus_cli.database.connect import Connection
from nexus_cli.database.deployments import microseconds
from nexus_cli.wire.control_access import TokenInfo

_COLUMNS = "id, principal, kind, scopes, made, expires, revoked, made_by, note"
MOST = 1000
MOST_VALID = 1000
"""Valid tokens and sessions of one principal; a further one is refused, so that no loop of logins fills the table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Whether a token still counts, by the database and its clock."""

    principal: str
    kind: str
    scopes: tuple[str, ...]
    valid: bool
    revoked: bool


async def add(
    conn: Connection,
    site: str,
    *,
    token_id: str,
    principal: str,
    kind: str,
    scopes: Sequence[str],
    ttl_s: float,
    made_by: str,
    note: str = "",
) -> TokenInfo | None:
    """Record a token; None when its principal has `MOST_VALID` of them."""
    row = await conn.fetchrow(
        f"""INSERT INTO nexus.api_token (site, id, principal, kind, scopes, expires, made_by, note)
            SELECT $1, $2, $3, $4, $5, now() + $6::float8 * interval '1 second', $7, $8
            WHERE (SELECT count(*) FROM nexus.api_token
                   WHERE site = $1 AND principal = $3 AND revoked IS NULL AND expires > now()) < $9
            RETURNING {_COLUMNS}""",
        *(site, token_id, principal, kind, list(scopes), float(ttl_s), made_by, note, MOST_VALID),
    )
    return None if row is None else _info(row)


async def standing(conn: Connection, site: str, token_id: str) -> Standing | None:
    """What the database says of a token; None when there is none of this id."""
    row = await conn.fetchrow(
        """SELECT principal, kind, scopes, revoked IS NULL AND expires > now() AS valid, revoked IS NOT NULL AS revoked
           FROM nexus.api_token WHERE site = $1 AND id = $2""",
        *(site, token_id),
    )
    return None if row is None else Standing(**{**dict(row), "scopes": tuple(row["scopes"])})


async def find(conn: Connection, site: str, token_id: str) -> TokenInfo | None:
    """One token."""
    row = await conn.fetchrow(f"SELECT {_COLUMNS} FROM nexus.api_token WHERE site = $1 AND id = $2", *(site, token_id))
    return None if row is None else _info(row)


async def listing(conn: Connection, site: str, *, principal: str = "", limit: int = MOST) -> list[TokenInfo]:
    """The newest first, of one principal or of everybody (""); without those that ended more than a day ago."""
    rows = await conn.fetch(
        f"""SELECT {_COLUMNS} FROM nexus.api_token WHERE site = $1 AND ($2 = '' OR principal = $2)
            AND expires > now() - interval '1 day' AND (revoked IS NULL OR revoked > now() - interval '1 day')
            ORDER BY made DESC, id DESC LIMIT $3""",
        *(site, principal, limit),
    )
    return [_info(row) for row in rows]


async def revoke(conn: Connection, site: str, token_id: str) -> bool:
    """Revoke a token; False when it was not valid."""
    row = await conn.fetchrow(
        """UPDATE nexus.api_token SET revoked = now()
           WHERE site = $1 AND id = $2 AND revoked IS NULL AND expires > now() RETURNING id""",
        *(site, token_id),
    )
    return row is not None


async def revoke_all(conn: Connection, site: str, *, principal: str, kind: str = "") -> int:
    """Revoke every token and session of a principal, or those of one kind; gives how many were valid."""
    rows = await conn.fetch(
        """UPDATE nexus.api_token SET revoked = now() WHERE site = $1 AND principal = $2 AND revoked IS NULL
           AND expires > now() AND ($3 = '' OR kind = $3) RETURNING id""",
        *(site, principal, kind),
    )
    return len(rows)


async def counts(conn: Connection, site: str) -> dict[str, dict[str, int]]:
    """Valid tokens by principal and kind."""
    rows = await conn.fetch(
        """SELECT principal, kind, count(*) AS count FROM nexus.api_token
           WHERE site = $1 AND revoked IS NULL AND expires > now() GROUP BY principal, kind""",
        site,
    )
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        found.setdefault(row["principal"], {})[row["kind"]] = int(row["count"])
    return found


async def forget_ended(conn: Connection, site: str) -> None:
    """Remove what ended more than 90 days ago; the audit trail keeps who made and revoked it."""
    await conn.execute("DELETE FROM nexus.api_token WHERE site = $1 AND expires < now() - interval '90 days'", site)


def _info(row: Any) -> TokenInfo:
    def moment(name: str) -> int | None:
        value: datetime | None = row[name]
        return None if value is None else microseconds(value)

    return TokenInfo(
        id=row["id"],
        principal=row["principal"],
        kind=row["kind"],
        scopes=list(row["scopes"]),
        made=moment("made") or 0,
        expires=moment("expires") or 0,
        revoked=moment("revoked"),
        made_by=row["made_by"],
        note=row["note"],
    )
