"""Assignment: which gateway spoke for a device, and when; written with the deployment that changed it.

A gateway's backlog from before a move is its own to deliver; what it reads afterwards is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nexus_cli.database.connect import Connection
from nexus_cli.database.names import SCHEMA
from nexus_cli.model.config import DeviceConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A gateway that is, or was, assigned to a device.

    Attributes:
        device: `area/line/device`.
        gateway: Its name.
        until_us: When the last such time ended, µs since 1970 UTC; None while it lasts.
        since_us: When the last such time began, µs since 1970 UTC.
    """

    device: str
    gateway: str
    until_us: int | None
    since_us: int


async def assign(conn: Connection, *, site: str, devices: Mapping[str, DeviceConfig | None]) -> None:
    """Bring the assignments of the changed devices in line; part of the caller's transaction.

    Args:
        conn: In the deployment's transaction; the database's clock gives the time.
        site: `enterprise/site`.
        devices: New or changed devices by path, None for a removed one. A device that no gateway reads has no assignment.
    """
    paths = list(devices)
    gateways = [device.gateway if device is not None else "" for device in devices.values()]
    await conn.execute(
        f"""UPDATE {SCHEMA}.assignment a SET until = now() FROM unnest($2::text[], $3::text[]) AS w(device, gateway)
            WHERE a.site = $1 AND a.device = w.device AND a.until IS NULL AND a.gateway <> w.gateway""",
        *(site, paths, gateways),
    )
    await conn.execute(
        f"""INSERT INTO {SCHEMA}.assignment (site, device, gateway)
            SELECT $1, w.device, w.gateway FROM unnest($2::text[], $3::text[]) AS w(device, gateway)
            WHERE w.gateway <> '' AND NOT EXISTS (
              SELECT FROM {SCHEMA}.assignment a WHERE a.site = $1 AND a.device = w.device AND a.until IS NULL)""",
        *(site, paths, gateways),
    )


async def load_assignments(conn: Connection, *, site: str) -> list[Assignment]:
    """Every gateway that ever spoke for a device of the site, once for each of its devices."""
    rows = await conn.fetch(
        f"""SELECT device, gateway, bool_or(until IS NULL) AS lasts,
              (extract(epoch FROM max(until)) * 1000000)::bigint AS until_us,
              (extract(epoch FROM max(since)) * 1000000)::bigint AS since_us
            FROM {SCHEMA}.assignment WHERE site = $1 GROUP BY device, gateway""",
        site,
    )
    return [
        Assignment(
            device=row["device"],
            gateway=row["gateway"],
            until_us=None if row["lasts"] else int(row["until_us"]),
            since_us=int(row["since_us"]),
        )
        for row in rows
    ]
