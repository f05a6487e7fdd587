"""Carries out a deployment, step by step, each one in the journal before it happens.

It starts from what the journal says, so that the first try and the one after a crash are the same code: a
deployment whose record step is done continues with the gateways, one that never recorded anything records it now.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from typing import Any

from nexus_cli.apply import table
from nexus_cli.apply.heartbeat import kept
from nexus_cli.apply.observation import Observations
from nexus_cli.apply.rights import Rights, after_and_before
from nexus_cli.apply.run import Run, Work, gateway_digest, notice
from nexus_cli.apply.timing import Timing
from nexus_cli.database import deployments as db
from nexus_cli.database import lease as leases
from nexus_cli.database.connect import Connection, Pool
from nexus_cli.database.leader import FencedPool, LeadLost
from nexus_cli.database.recording import LeaseLost, record
from nexus_cli.database.seams import place_segments
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.groups import Group
from nexus_cli.plan import stages as step
from nexus_cli.plan.change import Change
from nexus_cli.plan.stages import Stage
from nexus_cli.wire.configuration import Observed, Verification
from nexus_cli.wire.control import JournalLine
from nexus_cli.wire.topic import Topics

Publish = Callable[[str, bytes], Coroutine[object, object, None]]
"""Publishes a retained message at QoS 1; raises NexusError when the broker is away."""

OnRecorded = Callable[[Collection[str]], Awaitable[None]]


async def _nothing(_: Collection[str]) -> None:
    """The default of `on_recorded`: no work follows."""


MakeWay = Callable[[tuple[Change, ...], int, Callable[[str], Awaitable[None]]], Awaitable[None]]
"""Called with the changes, the number of the deployment, and what to call with the id of each run that is waited for;
returns when no sequence runs that uses what changes, and holds off new ones until the deployment has ended."""


async def _clear_way(_: tuple[Change, ...], __: int, ___: Callable[[str], Awaitable[None]]) -> None:
    """No sequences run here."""


CLEAR_BATCH = 200
"""Retained messages cleared at once; well under a broker's window of messages in flight."""


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
            may_act: Raises NexusError when this control does not lead (any more): asked before what no database
                and no broker sees, which is the file with the grants.
        """
        enterprise, _, name = site.partition("/")
        self._topics = Topics(enterprise, name)
        self._pool, self._site, self._publish, self._rights = pool, site, publish, rights
        self._seen, self._timing, self._on_step, self._on_recorded = observations, timing, on_step, on_recorded
        self._may_act, self._make_way = may_act, make_way
        self._tokens: dict[int, str] = {}
        self._accepted: dict[int, Work] = {}
        self._token = self._held = ""

    def adopt(self, deployment_id: int, *, token: str, work: Work) -> None:
        """The lease that was taken when the deployment was accepted, and its plan, which need not be read back."""
        self._tokens[deployment_id], self._accepted[deployment_id] = token, work

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
        if token is None:
            table.recorded(run.rows)
            await self._want(run)
            run.answers = {gateway: self._answer(run, gateway) for gateway in run.wanted}
            table.answered(run.rows, run.answers)
        else:
            self._token = self._held = token
            try:
                async with kept(self._pool, self._site, token=token, ttl_s=self._timing.lease_ttl_s) as over:
                    await self._under_lease(run, token, over)
            except LeaseLost:
                self._held = ""
                return await self._lock_lost(run)
            except LeadLost:
                raise
            except NexusError as error:
                return await self._refused(run, token, error)
            finally:
                self._held = ""
                self._tokens.pop(deployment.id, None)
                self._accepted.pop(deployment.id, None)
        await self._verify(run)
        outcome = table.outcome_of(run.rows)
        async with self._pool.acquire() as conn:
            await db.end_deployment(conn, deployment.id, outcome=outcome, summary=table.summary_of(run.rows))
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
            await db.end_deployment(conn, deployment.id, outcome=outcome, summary=db.Summary())
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
            return await db.has_step(conn, deployment.id, step=step.FINALISE, state="done")

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
        await self._make_way(run.changes, run.deployment.number, lambda each: self._waits(run, each))
        if not run.is_done(step.RECORD):
            await self._record(run, token)
        table.recorded(run.rows)
        await self._on_recorded(_devices_of(run))
        await self._hold_rights(run, step.RIGHTS)
        await self._notify(run)
        await self._observe(run)
        await self._on_recorded(())
        for stage in run.stages_named(step.CLEAR):
            await self._clear(run, stage)
        await self._hold_rights(run, step.REVOKE)
        await self._journal(run, step.FINALISE, "begun")
        over.set()  # a heartbeat that meets the released lease must not take it for lost
        await self._close(run, token)

    async def _waits(self, run: Run, sequence_run: str) -> None:
        await self._journal(run, step.SEQUENCES, "begun", subject=sequence_run)

    async def _record(self, run: Run, token: str) -> None:
        run.reachable_before = run.reachable_before or self._reachable_now(run)
        await self._journal(run, step.RECORD, "begun", detail={"reachable_before": run.reachable_before})
        await record(
            self._pool,
            self._site,
            deployment_id=run.deployment.id,
            token=token,
            changed=run.plan.changed,
            digests=run.plan.digests,
            moved=run.moves(),
        )
        self._on_step()

    async def _hold_rights(self, run: Run, name: str) -> None:
        """Both states' rights before the gateways act, the new state's alone afterwards."""
        if not run.stages_named(name):
            return
        await self._journal(run, name, "begun")
        if run.kept is None:
            async with self._pool.acquire() as conn:
                run.kept = await db.full_state(conn, self._site, without=run.plan.changed)
        states = after_and_before(run.kept, changed=run.plan.changed, before=run.plan.before)
        self._may_act()
        try:
            await self._rights.hold(*(states if name == step.RIGHTS else states[:1]))
        except NexusError as error:
            detail = {"message": error.message, "code": error.code, "cause": error.cause}
            await self._journal(run, name, "failed", detail=detail)
        else:
            await self._journal(run, name, "done")

    async def _want(self, run: Run) -> None:
        async with self._pool.acquire() as conn:
            state = await db.recorded(conn, self._site)
        for stage in run.stages_named(step.NOTIFY):
            run.wanted[stage.subject] = gateway_digest(state.gateway_devices(stage.subject))

    async def _notify(self, run: Run) -> None:
        await self._want(run)
        for gateway, wanted in run.wanted.items():
            await self._journal(run, step.NOTIFY, "begun", subject=gateway)
            try:
                await self._publish(
                    self._topics.config(gateway), notice(deployment=run.deployment.number, digest=wanted)
                )
            except NexusError as error:
                # The notice is published again when the broker is back; the wait below continues meanwhile.
                await self._journal(run, step.NOTIFY, "failed", subject=gateway, detail={"message": error.message})
            else:
                await self._journal(run, step.NOTIFY, "done", subject=gateway)

    async def _observe(self, run: Run) -> None:
        async with Group() as group:
            for stage in run.stages_named(step.OBSERVE):
                group.create_task(self._observe_one(run, stage), name=f"observe-{stage.subject}")
        table.answered(run.rows, run.answers)

    async def _observe_one(self, run: Run, stage: Stage) -> None:
        gateway = stage.subject
        await self._journal(run, step.OBSERVE, "begun", subject=gateway)
        there = await self._seen.there(gateway, timing=self._timing)
        answered = there and await self._seen.until(
            lambda: self._answer(run, gateway) is not None, timeout_s=self._timing.observe_s
        )
        answer = run.answers[gateway] = self._answer(run, gateway)
        if answer is not None and answer.time and not answer.verification:  # sent when it applied the deployment
            async with self._pool.acquire() as conn:
                await place_segments(
                    conn, site=self._site, number=run.deployment.number, devices=stage.paths, time_us=answer.time
                )
        why = f"no answer within {self._timing.observe_s:g} s" if there else "no gateway of this name has ever reported"
        detail, state = ({}, "done") if answered else ({"message": why}, "failed")
        await self._journal(run, step.OBSERVE, state, subject=gateway, detail=detail)

    def _answer(self, run: Run, gateway: str) -> Observed | None:
        return self._seen.answer(gateway, digest=run.wanted[gateway], deployment=run.deployment.number)

    async def _clear(self, run: Run, stage: Stage) -> None:
        if run.is_done(step.CLEAR):
            return
        await self._journal(run, step.CLEAR, "begun", detail={"count": len(stage.paths)})
        try:
            for start in range(0, len(stage.paths), CLEAR_BATCH):
                async with Group() as group:
                    for path in stage.paths[start : start + CLEAR_BATCH]:
                        group.create_task(self._publish(self._topics.tag(path), b""), name=f"clear-{path}")
        except* NexusError as failed:
            message = str(failed.exceptions[0])
            await self._journal(run, step.CLEAR, "failed", detail={"message": message})
        else:
            await self._journal(run, step.CLEAR, "done", detail={"count": len(stage.paths)})

    async def _close(self, run: Run, token: str, *, final: bool = False) -> None:
        """Audit and give the lock back; `final` also closes the deployment, when there is nothing to verify."""
        outcome, summary = table.outcome_of(run.rows), table.summary_of(run.rows)
        async with self._pool.acquire() as conn, conn.transaction():
            await self._assert_held(conn)
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
                await db.end_deployment(conn, run.deployment.id, outcome=outcome, summary=summary)
        self._on_step()

    async def _refused(self, run: Run, token: str, error: NexusError) -> str:
        table.failed(run.rows, error.message)
        detail = {"message": error.message, "code": error.code, "cause": error.cause}
        await self._journal(run, step.RECORD, "failed", detail=detail)
        await self._close(run, token, final=True)
        return table.outcome_of(run.rows)

    async def _verify(self, run: Run) -> None:
        wanted = [path for stage in run.stages_named(step.VERIFY) for path in stage.paths]
        home = {row.address.partition(".")[2]: row.gateway for row in run.rows if row.state == "applied"}
        wanted = [path for path in wanted if path in home]
        if not wanted:
            return
        await self._journal(run, step.VERIFY, "begun", detail={"devices": len(wanted)})

        def found() -> dict[str, Verification]:
            answers = {gateway: self._answer(run, gateway) for gateway in run.wanted}
            return {
                path: answer.verified[path]
                for path in wanted
                if (answer := answers.get(home[path])) is not None and path in answer.verified
            }

        await self._seen.until(lambda: len(found()) == len(wanted), timeout_s=self._timing.verify_s)
        table.verified(run.rows, verifications=found(), wanted=wanted, reachable_before=run.reachable_before or [])
        await self._journal(run, step.VERIFY, "done", detail=table.summary_of(run.rows).counts)

    async def _lock_lost(self, run: Run) -> str:
        """The lock was broken: record nothing more, report how far the deployment came."""
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
            await db.end_deployment(conn, run.deployment.id, outcome=outcome, summary=table.summary_of(run.rows))
        self._on_step()
        return outcome

    def _reachable_now(self, run: Run) -> list[str]:
        return [
            change.name
            for change in run.changes
            if change.type == "device"
            and change.before is not None
            and self._seen.answers(
                str(change.before.get("gateway", "")), str(change.before.get("link", "")), change.previous_name
            )
        ]

    async def _journal(
        self, run: Run, name: str, state: str, *, subject: str = "", detail: Mapping[str, Any] | None = None
    ) -> None:
        async with self._pool.acquire() as conn:
            await self._assert_held(conn)
            await db.write_journal(conn, run.deployment.id, name, state, subject=subject, detail=detail)
        self._on_step()

    async def _assert_held(self, conn: Connection) -> None:
        """Under the lock, every line is written with the proof that it is still ours. Raises LeaseLost."""
        if self._held and not await leases.holds(conn, self._site, token=self._held):
            raise LeaseLost


def _devices_of(run: Run) -> set[str]:
    """Device paths that some gateway has to change, old and new."""
    return {path for stage in run.stages_named(step.OBSERVE) for path in stage.paths}
