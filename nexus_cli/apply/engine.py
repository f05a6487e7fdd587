"""Carries out a deployment, step by step, each one in the journal before it happens.

It starts from what the journal says, so that the first try and the one after a crash are the same code: a
deployment whose record step is done continues with the gateways, one that never recorded anything records it now.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Collection, Sequence

from nexus_cli.apply import table
from nexus_cli.apply.acting import Act, no_sequences
from nexus_cli.apply.heartbeat import kept
from nexus_cli.apply.observation import Observations
from nexus_cli.apply.reaching import Reach, anything
from nexus_cli.apply.rights import Rights
from nexus_cli.apply.run import Run, Work
from nexus_cli.apply.steps import Publish, Steps
from nexus_cli.apply.timing import Timing
from nexus_cli.database import confirmations
from nexus_cli.database import deployments as db
from nexus_cli.database import lease as leases
from nexus_cli.database.connect import Connection, Pool
from nexus_cli.database.leader import FencedPool, LeadLost
from nexus_cli.database.recording import LeaseLost
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.actions import AFTER, BEFORE
from nexus_cli.plan import stages as step
from nexus_cli.plan.change import Change
from nexus_cli.wire.control import JournalLine

OnRecorded = Callable[[Collection[str]], Awaitable[None]]


async def _nothing(_: Collection[str]) -> None:
    """The default of `on_recorded`: no work follows."""


MakeWay = Callable[[tuple[Change, ...], int, Callable[[str], Awaitable[None]]], Awaitable[None]]
"""Called with the changes, the number of the deployment, and what to call with the id of each run that is waited for;
returns when no sequence runs that uses what changes, and holds off new ones until the deployment has ended."""


async def _clear_way(_: tuple[Change, ...], __: int, ___: Callable[[str], Awaitable[None]]) -> None:
    """No sequences run here."""


class Engine:
    """Carries out deployments of one site."""

    def __init__(
        self,
        *,
        pool: Pool | FencedPool,
        site: str,
        publish: Publish,
        observations: Observations,
        rights: Rights,
        timing: Timing,
        on_step: Callable[[], None] = lambda: None,
        on_recorded: OnRecorded = _nothing,
        may_act: Callable[[], None] = lambda: None,
        make_way: MakeWay = _clear_way,
        act: Act = no_sequences,
        reach: Reach = anything,
    ) -> None:
        """Join the parts.

        Args:
            pool: Fenced by the term of the control that leads (`database.leader.FencedPool`): every step is a
                transaction that finds this term in force, so that what an earlier control does late changes nothing.
            site: `enterprise/site`.
            publish: See `Publish`.
            observations: The gateways' messages.
            rights: Where grants are written for the broker.
            timing: Waits.
            on_step: Called after every line of the journal.
            on_recorded: Called when the new state is recorded, with the devices that gateways are only about to
                change, and again with none of them when the gateways have answered.
            make_way: See `MakeWay`.
            act: Runs the sequences of deployments.
            reach: Asked before anything of a deployment begins, see `Reach`.
            may_act: Raises NexusError when this control does not lead (any more): asked before what no database
                and no broker sees, which is the file with the grants.
        """
        self._pool, self._site, self._timing = pool, site, timing
        self._on_step, self._on_recorded, self._make_way = on_step, on_recorded, make_way
        self._reach = reach
        self._steps = Steps(
            pool=pool,
            site=site,
            publish=publish,
            observations=observations,
            rights=rights,
            timing=timing,
            on_step=on_step,
            may_act=may_act,
            act=act,
        )
        self._tokens: dict[int, str] = {}
        self._accepted: dict[int, Work] = {}
        self._token = ""

    def adopt(self, deployment_id: int, *, token: str, work: Work | None = None) -> None:
        """The lease that was taken when the deployment was accepted, and its plan, which then need not be read back."""
        self._tokens[deployment_id] = token
        if work is not None:
            self._accepted[deployment_id] = work

    async def assert_reached(self, changes: Sequence[Change], *, undoes: bool) -> None:
        """For the door of deployments. Raises NexusError NX5040: what these changes need can't be reached."""
        await self._reach(changes, undoes, self._timing.connect_s)

    async def carry_out(self, deployment: db.Deployment) -> str:
        """Bring a running deployment to its end and give its outcome.

        Raises:
            OSError, PostgresError: The database is away; call again, the journal knows how far it came.
        """
        token = None if await self._is_finalised(deployment) else await self._lease(deployment)
        # Only now: while the lock was waited for, its holder went on writing the journal.
        async with self._pool.acquire() as conn:
            journal = await db.journal(conn, deployment.id, limit=100_000)
        run = await self._run(deployment, journal)
        if run.broken:
            return await self._lock_lost(run, token)
        if token is None:
            table.recorded(run.rows)
            await self._steps.want(run)
            run.answers = {gateway: self._steps.answer(run, gateway) for gateway in run.wanted}
            table.answered(run.rows, run.answers)
        else:
            self._token = self._steps.held = token
            try:
                async with kept(self._pool, self._site, token=token, ttl_s=self._timing.lease_ttl_s) as over:
                    await self._under_lease(run, token, over)
            except LeaseLost:
                self._steps.held = ""
                return await self._lock_lost(run)
            except LeadLost:
                raise
            except NexusError as error:
                return await self._refused(run, token, error)
            finally:
                self._steps.held = ""
                self._tokens.pop(deployment.id, None)
                self._accepted.pop(deployment.id, None)
        await self._steps.verify(run)
        table.acted(run.rows, run.problems)
        outcome = table.outcome_of(run.rows)
        async with self._pool.acquire() as conn:
            await _end(conn, deployment.id, outcome=outcome, summary=table.summary_of(run.rows))
        self._on_step()
        return outcome

    async def give_up(self, deployment: db.Deployment, *, why: str) -> str:
        """End a deployment that can't be carried out because of a bug (NX9000), and give the lock back.

        Its plan is not read: it may cause the bug.
        """
        async with self._pool.acquire() as conn, conn.transaction():
            journal = await db.journal(conn, deployment.id, limit=100_000)
            begun = any(line.step == step.RECORD and line.state == "done" for line in journal)
            detail = {
                "code": "NX9000",
                "message": f"a bug in nexus ended it ({why[:500]}); control's log has the whole",
            }
            await db.write_journal(conn, deployment.id, step.FINALISE, "failed", detail=detail)
            outcome = "partly" if begun else "failed"
            await _end(conn, deployment.id, outcome=outcome, summary=db.Summary())
            await leases.release(conn, self._site, token=self._tokens.pop(deployment.id, self._token))
        self._on_step()
        return outcome

    async def _run(self, deployment: db.Deployment, journal: list[JournalLine]) -> Run:
        work = self._accepted.pop(deployment.id, None)
        if work is None:
            async with self._pool.acquire() as conn:
                stored = await db.stored_plan(conn, deployment.id)
            work = await asyncio.to_thread(Work.stored, stored)
        return await asyncio.to_thread(Run.of, deployment, work, journal=journal)

    async def _is_finalised(self, deployment: db.Deployment) -> bool:
        """Whether only its verification is left, for which no lock is needed."""
        async with self._pool.acquire() as conn:
            return await db.has_step(conn, deployment.id, step=step.FINALISE, state="done", since=step.RESUME)

    async def _lease(self, deployment: db.Deployment) -> str:
        """The lock of this deployment; one that an earlier term of control left is taken over at once."""
        token = self._tokens.get(deployment.id)
        while token is None:
            fresh = secrets.token_hex(16)
            async with self._pool.acquire() as conn:
                taken = await leases.acquire(
                    conn,
                    self._site,
                    owner=deployment.who,
                    reason=f"finishing deployment {deployment.number}",
                    token=fresh,
                    ttl_s=self._timing.lease_ttl_s,
                    deployment_id=deployment.id,
                )
            if taken:
                token = self._tokens[deployment.id] = fresh
            else:
                await asyncio.sleep(self._timing.retry_s)
                token = self._tokens.get(deployment.id)  # it may have been accepted just now
        return token

    async def _under_lease(self, run: Run, token: str, over: asyncio.Event) -> None:
        if not run.has_begun:
            # A control that has just started may not be connected yet.
            await self._reach(run.changes, bool(run.deployment.undoes), self._timing.settle_s)
        await self._make_way(run.changes, run.deployment.number, lambda each: self._steps.waits(run, each))
        if not run.is_done(step.RECORD):
            for stage in run.stages_named(BEFORE):
                await self._steps.act_before(run, stage)
            await self._steps.record(run, token)
        table.recorded(run.rows)
        await self._on_recorded(_devices_of(run))
        await self._steps.hold_rights(run, step.RIGHTS)
        await self._steps.notify(run)
        await self._steps.observe(run)
        await self._on_recorded(())
        for stage in run.stages_named(step.CLEAR):
            await self._steps.clear(run, stage)
        await self._steps.hold_rights(run, step.REVOKE)
        for stage in run.stages_named(AFTER):
            await self._steps.act_after(run, stage)
        table.acted(run.rows, run.problems)
        await self._steps.journal(run, step.FINALISE, "begun")
        over.set()  # a heartbeat that meets the released lease must not take it for lost
        await self._close(run, token)

    async def _close(self, run: Run, token: str, *, final: bool = False) -> None:
        """Audit and give the lock back; `final` also closes the deployment, when there is nothing to verify."""
        outcome, summary = table.outcome_of(run.rows), table.summary_of(run.rows)
        async with self._pool.acquire() as conn, conn.transaction():
            await self._steps.assert_held(conn)
            await db.write_audit(
                conn,
                self._site,
                who=run.deployment.who,
                what="apply",
                subject=f"deployment {run.deployment.number}",
                detail={"reason": run.deployment.reason, "outcome": outcome, "counts": summary.counts},
            )
            await db.write_journal(conn, run.deployment.id, step.FINALISE, "done", detail={"outcome": outcome})
            await leases.release(conn, self._site, token=token)
            if final:
                await _end(conn, run.deployment.id, outcome=outcome, summary=summary)
        self._on_step()

    async def _refused(self, run: Run, token: str, error: NexusError) -> str:
        table.failed(run.rows, error.message)
        detail = {"message": error.message, "code": error.code, "cause": error.cause}
        await self._steps.journal(run, step.RECORD, "failed", detail=detail)
        await self._close(run, token, final=True)
        return table.outcome_of(run.rows)

    async def _lock_lost(self, run: Run, token: str | None = None) -> str:
        """The lock was broken: record nothing more, report how far the deployment came.

        A control that took the deployment over after the break has a `token` of its own, which is given back.
        """
        async with self._pool.acquire() as conn:
            run.journal = await db.journal(conn, run.deployment.id, limit=100_000)
        if run.is_done(step.RECORD):
            table.answered(run.rows, run.answers)
        else:
            table.failed(run.rows, "the lock was broken before anything was recorded")
        outcome = table.outcome_of(run.rows)
        detail = {"code": "NX5005", "message": "the lock was broken or ran out"}
        async with self._pool.acquire() as conn, conn.transaction():
            await db.write_journal(conn, run.deployment.id, step.FINALISE, "failed", detail=detail)
            await _end(conn, run.deployment.id, outcome=outcome, summary=table.summary_of(run.rows))
            if token is not None:
                await leases.release(conn, self._site, token=token)
        self._tokens.pop(run.deployment.id, None)
        self._on_step()
        return outcome


async def _end(conn: Connection, deployment_id: int, *, outcome: str, summary: db.Summary) -> None:
    """Close a deployment; what waits for a confirmation waits from now on."""
    await db.end_deployment(conn, deployment_id, outcome=outcome, summary=summary)
    await confirmations.begin(conn, deployment_id)


def _devices_of(run: Run) -> set[str]:
    """Device paths that some gateway has to change, old and new."""
    return {path for stage in run.stages_named(step.OBSERVE) for path in stage.paths}
