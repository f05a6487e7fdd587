"""Carries rollouts out: wave after wave, each one a deployment that soaks and is measured before the next begins.

What to do next is read from the database alone, at every turn, so that a control that was killed at any point and the one
after it do the same. A wave's deployment is begun in the transaction that says so in the rollout; the deployer carries it
out as any other.

See docs/decisions/0104.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence

import msgspec

from nexus_cli.apply import gates
from nexus_cli.apply.engine import Engine
from nexus_cli.apply.gates import Measured
from nexus_cli.apply.run import StoredPlan, Work
from nexus_cli.apply.waves import digest_after, held_by, part_of, undone, work_of
from nexus_cli.database import deployments as db
from nexus_cli.database import lease as leases
from nexus_cli.database import rollouts as rows
from nexus_cli.database.connect import Connection, Pool, plain_errors
from nexus_cli.database.rollouts import Stored
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.calendar import moment_of
from nexus_cli.model.snapshot import Attributes
from nexus_cli.model.window_config import Windows
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.control.waiting import first_of
from nexus_cli.runtime.control.wave_meter import WaveMeter
from nexus_cli.runtime.logging import event
from nexus_cli.settings import Settings
from nexus_cli.wire.control_rollouts import Verdict, in_words
from nexus_cli.wire.rollout import ACTIVE

TICK_S = 1.0
"""How often a rollout in flight is looked at, and what is left of a soak is stored."""
IDLE_S = 30.0
"""The same while there is none; an accepted one wakes it."""
UNMEASURED_S = 60.0
"""How long measuring is tried again while the broker or the database is away; then the gates have failed."""
SITE = "site"

DATABASE = "NX62"
"""Codes of a database that is away: `database_watch` says that, once."""
_log = logging.getLogger("nexus.apply")


class Rollouts:
    """The loop that drives the rollout in flight.

    Attributes:
        problem: Why it can't be driven at the moment; "" otherwise.
        words: Where the rollout in flight is, or why the newest one was stopped; "" otherwise.
        wanted: Set when a rollout was accepted, stopped, continued or is to be taken back.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        pool: Pool,
        engine: Engine,
        deploy: asyncio.Event,
        meter: WaveMeter,
        clock: Clock,
        lease_ttl_s: float,
        stepped: Callable[[], None] = lambda: None,
    ) -> None:
        """Join the parts.

        Args:
            settings: Site.
            pool: Fenced by the leader's term.
            engine: Gets the plan of a wave, so that it need not be read back.
            deploy: Set when a deployment was begun.
            meter: Measures devices.
            clock: Time; what is left of a soak is counted on its monotonic side.
            lease_ttl_s: As of every deployment.
            stepped: Called when something changed that others wait for.
        """
        self._settings, self._site, self._pool, self._engine = settings, settings.site, pool, engine
        self._deploy, self._meter, self._clock, self._stepped = deploy, meter, clock, stepped
        self._lease_ttl_s = lease_ttl_s
        self.wanted = asyncio.Event()
        self.problem = self.words = ""
        self._plan: tuple[int, StoredPlan, Mapping[str, str]] | None = None
        self._counted: tuple[int, int, float] | None = None
        """Rollout, wave, and the monotonic time until which its soak was counted, in seconds."""
        self._unmeasured_s: float | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Work until stopped; the next control continues from what is stored."""
        while not stop.is_set():
            self.wanted.clear()
            busy = True
            try:
                with plain_errors(self._settings):
                    busy = await self.turn()
                self.problem = ""
            except NexusError as error:
                if error.message != self.problem and not error.code.startswith(DATABASE):
                    event(_log, error.message, level=logging.WARNING, cause=error.cause)
                self.problem = error.message
            await first_of(stop, self.wanted, timeout_s=TICK_S if busy else IDLE_S)

    def said(self) -> str:
        """`words`, and what keeps it from going on."""
        return f"{self.words} (it can't go on yet: {self.problem})" if self.words and self.problem else self.words

    async def turn(self) -> bool:
        """Do what is due; False when no rollout is in flight."""
        async with self._pool.acquire() as conn:
            one = await rows.active(conn, self._site)
            newest = [] if one is not None else await rows.newest(conn, self._site, limit=1)
        self.words = _words(one or (newest[0] if newest else None))
        if one is None:
            self._plan = self._counted = self._unmeasured_s = None
            return False
        if one.state == "waiting":
            await self._begin(one)
        elif one.state == "applying":
            await self._applied(one)
        elif one.state == "soaking":
            await self._soak(one)
        else:
            await self._take_back(one)
        return True

    async def _begin(self, one: Stored) -> None:
        """Begin the wave as soon as its windows are open and no deployment runs."""
        plan, _ = await self._plan_of(one)
        part = part_of(plan, one.wave.addresses)
        work = await asyncio.to_thread(work_of, part)
        now = moment_of(self._clock.now_us())
        if one.window != "ignore":
            async with self._pool.acquire() as conn:
                site = (await db.attributes(conn, self._site, [SITE])).get(SITE, {})
            held = held_by(Windows.recorded(site), work.changes, now)
            if not held.open:
                if one.wave.state != "waiting" or one.wave.opens != held.opens:
                    async with self._pool.acquire() as conn:
                        await rows.set_wave(conn, one.id, one.position, state="waiting", opens=held.opens)
                    self._stepped()
                return
        before = one.wave.measured.get("before") if one.wave.deployment else None  # one that continues keeps its own
        if before is None:
            before = msgspec.to_builtins(await self._meter.good(_devices(part.before), one.gates))
        async with self._pool.acquire() as conn:
            if not await self._still(conn, one):
                return
            recorded = await db.recorded(conn, self._site)
            if recorded.digest != one.expects:
                await self._stop(conn, one, f"the recorded state moved: it is now deployment {recorded.number}")
                return
            begun = await db.deployment(conn, self._site, one.wave.deployment) if one.wave.deployment else None
            what = f"wave {one.wave.name}"
            if begun is not None:
                number = await self._reopened(conn, one, begun, what=what)
            else:
                number = await self._deployed(conn, one, work, recorded, what=what)
            if number is None:
                return  # another deployment is running: its end is awaited
            columns = {"deployment": number, "begun": now, "opens": None, "left_ms": one.wave.soak_ms}
            measured = {"before": before}
            await rows.set_wave(conn, one.id, one.position, state="applying", measured=measured, **columns)
            await rows.set_rollout(conn, one.id, state="applying", why="")
        self._deploy.set()
        self._stepped()

    async def _deployed(
        self, conn: Connection, one: Stored, work: Work, recorded: db.Recorded, *, what: str, undoes: int = 0
    ) -> int | None:
        """Begin a deployment under the lock, in this transaction; None while another one has the lock."""
        token, reason = secrets.token_hex(16), _reason(one, what)
        if await db.running_deployments(conn, self._site) or not await leases.acquire(
            conn, self._site, owner=one.who, reason=reason, token=token, ttl_s=self._lease_ttl_s
        ):
            return None
        deployment_id, number = await db.begin_deployment(
            conn,
            self._site,
            who=one.who,
            reason=reason,
            base=recorded.digest,
            desired=digest_after(recorded, work.plan),
            plan=work.document(),
            run_url="" if undoes else one.run_url,
            undoes=undoes,
        )
        await leases.assign(conn, self._site, token=token, deployment_id=deployment_id)
        self._engine.adopt(deployment_id, token=token, work=work)
        event(_log, "rollout begins a deployment", rollout=one.number, deployment=number, what=what)
        return number

    async def _reopened(self, conn: Connection, one: Stored, found: db.Deployment, *, what: str) -> int | None:
        """Continue the wave's deployment, which did not come to its end, from its journal; None while another has the lock."""
        token, reason = secrets.token_hex(16), _reason(one, what)
        if await db.running_deployments(conn, self._site) or not await leases.acquire(
            conn,
            self._site,
            owner=one.who,
            reason=reason,
            token=token,
            ttl_s=self._lease_ttl_s,
            deployment_id=found.id,
        ):
            return None
        await db.reopen(conn, found.id, detail={"who": one.who, "reason": reason})
        self._engine.adopt(found.id, token=token)
        event(_log, "rollout continues a deployment", rollout=one.number, deployment=found.number, what=what)
        return found.number

    async def _applied(self, one: Stored) -> None:
        """When the deployment of the wave has ended: let it soak, or stop."""
        async with self._pool.acquire() as conn:
            if not await self._still(conn, one):
                return
            found = await db.deployment(conn, self._site, one.wave.deployment)
            if found is None or found.outcome == "running":
                return
            recorded = await db.recorded(conn, self._site)
            await rows.set_rollout(conn, one.id, expects=recorded.digest)
            if found.outcome not in ("applied", "nothing", "stopped"):
                await self._stop(conn, one, f"deployment {found.number} of wave {one.wave.name} ended {found.outcome}")
                return
            plan, _ = await self._plan_of(one, conn)
            polls = self._meter.polls(_devices(part_of(plan, one.wave.addresses).changed), one.gates)
            measured = {**one.wave.measured, "soak": msgspec.to_builtins(polls)}
            await rows.set_wave(conn, one.id, one.position, state="soaking", measured=measured)
            await rows.set_rollout(conn, one.id, state="soaking")
        self._counted = (one.number, one.position, self._clock.monotonic_s())
        self._stepped()
        self.wanted.set()

    async def _soak(self, one: Stored) -> None:
        """Count the soak down; at its end measure, and continue or stop."""
        now_s = self._clock.monotonic_s()
        counted_s = self._counted[2] if self._counted and self._counted[:2] == (one.number, one.position) else now_s
        left_ms = max(0, one.wave.left_ms - round((now_s - counted_s) * 1000))
        if left_ms:
            if left_ms != one.wave.left_ms:
                async with self._pool.acquire() as conn:
                    await rows.set_wave(conn, one.id, one.position, left_ms=left_ms)
            self._counted = (one.number, one.position, now_s)
            return
        verdicts = await self._verdicts(one) if one.wave.soak_ms else ()
        if verdicts is None:
            return
        async with self._pool.acquire() as conn:
            if not await self._still(conn, one):
                return
            await rows.set_wave(conn, one.id, one.position, left_ms=0, verdicts=list(verdicts))
            failed = gates.failed(verdicts)
            if failed:
                why = f"wave {one.wave.name} failed its gates: {'; '.join(each.text for each in failed)}"
                await self._stop(conn, one, why, verdicts=verdicts)
            else:
                await self._pass(conn, one)
        self._stepped()
        self.wanted.set()

    async def _verdicts(self, one: Stored) -> Sequence[Verdict] | None:
        """What the gates say; None while it is tried again."""
        plan, _ = await self._plan_of(one)
        devices = _devices(part_of(plan, one.wave.addresses).changed)
        before = msgspec.convert(one.wave.measured.get("before") or {}, Measured)
        begun = msgspec.convert(one.wave.measured.get("soak") or {}, Measured)
        before = msgspec.structs.replace(before, polls=begun.polls)
        since = one.wave.begun or one.started
        try:
            after = await self._meter.all(devices, one.gates, since=since)
        except NexusError as error:
            now_s = self._clock.monotonic_s()
            self._unmeasured_s = now_s if self._unmeasured_s is None else self._unmeasured_s
            if now_s - self._unmeasured_s < UNMEASURED_S:
                return None
            polls = self._meter.polls(devices, one.gates)
            after = Measured(polls=polls.polls, unheard=polls.unheard, problem=error.message)
        self._unmeasured_s = None
        return gates.judged(one.gates, before, after)

    async def _pass(self, conn: Connection, one: Stored) -> None:
        await rows.set_wave(conn, one.id, one.position, state="passed")
        if one.position + 1 < len(one.waves):
            await rows.set_rollout(conn, one.id, state="waiting", position=one.position + 1)
            return
        await rows.set_rollout(conn, one.id, state="applied")
        await self._audit(conn, one, "rollout-applied", {"waves": len(one.waves)})
        event(_log, "rollout applied", rollout=one.number)

    async def _stop(self, conn: Connection, one: Stored, why: str, *, verdicts: Sequence[Verdict] = ()) -> None:
        """A wave failed: later waves are not begun; what was done is taken back where that is asked for."""
        await rows.set_wave(conn, one.id, one.position, state="failed")
        if one.wave.deployment:
            await rows.stop_deployment(conn, self._site, one.wave.deployment, why=why, verdicts=verdicts)
        begun = any(each.deployment for each in one.waves)
        state = "rolling-back" if one.on_failure == "rollback" and begun else "stopped"
        await rows.set_rollout(conn, one.id, state=state, why=why)
        await self._audit(conn, one, "rollout-stopped", {"reason": why, "wave": one.wave.name})
        event(_log, "rollout stopped", level=logging.WARNING, rollout=one.number, why=why, state=state)
        self._stepped()
        self.wanted.set()

    async def _take_back(self, one: Stored) -> None:
        """One deployment that takes back what the waves recorded, and its end."""
        if one.undone_by:
            await self._taken_back(one)
            return
        plan, digests = await self._plan_of(one)
        async with self._pool.acquire() as conn:
            if not await self._still(conn, one):
                return
            recorded = await db.recorded(conn, self._site)
            done = [
                address
                for wave in one.waves
                for address in wave.addresses
                if wave.deployment and _is_as(recorded, plan, address)
            ]
            part = part_of(plan, done)
            work = work_of(undone(part, digests))
            if not work.changes:  # nothing was recorded, or it was taken back by hand
                await rows.set_rollout(conn, one.id, state="rolled-back")
                return
            first = min(wave.deployment for wave in one.waves if wave.deployment)
            number = await self._deployed(conn, one, work, recorded, what="taken back", undoes=first)
            if number is None:
                return
            await rows.set_rollout(conn, one.id, undone_by=number)
        self._deploy.set()
        self._stepped()

    async def _taken_back(self, one: Stored) -> None:
        async with self._pool.acquire() as conn:
            found = await db.deployment(conn, self._site, one.undone_by)
            if found is None or found.outcome == "running":
                return
            if found.outcome in ("applied", "nothing"):
                for wave in one.waves:
                    if wave.deployment:
                        await rows.set_wave(conn, one.id, wave.position, state="rolled-back")
                await rows.set_rollout(conn, one.id, state="rolled-back")
                await self._audit(conn, one, "rollout-rolled-back", {"reason": one.why})
            else:
                why = f"{one.why}; deployment {found.number}, which takes it back, ended {found.outcome}"
                await rows.set_rollout(conn, one.id, state="stopped", why=why)
        self._stepped()

    async def _still(self, conn: Connection, one: Stored) -> bool:
        """Whether it is where it was read to be; it stays there until the end of this transaction."""
        await rows.locked(conn, self._site)
        now = await rows.one(conn, self._site, one.number)
        return now is not None and (now.state, now.position, now.undone_by) == (one.state, one.position, one.undone_by)

    async def _audit(self, conn: Connection, one: Stored, what: str, detail: Mapping[str, object]) -> None:
        await db.write_audit(conn, self._site, who=one.who, what=what, subject=f"rollout {one.number}", detail=detail)

    async def _plan_of(self, one: Stored, conn: Connection | None = None) -> tuple[StoredPlan, Mapping[str, str]]:
        """The plan of all waves, read once: megabytes for a large site."""
        if self._plan is None or self._plan[0] != one.id:
            if conn is None:
                async with self._pool.acquire() as fresh:
                    text, digests = await rows.plan_of(fresh, one.id)
            else:
                text, digests = await rows.plan_of(conn, one.id)
            work = await asyncio.to_thread(Work.stored, text)
            self._plan = (one.id, work.plan, digests)
        return self._plan[1], self._plan[2]


def _words(one: Stored | None) -> str:
    """What status says: of a rollout in flight, and of one that was stopped until another one begins."""
    return in_words(one.public()) if one is not None and one.state in (*ACTIVE, "stopped") else ""


def _reason(one: Stored, what: str) -> str:
    """Of a deployment of a rollout, for the lock and the history."""
    return f"rollout {one.number}, {what}" + (f": {one.reason}" if one.reason else "")


def _devices(resources: Mapping[str, Attributes | None]) -> dict[str, Attributes]:
    """The devices among resources, by path; without those that are removed."""
    return {
        address.removeprefix("device."): value
        for address, value in resources.items()
        if value is not None and address.startswith("device.")
    }


def _is_as(recorded: db.Recorded, plan: StoredPlan, address: str) -> bool:
    """Whether a resource is recorded as the plan has it."""
    return recorded.digests.get(address) == plan.digests.get(address)
