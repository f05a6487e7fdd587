"""Devices out of service: recorded, audited, and announced to their gateways.

See docs/decisions/0081.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from nexus_cli.apply.observation import Observations
from nexus_cli.database import deployments as db
from nexus_cli.database import out_of_service as stored
from nexus_cli.database.connect import Pool, plain_errors
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.logging import event
from nexus_cli.settings import Settings
from nexus_cli.wire.control_steering import InService, OutOfService
from nexus_cli.wire.gateway_health import PausedDevice

IN_FORCE_S = 5.0
"""How long an answer waits for the gateway to say that the device's session is closed."""

_log = logging.getLogger("nexus.control")
Notice = Callable[[str], Awaitable[None]]


class Maintenance:
    """Takes devices out of service, and in again, for a control that leads."""

    def __init__(self, *, settings: Settings, pool: Pool, notice: Notice, seen: Observations) -> None:
        """Join the parts.

        Args:
            settings: Site.
            pool: The leader's.
            notice: Publishes the notice of a gateway again, which then asks for what it is to run.
            seen: What gateways say.
        """
        self._settings, self._pool, self._notice, self._seen = settings, pool, notice, seen

    async def take_out(self, device: str, *, for_s: int, reason: str, who: str) -> OutOfService:
        """Take a device out of service, or replace the end of its time; waits some seconds for its gateway.

        Raises:
            NexusError: NX62xx the database is away; NX6934 no gateway reads it.
        """
        site = self._settings.site
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn, conn.transaction():
                await stored.begin(conn, site, device=device, for_s=for_s, who=who, reason=reason)
                found = next(each for each in await stored.current(conn, site) if each.device == device)
                if not found.gateway:
                    raise NexusError(
                        f"No gateway reads {device}.", code="NX6934", hint="what another system publishes goes on there"
                    )
                detail = {"until": found.until, "reason": reason, "gateway": found.gateway}
                await db.write_audit(conn, site, who=who, what="out-of-service", subject=device, detail=detail)
        if await self._tell(found.gateway):
            await self._seen.until(lambda: in_force(self._seen, found), timeout_s=IN_FORCE_S)
        return with_force(self._seen, found)

    async def take_in(self, device: str, *, gateway: str, who: str) -> InService:
        """Take a device into service again; nothing happens to one that is."""
        site = self._settings.site
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn, conn.transaction():
                ended = await stored.end(conn, site, device=device)
                if ended:
                    await db.write_audit(conn, site, who=who, what="in-service", subject=device, detail={})
        if ended and gateway:
            await self._tell(gateway)
        return InService(ended=ended)

    async def _tell(self, gateway: str) -> bool:
        """False when the broker is away: a gateway asks by itself within a minute, and when it connects."""
        try:
            with plain_errors(self._settings):
                await self._notice(gateway)
        except NexusError as error:
            event(_log, "a gateway could not be told", level=logging.WARNING, gateway=gateway, cause=error.message)
            return False
        return True


def in_force(seen: Observations, wanted: OutOfService) -> bool:
    """Whether the gateway says that it leaves the device alone until then."""
    return _paused(seen, wanted) is not None


def with_force(seen: Observations, wanted: OutOfService) -> OutOfService:
    """The same, with what its gateway says."""
    return OutOfService(
        device=wanted.device,
        since=wanted.since,
        until=wanted.until,
        who=wanted.who,
        reason=wanted.reason,
        gateway=wanted.gateway,
        in_force=in_force(seen, wanted),
    )


def _paused(seen: Observations, wanted: OutOfService) -> PausedDevice | None:
    health = seen.health(wanted.gateway) if wanted.gateway else None
    if health is None or health.state != "running":
        return None
    found = health.out_of_service.get(wanted.device)
    return found if found is not None and found.closed and found.until == wanted.until else None
