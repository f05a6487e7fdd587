"""Devices that are out of service for a while. The end is a time of the database's clock; what has ended is as what never was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nexus_cli.database.connect import Connection
from nexus_cli.database.deployments import microseconds
from nexus_cli.model.snapshot import Attributes
from nexus_cli.wire.control import ServicePause
from nexus_cli.wire.control_steering import OutOfService

DEVICE = "device."


async def begin(conn: Connection, site: str, *, device: str, for_s: float, who: str, reason: str) -> OutOfService:
    """Record that a device is out of service from now on; of one that is already, the end, who and why are replaced.

    Args:
        conn: Where to.
        site: `enterprise/site`.
        device: `area/line/device`.
        for_s: How long, in seconds.
        who, reason: Who asked for it, and why.
    """
    await conn.execute("DELETE FROM nexus.out_of_service WHERE site = $1 AND until <= now()", site)
    row = await conn.fetchrow(
        """INSERT INTO nexus.out_of_service AS o (site, device, since, until, who, reason)
           VALUES ($1, $2, now(), now() + $3::float8 * interval '1 second', $4, $5)
           ON CONFLICT (site, device) DO UPDATE SET until = excluded.until, who = excluded.who, reason = excluded.reason
           RETURNING device, since, until, who, reason""",
        *(site, device, float(for_s), who, reason),
    )
    return _entry(row)


async def end(conn: Connection, site: str, *, device: str) -> bool:
    """End it now; False when the device was in service."""
    done = await conn.fetchval(
        "DELETE FROM nexus.out_of_service WHERE site = $1 AND device = $2 RETURNING until > now()", site, device
    )
    return bool(done)


async def current(conn: Connection, site: str) -> list[OutOfService]:
    """Those that are out of service, by path, each with its gateway; `in_force` is not known here."""
    rows = await conn.fetch(
        """SELECT o.device, o.since, o.until, o.who, o.reason, r.gateway
           FROM nexus.out_of_service o
           LEFT JOIN nexus.resource r ON r.site = o.site AND r.address = 'device.' || o.device
           WHERE o.site = $1 AND o.until > now() ORDER BY o.device COLLATE "C" """,
        site,
    )
    return [_entry(row, gateway=row["gateway"] or "") for row in rows]


async def pauses(conn: Connection, site: str, devices: Iterable[str]) -> dict[str, ServicePause]:
    """Those among the devices, by path, with the time that is left."""
    rows = await conn.fetch(
        """SELECT device, until, extract(epoch FROM until - clock_timestamp())::float8 AS left_s, who, reason
           FROM nexus.out_of_service WHERE site = $1 AND until > clock_timestamp() AND device = ANY($2::text[])""",
        *(site, list(devices)),
    )
    return {
        row["device"]: ServicePause(
            until=microseconds(row["until"]),
            left_us=max(1, int(row["left_s"] * 1e6)),
            who=row["who"],
            reason=row["reason"],
        )
        for row in rows
    }


async def follow_renames(
    conn: Connection, site: str, *, moved: Sequence[tuple[str, str]], changed: Mapping[str, Attributes | None]
) -> None:
    """Keep devices out of service under their new names.

    Args:
        conn: In the transaction that records the deployment.
        site: `enterprise/site`.
        moved: (old, new) paths of tags.
        changed: Attributes by address; None removes.
    """
    renames = renamed_devices(moved, changed)
    if not renames:
        return
    olds, news = list(renames), list(renames.values())
    await conn.execute(
        "DELETE FROM nexus.out_of_service WHERE site = $1 AND device = ANY($2::text[]) AND NOT device = ANY($3::text[])",
        *(site, news, olds),
    )
    # First out of the way, so that a swap does not meet itself.
    await conn.execute(
        "UPDATE nexus.out_of_service SET device = device || '~moving' WHERE site = $1 AND device = ANY($2::text[])",
        *(site, olds),
    )
    await conn.execute(
        """UPDATE nexus.out_of_service o SET device = m.new FROM unnest($2::text[], $3::text[]) AS m(old, new)
           WHERE o.site = $1 AND o.device = m.old || '~moving'""",
        *(site, olds, news),
    )


def renamed_devices(moved: Sequence[tuple[str, str]], changed: Mapping[str, Attributes | None]) -> dict[str, str]:
    """Devices that have another name now: all of their moved tags went to one device, and the old name is gone, or has
    become another device's."""
    pairs: dict[str, set[str]] = {}
    for old, new in moved:
        pairs.setdefault(old.rpartition("/")[0], set()).add(new.rpartition("/")[0])
    found = {old: next(iter(news)) for old, news in pairs.items() if len(news) == 1 and news != {old}}
    taken = set(found.values())
    return {old: new for old, new in found.items() if old in taken or changed.get(f"{DEVICE}{old}", {}) is None}


def _entry(row: Any, *, gateway: str = "") -> OutOfService:
    return OutOfService(
        device=row["device"],
        since=microseconds(row["since"]),
        until=microseconds(row["until"]),
        who=row["who"],
        reason=row["reason"],
        gateway=gateway,
    )
