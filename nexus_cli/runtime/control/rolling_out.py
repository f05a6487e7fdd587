"""The operations of the API on rollouts: accept, show, stop, continue, take back. No HTTP here.

See docs/decisions/0104.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from nexus_cli.apply.request import DeploymentRequest, refuse_stale
from nexus_cli.apply.resuming import refuse_repeating
from nexus_cli.apply.run import Work
from nexus_cli.database import deployments as db
from nexus_cli.database import lease as leases
from nexus_cli.database import rollouts as rows
from nexus_cli.database.connect import Connection, plain_errors
from nexus_cli.database.rollouts import Stored
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.snapshot import Attributes
from nexus_cli.runtime.control import rollout_intake, unconfirmed
from nexus_cli.runtime.control.covering import Within
from nexus_cli.runtime.control.deployment_answers import locked
from nexus_cli.runtime.control.gatekeeping import note_used, refuse_used
from nexus_cli.runtime.control.rollouts import Rollouts
from nexus_cli.runtime.control.service import LONGEST_WAIT_S, LeaderParts, Service
from nexus_cli.wire.control import Accepted
from nexus_cli.wire.control_rollouts import Rollout
from nexus_cli.wire.control_rollouts import Rollouts as Listing
from nexus_cli.wire.rollout import ACTIVE

MOST_LINES = 100_000
"""Lines of a journal that are read."""
WHOLE = ("applied", "nothing", "stopped")
"""Outcomes of a deployment that came to its end; `stopped` is one whose gates failed, or that a person stopped."""


class RollingParts(LeaderParts, Protocol):
    """The parts that only a leading control has.

    Attributes:
        rollouts: Drives what is in flight.
    """

    rollouts: Rollouts


class RollingOut:
    """The operations of one site."""

    def __init__(self, service: Service) -> None:
        """Over the operations that every control has; what writes needs a `RollingParts`."""
        self._service, self._site = service, service.site

    async def accept(
        self,
        leader: RollingParts,
        request: DeploymentRequest,
        *,
        who: str,
        summary: Mapping[str, int],
        within: Callable[[Mapping[str, Attributes]], None] = lambda _: None,
    ) -> Accepted:
        """Accept a deployment, or a rollout where it has waves or waits for a window. As `Service.deploy` otherwise."""
        if request.rollout is None:
            return Accepted(number=await self._service.deploy(leader, request, who=who, summary=summary, within=within))
        async with self._service.connection() as conn:
            windows = await rollout_intake.windows_of(conn, self._site)
        try:
            admitted = await self._service.admit(request, within=within)
        except NexusError as error:
            await self._service.note_refusal(leader, error, who=who)
            raise
        if not await asyncio.to_thread(
            rollout_intake.becomes_rollout, windows, request, admitted.checked, now=self._service.now()
        ):
            return Accepted(number=await self._service.begin(leader, request, admitted, who=who, summary=summary))
        await leader.engine.assert_reached(admitted.checked.changes, undoes=False)
        with plain_errors(self._service.settings):
            async with leader.pool.acquire() as conn, conn.transaction():
                await self._refuse_busy(conn)
                await refuse_used(conn, self._site, admitted.approvals)
                await unconfirmed.refuse(conn, self._site, request)
                recorded = await db.recorded(conn, self._site)
                refuse_stale(request, recorded)
                number = await rollout_intake.create(
                    conn,
                    self._site,
                    request,
                    admitted.checked,
                    recorded=recorded,
                    before=admitted.before,
                    who=who,
                    summary=summary,
                )
                await note_used(conn, self._site, admitted.approvals, deployment=-number, who=who)
                await rollout_intake.note_outside(
                    conn,
                    self._site,
                    who=who,
                    subject=f"rollout {number}",
                    reason=request.reason,
                    windows=admitted.outside,
                )
        self._changed(leader)
        return Accepted(number=0, rollout=number)

    async def listing(self, *, limit: int) -> Listing:
        """The newest rollouts first."""
        async with self._service.connection() as conn:
            return Listing(rollouts=[each.public() for each in await rows.newest(conn, self._site, limit=limit)])

    async def one(self, number: int, *, state: str, wait_s: float) -> Rollout:
        """One rollout; with the state that the caller knows (`Rollout.state` and wave, as `soaking/2`), it waits for another one.

        Raises:
            NexusError: NX5041, there is none with this number.
        """
        deadline = asyncio.get_running_loop().time() + min(max(wait_s, 0.0), LONGEST_WAIT_S)
        while True:
            async with self._service.connection() as conn:
                found = await self._named(conn, number)
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0 or f"{found.state}/{found.position + 1}" != state or found.state not in ACTIVE:
                return found.public()
            await self._service.next_step(min(left, 1.0))

    async def stop(self, leader: RollingParts, number: int, *, who: str, reason: str, within: Within) -> Rollout:
        """Begin no later wave; a deployment of its current wave that runs comes to its end.

        Raises:
            NexusError: NX5037, it is not in flight.
        """
        why = f"{who} stopped it" + (f": {reason}" if reason else "")

        async def change(conn: Connection, found: Stored) -> None:
            if found.state not in ("waiting", "applying", "soaking"):
                raise _wrong(found, "it is not in flight")
            if found.state != "waiting":
                await rows.set_wave(conn, found.id, found.position, state="stopped")
                await rows.stop_deployment(conn, self._site, found.wave.deployment, why=why, verdicts=())
            await rows.set_rollout(conn, found.id, state="stopped", why=why)

        return await self._change(leader, number, change, who=who, what="rollout-stop", reason=reason, within=within)

    async def resume(self, leader: RollingParts, number: int, *, who: str, reason: str, within: Within) -> Rollout:
        """Continue with the wave at which it stopped: it soaks once more, and its gates are measured again.

        A wave whose deployment did not come to its end continues that from its journal, so that a sequence that it ran runs no
        second time.

        Raises:
            NexusError: NX5037, it did not stop, or something else was recorded since; NX4014, a sequence before the wave's change
                did not end well; NX5032, another one is in flight.
        """

        async def change(conn: Connection, found: Stored) -> None:
            if found.state != "stopped" or found.undone_by:
                raise _wrong(found, "it did not stop")
            await self._refuse_busy(conn)
            recorded = await db.recorded(conn, self._site)
            passed = [each.deployment for each in found.waves[: found.position] if each.deployment]
            own = found.wave.deployment
            ended = await db.deployment(conn, self._site, own) if own else None
            if own and recorded.number == own and ended is not None and ended.outcome in WHOLE:
                state = "applying"
                await rows.set_wave(
                    conn, found.id, found.position, state=state, left_ms=found.wave.soak_ms, verdicts=[]
                )
            elif recorded.number in (own, passed[-1] if passed else found.base):
                state = "waiting"
                if ended is not None and recorded.number != own:
                    refuse_repeating(own, await db.journal(conn, ended.id, limit=MOST_LINES))
                await rows.set_wave(conn, found.id, found.position, state="pending", verdicts=[])
            else:
                raise _wrong(found, f"deployment {recorded.number} recorded something else since")
            await rows.set_rollout(conn, found.id, state=state, why="", expects=recorded.digest)

        return await self._change(leader, number, change, who=who, what="rollout-resume", reason=reason, within=within)

    async def take_back(self, leader: RollingParts, number: int, *, who: str, reason: str, within: Within) -> Rollout:
        """Put back what its waves changed, as far as it still is as they left it.

        Raises:
            NexusError: NX5037, it was taken back, or a deployment of it runs; NX5032, another one is in flight.
        """

        async def change(conn: Connection, found: Stored) -> None:
            if found.state not in ("waiting", "soaking", "stopped", "applied") or found.undone_by:
                raise _wrong(found, "there is nothing to take back at the moment")
            if found.state not in ACTIVE:
                await self._refuse_busy(conn)
            why = found.why or f"{who} took it back" + (f": {reason}" if reason else "")
            await rows.set_rollout(conn, found.id, state="rolling-back", why=why)

        return await self._change(
            leader, number, change, who=who, what="rollout-rollback", reason=reason, within=within
        )

    async def _change(
        self,
        leader: RollingParts,
        number: int,
        change: Callable[[Connection, Stored], Awaitable[None]],
        *,
        who: str,
        what: str,
        reason: str,
        within: Within,
    ) -> Rollout:
        """Change a rollout in one transaction, with its line in the audit trail, if its caller may change what it changes."""
        with plain_errors(self._service.settings):
            async with leader.pool.acquire() as conn:
                await rows.locked(conn, self._site)
                found = await self._named(conn, number)
                text, _ = await rows.plan_of(conn, found.id)
                plan = (await asyncio.to_thread(Work.stored, text)).plan
                await asyncio.to_thread(within, plan.changed, plan.before)
                await change(conn, found)
                detail = {"reason": reason}
                subject = f"rollout {found.number}"
                await db.write_audit(conn, self._site, who=who, what=what, subject=subject, detail=detail)
                after = await self._named(conn, found.number)
        self._changed(leader)
        return after.public()

    async def _named(self, conn: Connection, number: int) -> Stored:
        found = await rows.one(conn, self._site, number) if number else None
        newest = await rows.newest(conn, self._site, limit=1) if not number else []
        found = newest[0] if newest else found
        if found is None:
            raise _no_such(number)
        return found

    async def _refuse_busy(self, conn: Connection) -> None:
        await rows.locked(conn, self._site)
        await rollout_intake.refuse_in_flight(conn, self._site)
        held = await leases.current(conn, self._site)
        if held is not None and not held.expired:
            raise locked(held)

    def _changed(self, leader: RollingParts) -> None:
        leader.rollouts.wanted.set()
        self._service.stepped()


def _no_such(number: int) -> NexusError:
    if not number:
        hint = "`rollout:` in the site file makes an apply one; `nexus deployments` shows what was applied"
        return NexusError("There was no rollout yet.", code="NX5041", hint=hint)
    return NexusError(f"There is no rollout {number}.", code="NX5041", hint="`nexus rollout list` names them")


def _wrong(found: Stored, why: str) -> NexusError:
    return NexusError(f"Rollout {found.number} is {found.state}: {why}.", code="NX5037")
