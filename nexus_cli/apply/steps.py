"""The steps of a deployment, each one a method that writes its lines in the journal around what it does.

`engine.py` says which follow each other, and what becomes of a deployment that one of them refuses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from nexus_cli.apply import table
from nexus_cli.apply.acting import Act, Acting, Ended, before_failed, problem_of
from nexus_cli.apply.observation import Observations
from nexus_cli.apply.rights import Rights, after_and_before
from nexus_cli.apply.run import Run, gateway_digest, notice
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
from nexus_cli.plan.stages import Stage
from nexus_cli.wire.configuration import Observed, Verification
from nexus_cli.wire.topic import Topics

Publish = Callable[[str, bytes], Coroutine[object, object, None]]
"""Publishes a retained message at QoS 1; raises NexusError when the broker is away."""

CLEAR_BATCH = 200
"""Retained messages cleared at once; well under a broker's window of messages in flight."""


class Steps:
    """What a deployment does, step by step.

    Attributes:
        held: Proof of the lease while it is ours; "" where none is needed. Every line is written with it.
    """

    def __init__(
        self,
        *,
        pool: Pool | FencedPool,
        site: str,
        publish: Publish,
        observations: Observations,
        rights: Rights,
        timing: Timing,
        on_step: Callable[[], None],
        may_act: Callable[[], None],
        act: Act,
    ) -> None:
        """Join the parts; arguments as of `Engine`."""
        enterprise, _, name = site.partition("/")
        self._topics = Topics(enterprise, name)
        self._pool, self._site, self._publish, self._rights = pool, site, publish, rights
        self._seen, self._timing, self._on_step, self._may_act = observations, timing, on_step, may_act
        self._act = act
        self.held = ""

    async def waits(self, run: Run, sequence_run: str) -> None:
        """A sequence runs that uses what changes."""
        await self.journal(run, step.SEQUENCES, "begun", subject=sequence_run)

    async def act_before(self, run: Run, stage: Stage) -> None:
        """Run a sequence that has to end well before anything changes. Raises NexusError NX4152."""
        problem = run.acted(stage)
        if problem is None:
            problem = await self._run_sequence(run, stage)
        if problem:
            raise before_failed(stage.subject, problem)

    async def act_after(self, run: Run, stage: Stage) -> None:
        """Run a sequence when the devices that it is for run as planned; its failure is theirs."""
        if run.acted(stage) is not None:
            return
        late = sorted(
            {f"device.{path}" for path in stage.paths} & {r.address for r in run.rows if r.state != "applied"}
        )
        if late:
            detail = {"message": f"{late[0].removeprefix('device.')} does not run as planned"}
            await self.journal(run, stage.step, "skipped", subject=stage.subject, detail=detail)
            return
        run.note(stage, await self._run_sequence(run, stage))
        table.acted(run.rows, run.problems)

    async def _run_sequence(self, run: Run, stage: Stage) -> str:
        """Why it did not end well, "" when it did; the same run, however often it is asked for."""
        acting = Acting(
            sequence=stage.subject, when=stage.step, deployment=run.deployment.number, who=run.deployment.who
        )
        facts = {"run": acting.run_id}
        await self.journal(run, stage.step, "begun", subject=stage.subject, detail=facts)
        problem = problem_of(await self._ended(acting))
        state, more = ("failed", {"message": problem}) if problem else ("done", {})
        await self.journal(run, stage.step, state, subject=stage.subject, detail={**facts, **more})
        return problem

    async def _ended(self, acting: Acting) -> Ended:
        while True:
            try:
                return await self._act(acting)
            except LeadLost:
                raise
            except NexusError as error:
                if not error.retriable:
                    return Ended(state="refused", why=error.message)
            await asyncio.sleep(self._timing.retry_s)

    async def record(self, run: Run, token: str) -> None:
        """Write the new state, in one transaction that has the proof of the lease."""
        run.reachable_before = run.reachable_before or self._reachable_now(run)
        await self.journal(run, step.RECORD, "begun", detail={"reachable_before": run.reachable_before})
        await record(
            self._pool,
            self._site,
            deployment_id=run.deployment.id,
            token=token,
            changed=run.plan.changed,
            digests=run.plan.digests,
            moved=run.moves(),
            returning=run.returning(),
        )
        self._on_step()

    async def hold_rights(self, run: Run, name: str) -> None:
        """Both states' rights before the gateways act, the new state's alone afterwards."""
        if not run.stages_named(name):
            return
        await self.journal(run, name, "begun")
        if run.kept is None:
            async with self._pool.acquire() as conn:
                run.kept = await db.full_state(conn, self._site, without=run.plan.changed)
        states = after_and_before(run.kept, changed=run.plan.changed, before=run.plan.before)
        self._may_act()
        try:
            await self._rights.hold(*(states if name == step.RIGHTS else states[:1]))
        except NexusError as error:
            detail = {"message": error.message, "code": error.code, "cause": error.cause}
            await self.journal(run, name, "failed", detail=detail)
        else:
            await self.journal(run, name, "done")

    async def want(self, run: Run) -> None:
        """Find out which digest each gateway has to answer with, by what is recorded now."""
        async with self._pool.acquire() as conn:
            state = await db.recorded(conn, self._site)
        for stage in run.stages_named(step.NOTIFY):
            run.wanted[stage.subject] = gateway_digest(state.gateway_devices(stage.subject))

    async def notify(self, run: Run) -> None:
        """Ask every gateway to fetch what it has to run; of a resumed deployment only those that have not answered."""
        await self.want(run)
        for gateway, wanted in run.wanted.items():
            if run.resumed and self.answer(run, gateway) is not None:
                await self.journal(run, step.NOTIFY, "skipped", subject=gateway)
                continue
            await self.journal(run, step.NOTIFY, "begun", subject=gateway)
            try:
                await self._publish(
                    self._topics.config(gateway), notice(deployment=run.deployment.number, digest=wanted)
                )
            except NexusError as error:
                # The notice is published again when the broker is back; the wait below continues meanwhile.
                await self.journal(run, step.NOTIFY, "failed", subject=gateway, detail={"message": error.message})
            else:
                await self.journal(run, step.NOTIFY, "done", subject=gateway)

    async def observe(self, run: Run) -> None:
        """Wait for the answer of each gateway, of all at once."""
        async with Group() as group:
            for stage in run.stages_named(step.OBSERVE):
                group.create_task(self._observe_one(run, stage), name=f"observe-{stage.subject}")
        table.answered(run.rows, run.answers)

    async def _observe_one(self, run: Run, stage: Stage) -> None:
        gateway = stage.subject
        await self.journal(run, step.OBSERVE, "begun", subject=gateway)
        there = await self._seen.there(gateway, timing=self._timing)
        answered = there and await self._seen.until(
            lambda: self.answer(run, gateway) is not None, timeout_s=self._timing.observe_s
        )
        answer = run.answers[gateway] = self.answer(run, gateway)
        if answer is not None and answer.time and not answer.verification:  # sent when it applied the deployment
            async with self._pool.acquire() as conn:
                await place_segments(
                    conn, site=self._site, number=run.deployment.number, devices=stage.paths, time_us=answer.time
                )
        why = f"no answer within {self._timing.observe_s:g} s" if there else "no gateway of this name has ever reported"
        detail, state = ({}, "done") if answered else ({"message": why}, "failed")
        await self.journal(run, step.OBSERVE, state, subject=gateway, detail=detail)

    def answer(self, run: Run, gateway: str) -> Observed | None:
        """What a gateway said about this deployment; None when it has not."""
        return self._seen.answer(gateway, digest=run.wanted[gateway], deployment=run.deployment.number)

    async def clear(self, run: Run, stage: Stage) -> None:
        """Clear the retained messages of what is gone."""
        if run.is_done(step.CLEAR):
            return
        await self.journal(run, step.CLEAR, "begun", detail={"count": len(stage.paths)})
        try:
            for start in range(0, len(stage.paths), CLEAR_BATCH):
                async with Group() as group:
                    for path in stage.paths[start : start + CLEAR_BATCH]:
                        group.create_task(self._publish(self._topics.tag(path), b""), name=f"clear-{path}")
        except* NexusError as failed:
            message = str(failed.exceptions[0])
            await self.journal(run, step.CLEAR, "failed", detail={"message": message})
        else:
            await self.journal(run, step.CLEAR, "done", detail={"count": len(stage.paths)})

    async def verify(self, run: Run) -> None:
        """Wait until the gateways say whether the changed devices give GOOD values; needs no lease."""
        wanted = [path for stage in run.stages_named(step.VERIFY) for path in stage.paths]
        home = {row.address.partition(".")[2]: row.gateway for row in run.rows if row.state == "applied"}
        wanted = [path for path in wanted if path in home]
        if not wanted:
            return
        await self.journal(run, step.VERIFY, "begun", detail={"devices": len(wanted)})

        def found() -> dict[str, Verification]:
            answers = {gateway: self.answer(run, gateway) for gateway in run.wanted}
            return {
                path: answer.verified[path]
                for path in wanted
                if (answer := answers.get(home[path])) is not None and path in answer.verified
            }

        await self._seen.until(lambda: len(found()) == len(wanted), timeout_s=self._timing.verify_s)
        table.verified(run.rows, verifications=found(), wanted=wanted, reachable_before=run.reachable_before or [])
        await self.journal(run, step.VERIFY, "done", detail=table.summary_of(run.rows).counts)

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

    async def journal(
        self, run: Run, name: str, state: str, *, subject: str = "", detail: Mapping[str, Any] | None = None
    ) -> None:
        """Write a line, with the proof that the lease is still ours where there is one."""
        async with self._pool.acquire() as conn:
            await self.assert_held(conn)
            await db.write_journal(conn, run.deployment.id, name, state, subject=subject, detail=detail)
        self._on_step()

    async def assert_held(self, conn: Connection) -> None:
        """Under the lock, every line is written with the proof that it is still ours. Raises LeaseLost."""
        if self.held and not await leases.holds(conn, self._site, token=self.held):
            raise LeaseLost
