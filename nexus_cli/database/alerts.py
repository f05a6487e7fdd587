"""The gaps that control opens for a lost gateway."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from nexus_cli.wire.frame import GapReason

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
GATEWAY_LOST = GapReason.GATEWAY_LOST.value
GATEWAY_STOPPED = GapReason.GATEWAY_STOPPED.value
"""Reason of the gap while a gateway that said goodbye stays away."""


async def open_gap(conn: Any, site: str, gateway: str, *, start_us: int, reason: str = GATEWAY_LOST) -> bool:
    """Open a gap for a lost or stopped gateway, unless one is open; True when it was opened."""
    row = await conn.fetchrow(
        'INSERT INTO nexus.gap (site, gateway, start, "end", reason) SELECT $1, $2, $3, NULL, $4 '
        "WHERE NOT EXISTS (SELECT 1 FROM nexus.gap WHERE site = $1 AND gateway = $2 AND reason = ANY($5::text[]) "
        'AND "end" IS NULL) RETURNING id',
        site,
        gateway,
        EPOCH + timedelta(microseconds=start_us),
        reason,
        [GATEWAY_LOST, GATEWAY_STOPPED],
    )
    return row is not None


async def close_gap(conn: Any, site: str, gateway: str, *, end_us: int) -> bool:
    """Close the open gap of a gateway that is back; True when there was one."""
    row = await conn.fetchrow(
        'UPDATE nexus.gap SET "end" = greatest(start, $3) WHERE site = $1 AND gateway = $2 AND reason = ANY($4::text[]) '
        'AND "end" IS NULL RETURNING id',
        site,
        gateway,
        EPOCH + timedelta(microseconds=end_us),
        [GATEWAY_LOST, GATEWAY_STOPPED],
    )
    return row is not None
