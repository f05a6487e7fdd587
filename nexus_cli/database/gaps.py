"""The gaps that control keeps open while a gateway is away: one row for each of its devices, until the real gap is known.

Such a row shows that samples are missing so far. A gateway that comes back with its disk log declares what
is missing by itself, so the row is deleted; otherwise the rows of the device say when it was read again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from nexus_cli.database.deployments import RECORD_STEP, microseconds
from nexus_cli.database.loss import moment
from nexus_cli.wire.frame import GapReason

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KEPT_OPEN = (GapReason.GATEWAY_LOST.value, GapReason.GATEWAY_STOPPED.value)
LATE = timedelta(minutes=5)
"""How far from the start of a gap the last row before it is looked for: it may have been stored after control noticed."""
LONGEST_WAIT = timedelta(hours=1)
"""How long the first row of a device is waited for once its gateway is back."""


class OpenGap(NamedTuple):
    """One row without an end.

    Attributes:
        id: Of the row.
        gateway: Who read the device.
        device: Empty only in rows of older versions, which mean the whole gateway.
        start_us: First moment that is missing, µs since 1970 UTC.
        opened_us: When control opened it, by the database's clock.
    """

    id: int
    gateway: str
    device: str
    start_us: int
    opened_us: int


async def last_stored_us(conn: Any, site: str, gateway: str, *, except_epoch: str = "") -> int:
    """When something of a gateway was stored last, µs since 1970 UTC, 0 for never; an epoch of its disk log can be left out."""
    stored = await conn.fetchval(
        "SELECT max(updated) FROM nexus.committed WHERE site = $1 AND gateway = $2 AND epoch <> $3 "
        "AND jsonb_array_length(ranges) > 0",
        site,
        gateway,
        except_epoch,
    )
    return 0 if stored is None else microseconds(stored)


async def open_gaps(
    conn: Any, site: str, gateway: str, devices: Collection[str], *, start_us: int, reason: GapReason
) -> int:
    """Open a gap for each of these devices that has none open; gives how many."""
    done: str = await conn.execute(
        "INSERT INTO nexus.gap (site, gateway, device, start, reason) SELECT $1, $2, d, $3, $4 "
        "FROM unnest($5::text[]) AS d WHERE NOT EXISTS (SELECT FROM nexus.gap g WHERE g.site = $1 AND g.gateway = $2 "
        "AND g.device IN ('', d) AND g.\"end\" IS NULL) ORDER BY d "
        'ON CONFLICT (site, gateway, device) WHERE "end" IS NULL DO NOTHING',
        site,
        gateway,
        moment(start_us),
        reason.value,
        sorted(devices),
    )
    return int(done.split()[-1])


async def is_declared(conn: Any, site: str, gateway: str, *, time_us: int) -> bool:
    """True when a gap of the gateway or one of its devices lies over a moment."""
    found: bool = await conn.fetchval(
        "SELECT EXISTS (SELECT FROM nexus.gap WHERE site = $1 AND gateway = $2 AND start <= $3 "
        "AND coalesce(\"end\", 'infinity') >= $3)",
        site,
        gateway,
        moment(time_us),
    )
    return found


async def load_open(conn: Any, site: str) -> list[OpenGap]:
    """Every open gap of the site."""
    rows = await conn.fetch(
        'SELECT id, gateway, device, start, recorded FROM nexus.gap WHERE site = $1 AND "end" IS NULL AND reason = ANY($2::text[]) '
        "ORDER BY id",
        site,
        list(KEPT_OPEN),
    )
    return [
        OpenGap(row["id"], row["gateway"], row["device"], microseconds(row["start"]), microseconds(row["recorded"]))
        for row in rows
    ]


async def drop(conn: Any, gaps: Sequence[OpenGap]) -> None:
    """Delete open gaps: what they say is declared by their gateway."""
    await conn.execute('DELETE FROM nexus.gap WHERE id = ANY($1::bigint[]) AND "end" IS NULL', [gap.id for gap in gaps])


async def close_at(conn: Any, gaps: Sequence[OpenGap], *, end_us: int) -> None:
    """End open gaps at a moment, but not before their start."""
    await conn.execute(
        'UPDATE nexus.gap SET "end" = greatest(start, $2) WHERE id = ANY($1::bigint[]) AND "end" IS NULL',
        [gap.id for gap in gaps],
        moment(end_us),
    )


async def close_by_rows(conn: Any, site: str, gaps: Sequence[OpenGap], *, back_us: int, now_us: int) -> int:
    """End open gaps of devices of which a row is stored again, right before it; gives how many.

    Args:
        conn: An open connection.
        site: `enterprise/site`.
        gaps: Open gaps of devices.
        back_us: From when on a gateway reads them again, µs since 1970 UTC: rows from here on are after the gap.
        now_us: Now. A device without a row for long after `back_us` is not waited for.

    The start is moved behind rows that were stored after the gap was opened, so that no row lies in it.
    """
    back, now = moment(back_us), moment(now_us)
    first, last = await _rows_around(conn, site, gaps, back=back)
    closed = 0
    for gap in gaps:
        again = first.get(gap.device)
        if again is None and now - back < LONGEST_WAIT:
            continue
        start = moment(gap.start_us)
        if gap.device in last:
            start = max(start, last[gap.device] + timedelta(microseconds=1))
        end = (again or back) - timedelta(microseconds=1)
        if end < start:
            await drop(conn, [gap])
        else:
            await conn.execute(
                'UPDATE nexus.gap SET start = $2, "end" = $3 WHERE id = $1 AND "end" IS NULL', gap.id, start, end
            )
        closed += 1
    return closed


async def _rows_around(
    conn: Any, site: str, gaps: Sequence[OpenGap], *, back: datetime
) -> tuple[dict[str, datetime], dict[str, datetime]]:
    """The first row from a moment on, and the last before it near the start of the gaps, by device."""
    rows = await conn.fetch(
        "SELECT id, substring(path from '^(.*)/[^/]*$') AS device FROM nexus.series WHERE site = $1 "
        "AND substring(path from '^(.*)/[^/]*$') = ANY($2::text[])",
        site,
        sorted({gap.device for gap in gaps}),
    )
    device_of: dict[int, str] = {row["id"]: row["device"] for row in rows}
    ids = list(device_of)
    starts = [moment(gap.start_us) for gap in gaps]
    after = await conn.fetch(
        'SELECT series_id, min("time") AS at FROM nexus.sample WHERE "time" >= $1 AND "time" < $2 '
        "AND series_id = ANY($3::int[]) GROUP BY series_id",
        back,
        back + LONGEST_WAIT,
        ids,
    )
    before = await conn.fetch(
        'SELECT series_id, max("time") AS at FROM nexus.sample WHERE "time" >= $1 AND "time" < $2 '
        "AND series_id = ANY($3::int[]) GROUP BY series_id",
        min(starts) - LATE,
        min(back, max(starts) + LATE),
        ids,
    )
    first: dict[str, datetime] = {}
    last: dict[str, datetime] = {}
    for row in after:
        device = device_of[row["series_id"]]
        first[device] = min(first.get(device, row["at"]), row["at"])
    for row in before:
        device = device_of[row["series_id"]]
        last[device] = max(last.get(device, row["at"]), row["at"])
    return first, last


async def recorded_after_us(conn: Any, site: str, *, time_us: int) -> int:
    """When the first deployment after a moment was recorded, µs since 1970 UTC; 0 when none was."""
    recorded = await conn.fetchval(
        "SELECT min(j.at) FROM nexus.journal j JOIN nexus.deployment d ON d.id = j.deployment_id "
        "WHERE d.site = $1 AND j.step = $2 AND j.state = 'done' AND j.at > $3",
        site,
        RECORD_STEP,
        moment(time_us),
    )
    return 0 if recorded is None else microseconds(recorded)
