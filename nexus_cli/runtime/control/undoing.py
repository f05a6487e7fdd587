"""What makes applying safe to interrupt and to undo: the plan of a rollback, confirming, rolling back, resuming. No HTTP here.

See docs/decisions/0103.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Mapping, Sequence

from nexus_cli.apply import former_state
from nexus_cli.apply.former_state import Former
from nexus_cli.apply.request import DeploymentRequest
from nexus_cli.apply.resuming import refuse_repeating
from nexus_cli.database import confirmations, past_state
from nexus_cli.database import deployments as db
from nexus_cli.database import lease as leases
from nexus_cli.database.connect import Connection, plain_errors
from nexus_cli.database.ordered import from_jsonb
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.plan.document import plan_document
from nexus_cli.plan.plan import Plan
from nexus_cli.plan.recorded import Made, plan_again
from nexus_cli.plan.requests import request_count
from nexus_cli.plan.rollbacks import brought_back, further_back
from nexus_cli.runtime.control import became
from nexus_cli.runtime.control.covering import Within
from nexus_cli.runtime.control.deployment_answers import locked
from nexus_cli.runtime.control.service import LeaderParts, Service
from nexus_cli.runtime.control.unconfirmed import waits
from nexus_cli.runtime.logging import event
from nexus_cli.wire.control_undo import FormerState, RollbackPlan

MOST_LINES = 100_000
"""Lines of a journal that are read."""
_log = logging.getLogger("nexus.apply")


class Undoing:
    """The operations of one site."""

    def __init__(self, service: Service, *, lease_ttl_s: float) -> None:
        """Over the operations that every control has; what writes needs a `LeaderParts`."""
        self._service, self._site, self._lease_ttl_s = service, service.site, lease_ttl_s
        self._one = asyncio.Lock()

    async def plan(self, number: int, *, to: bool = False) -> RollbackPlan:
        """The plan that takes deployments back, from the newest to one.

        Args:
            number: The first one that is taken back; 0 is the newest that recorded something. With `to` the last one that
                is kept, and 0 the empty state before the first.
            to: See `number`.

        Raises:
            NexusError: NX5006 there is no such deployment; NX5014 there is nothing to take back; NX4013 the newest is a rollback
                itself, so that a number has to say what is meant.
        """
        async with self._one:  # that of a large site takes seconds
            former, plan = await self._plan(number, to=to)
            async with self._service.connection() as conn:
                again = brought_back(former.undone, undoes=await past_state.rollbacks(conn, self._site))
            document = await asyncio.to_thread(plan_document, plan)
        return RollbackPlan(
            undoes=former.first,
            undone=list(former.undone),
            base=former.base,
            base_digest=former.recorded.digest,
            desired_digest=former.digest,
            plan=dict(document),
            changed=dict(former.changed),
            moved=list(former.moved),
            again=again,
        )

    async def state_after(self, number: int) -> FormerState:
        """The whole state after a deployment; 0 is the empty one before the first. Raises NexusError NX5006."""
        async with self._service.connection() as conn:
            if number and await db.deployment(conn, self._site, number) is None:
                raise _unknown(number)
            later = await past_state.recorded_numbers(conn, self._site, since=number + 1)
            if later:
                former = await former_state.before(conn, self._site, later[-1])
                digests, changed, digest = former.digests, former.changed, former.digest
            else:
                recorded = await db.recorded(conn, self._site)
                digests, changed, digest = recorded.digests, {}, recorded.digest
            kept = await db.full_state(conn, self._site, without=list(changed))
        written = {address: value for address, value in changed.items() if value is not None}
        return FormerState(deployment=number, digest=digest, digests=dict(digests), resources={**kept, **written})

    async def confirm(self, leader: LeaderParts, number: int, *, who: str, within: Within) -> int:
        """Keep a deployment that waits for its confirmation; 0 is the one that waits. Gives its number.

        `within` gets what the deployment changed: who may not change that does not decide that it stays either.

        Raises:
            NexusError: NX5012, it does not wait (any more).
        """
        with plain_errors(self._service.settings):
            async with leader.pool.acquire() as conn:
                number = number or await self._waiting(conn)
                waits = await confirmations.of_deployments(conn, self._site, [number])
                if waits and (found := await db.deployment(conn, self._site, number)) is not None:
                    await _see(conn, found, within)
                if not await confirmations.confirm(conn, self._site, number, who=who):
                    raise await self._does_not_wait(conn, number)
                await db.write_audit(conn, self._site, who=who, what="confirm", subject=f"deployment {number}")
        event(_log, "deployment confirmed", number=number, who=who)
        self._service.stepped()
        return number

    async def roll_back(
        self,
        leader: LeaderParts,
        number: int,
        *,
        who: str,
        reason: str,
        within: Within | None = None,
    ) -> int:
        """Take back a deployment that waits for its confirmation; gives the number of the rollback.

        Who applied it agreed to that, so that no other consent is needed. `within` gets what the rollback changes;
        control itself has none.

        Raises:
            NexusError: NX5012 it does not wait (any more); NX5001 another deployment runs.
        """
        async with self._service.connection() as conn:
            found = await confirmations.open_one(conn, self._site)
            if found is None or found.number != number or found.state != "waiting":
                raise await self._does_not_wait(conn, number)
            former = await former_state.before(conn, self._site, number)
            before = await db.attributes(conn, self._site, list(former.changed))
        if within is not None:
            await asyncio.to_thread(within, former.changed, before)
        request = DeploymentRequest(
            base_digest=former.recorded.digest,
            desired_digest=former.digest,
            changed=former.changed,
            moved=former.moved,
            reason=reason,
            undoes=number,
            agreed=True,
        )
        _, plan = await self._planned(former)
        return await self._service.deploy(leader, request, who=who, summary=plan.counts())

    async def resume(self, leader: LeaderParts, number: int, *, who: str, reason: str, within: Within) -> int:
        """Let a deployment that did not come to its end continue from its journal; 0 is the newest. Gives its number.

        `within` gets what the deployment changes: to resume it takes the rights that applying it takes. One that recorded nothing
        is weighed again as it would be if it were applied now.

        Raises:
            NexusError: NX5006 there is none; NX5015 there is nothing to resume; NX5016 another one recorded its state
                since; NX4014 a sequence before its change did not end well; NX5001 another deployment runs; what
                `Service.admit` raises.
        """
        await self._weigh_again(leader, number)
        with plain_errors(self._service.settings):
            async with leader.pool.acquire() as conn:
                deployment = await self._named(conn, number)
                await self._refuse_to_resume(conn, deployment)
                await _see(conn, deployment, within)
                token = secrets.token_hex(16)
                why = reason or deployment.reason
                taken = await leases.acquire(
                    conn,
                    self._site,
                    owner=who,
                    reason=why,
                    token=token,
                    ttl_s=self._lease_ttl_s,
                    deployment_id=deployment.id,
                )
                if not taken:
                    raise locked(await leases.current(conn, self._site))
                if not await db.reopen(conn, deployment.id, detail={"who": who, "reason": reason}):
                    raise _whole(deployment)
                await confirmations.arm_again(conn, deployment.id)
                detail = {"reason": reason, "outcome": deployment.outcome}
                subject = f"deployment {deployment.number}"
                await db.write_audit(conn, self._site, who=who, what="resume", subject=subject, detail=detail)
        leader.engine.adopt(deployment.id, token=token)
        leader.wanted.set()
        return deployment.number

    async def _weigh_again(self, leader: LeaderParts, number: int) -> None:
        """Refuse to resume what recorded nothing, and could not be applied now: windows, policies, approvals that ended or
        that another deployment used in the meantime, and gateways that can't be reached."""
        async with self._service.connection() as conn:
            found = await self._named(conn, number)
            await self._refuse_to_resume(conn, found)
            if await db.has_step(conn, found.id, step=db.RECORD_STEP, state="done"):
                return
            plan = from_jsonb(await db.stored_plan(conn, found.id))
        request = DeploymentRequest(
            base_digest=found.base_digest,
            desired_digest=found.desired_digest,
            changed=plan["changed"],
            moved=[(old, new) for old, new in plan["moved"]],
            allow=plan["allow"],
            reason=found.reason,
            undoes=found.undoes,
        )
        admitted = await self._service.admit(request)
        await leader.engine.assert_reached(admitted.checked.changes, undoes=bool(found.undoes))

    async def _plan(self, number: int, *, to: bool) -> tuple[Former, Plan]:
        async with self._service.connection() as conn:
            first = await self._first(conn, number, to=to)
            former = await former_state.before(conn, self._site, first)
        return await self._planned(former)

    async def _planned(self, former: Former) -> tuple[Former, Plan]:
        async with self._service.connection() as conn:
            before = await db.attributes(conn, self._site, list(former.changed))
            kept = await db.full_state(conn, self._site, without=list(former.changed))
        made = Made(
            site=self._site,
            base=former.recorded.number,
            base_digest=former.recorded.digest,
            desired_digest=former.digest,
            changed=former.changed,
            before=before,
            moved=former.moved,
        )
        return former, await asyncio.to_thread(plan_again, made, kept, cost=request_count)

    async def _first(self, conn: Connection, number: int, *, to: bool) -> int:
        """The first deployment that is taken back."""
        if number and await db.deployment(conn, self._site, number) is None:
            raise _unknown(number)
        if to:
            later = await past_state.recorded_numbers(conn, self._site, since=number + 1)
            if not later:
                raise _nothing(f"The state after deployment {number} is what is recorded.")
            return later[-1]
        recorded = await past_state.recorded_numbers(conn, self._site)
        if not recorded:
            raise _nothing("Nothing was deployed yet.")
        if number and number not in recorded:
            raise _nothing(f"Deployment {number} recorded nothing.")
        undoes = {} if number else await past_state.rollbacks(conn, self._site)
        if recorded[0] in undoes:
            raise _back_and_forth(recorded[0], undoes=undoes, recorded=recorded)
        return number or recorded[0]

    async def _named(self, conn: Connection, number: int) -> db.Deployment:
        if number:
            found = await db.deployment(conn, self._site, number)
            if found is None:
                raise _unknown(number)
            return found
        newest = await db.deployments(conn, self._site, limit=1)
        if not newest:
            raise NexusError("Nothing was deployed yet.", code="NX5015")
        return newest[0]

    async def _refuse_to_resume(self, conn: Connection, found: db.Deployment) -> None:
        if found.outcome in ("applied", "nothing", "running"):
            raise _whole(found)
        recorded = await db.recorded(conn, self._site)
        own = await db.has_step(conn, found.id, step=db.RECORD_STEP, state="done")
        if not own:
            refuse_repeating(found.number, await db.journal(conn, found.id, limit=MOST_LINES))
        if own and recorded.number != found.number:
            raise NexusError(
                f"Deployment {recorded.number} recorded its state since deployment {found.number}.", code="NX5016"
            )
        if not own and (recorded.digest != found.base_digest or recorded.number > found.number):
            raise NexusError(
                f"Deployment {found.number} recorded nothing, and another deployment recorded its state since.",
                code="NX5016",
            )
        waiting = await confirmations.open_one(conn, self._site)
        if waiting is not None and waiting.number != found.number:
            raise waits(waiting.number)

    async def _waiting(self, conn: Connection) -> int:
        found = await confirmations.open_one(conn, self._site)
        if found is None:
            raise await became.nothing_waits(conn, self._site)
        return found.number

    async def _does_not_wait(self, conn: Connection, number: int) -> NexusError:
        if await db.deployment(conn, self._site, number) is None:
            return _unknown(number)
        return await became.does_not_wait(conn, self._site, number)


async def _see(conn: Connection, found: db.Deployment, within: Within) -> None:
    """Show `within` what a deployment changes, from its stored plan."""
    plan = from_jsonb(await db.stored_plan(conn, found.id))
    await asyncio.to_thread(within, plan["changed"], plan["before"])


def _unknown(number: int) -> NexusError:
    return NexusError(f"There is no deployment {number}.", code="NX5006")


def _nothing(fact: str) -> NexusError:
    return NexusError(f"{fact} There is nothing to take back.", code="NX5014")


def _back_and_forth(newest: int, *, undoes: Mapping[int, int], recorded: Sequence[int]) -> NexusError:
    """Taking back the newest would bring back what was rolled back: who wants that says so."""
    hints = [f"`nexus rollback {newest}` brings back what it took back"]
    further = further_back(newest, undoes=undoes, recorded=recorded)
    if further:
        hints.append(f"`nexus rollback {further}` takes back deployment {further}, too")
    return NexusError(
        f"Deployment {newest} is a rollback itself: it took back from deployment {undoes[newest]} on.",
        code="NX4013",
        hint="; ".join(hints),
    )


def _whole(found: db.Deployment) -> NexusError:
    how = "runs" if found.outcome == "running" else f"ended: {found.outcome}"
    return NexusError(f"Deployment {found.number} {how}. There is nothing to resume.", code="NX5015")
