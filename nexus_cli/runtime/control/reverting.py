"""`nexus drift --revert`: what can be put back to what is recorded. Nothing is written to a device.

See docs/decisions/0106 and 0116.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nexus_cli.database import deployments as db
from nexus_cli.database.connect import Pool, plain_errors
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.drift.database import PUT_BACK
from nexus_cli.runtime.control.database_drift import repair_database
from nexus_cli.runtime.control.drift_watch import DriftWatch
from nexus_cli.settings import Settings
from nexus_cli.wire.control_drift import Reverted

RIGHTS = "the broker's rights are written again"


class Reverting:
    """Puts back what can be put back: gateways notified again, rights written again, retained messages looked at."""

    def __init__(
        self,
        *,
        settings: Settings,
        pool: Pool,
        watch: DriftWatch,
        notify: Callable[[str], Awaitable[None]],
        rights: Callable[[], Awaitable[None]],
        retained: Callable[[], None],
    ) -> None:
        """Join the parts; the last three notify a gateway, write rights again, and have retained messages cleared."""
        self._settings, self._pool, self._watch = settings, pool, watch
        self._notify, self._rights, self._retained = notify, rights, retained

    async def revert(self, *, preview: bool, who: str) -> Reverted:
        """Do it, or say what would be done.

        Raises:
            NexusError: NX4203 while a deployment is in flight; NX6010 the broker, NX62xx the database.
        """
        facts = await self._watch.facts()
        if facts.running:
            raise NexusError(f"Deployment {facts.running} is in flight; nothing was put back.", code="NX4203")
        behind = [one.path.removeprefix("gateway.") for one in facts.findings if one.kind == "gateway-behind"]
        done = [f"the gateway {name} is notified of the recorded configuration" for name in behind]
        done += [
            RIGHTS,
            "retained messages of removed things are looked for and cleared",
        ]
        left = [
            f"{one.text}: {one.hint}"
            for one in facts.findings
            if one.kind not in ("gateway-behind", "rights-behind") and one.hint != PUT_BACK
        ]
        left += [f"{one.path}: not known ({one.why})" for one in facts.unknown]
        left += facts.notes
        left.append("what a device has is never written; --adopt takes it over, or change it on the device")
        if preview:
            database = await repair_database(self._settings, self._pool, preview=True)
            return Reverted(done=[*done, *database.done], left=left, preview=True)
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                detail = {"detail": ", ".join(behind)}
                await db.write_audit(conn, self._settings.site, who=who, what="revert-drift", detail=detail)
            for name in behind:
                await self._notify(name)
        await self._rights()
        self._retained()
        if problem := self._watch.rights_problem():
            done.remove(RIGHTS)
            left.insert(0, f"the broker's rights are not as recorded yet: {problem}")
        database = await repair_database(self._settings, self._pool, preview=False)
        return Reverted(done=[*done, *database.done], left=[*database.left, *left])
