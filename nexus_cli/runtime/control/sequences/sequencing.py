"""Executes sequences of the recorded state, in the leading control; `record.Runs` reads them in each control."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping

import msgspec
import orjson

from nexus_cli.database import deployments as db
from nexus_cli.database import sequences as rows
from nexus_cli.database.connect import Connection, Pool, plain_errors
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.groups import Group
from nexus_cli.model.config import TagConfig
from nexus_cli.model.procedure_config import MessageConfig, MessageError, SequenceConfig, render
from nexus_cli.plan.change import Attributes, Change
from nexus_cli.plan.running import touched
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.control.sequences.admission import (
    device_of,
    meaning_of,
    readable,
    refuse_not_agreed,
    refuse_other,
    refuse_what_would_stop,
    with_arguments,
)
from nexus_cli.runtime.control.sequences.live_values import LiveValues, paths_in
from nexus_cli.runtime.control.sequences.record import Runs, one_message, one_sequence
from nexus_cli.runtime.control.sequences.run import PUBLISH_S, Run, Sender
from nexus_cli.runtime.control.sequences.running_sequences import running_of
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.runtime.logging import event
from nexus_cli.settings import Settings
from nexus_cli.wire.command import is_id
from nexus_cli.wire.control_sequences import Published, RunAborted, RunEnd, SequenceRun, StepFacts
from nexus_cli.wire.sample import Value

MOST_RUNNING = 16
"""Sequences that run at once (policy: refuse the newest)."""
RETRY_S = 1.0
INTERRUPTED = RunEnd(code="NX6835", detail="control ended while it ran; neither the rest nor the abort branch was done")

_log = logging.getLogger("nexus.sequence")


class Sequencing:
    """The runs of this control.

    Attributes:
        running: By id.
        ended: Runs by final state.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        pool: Pool,
        runs: Runs,
        sender: Sender,
        values: LiveValues,
        confirmed: Callable[[], Awaitable[None]],
        clock: Clock,
    ) -> None:
        """Join the parts; `load` sets the sequences, `run` executes them.

        Args:
            settings: The site.
            pool: Refuses writes once the leader's term is over.
            runs: Notified of each step.
            sender: Sends commands and messages.
            values: The values for conditions.
            confirmed: Waits until this control may act; raises NexusError when it no longer leads.
            clock: Time.
        """
        self.running: dict[str, Run] = {}
        self.ended: dict[str, int] = {}
        self._settings, self._pool, self._sender, self._values, self._clock = settings, pool, sender, values, clock
        self._site, self._runs, self._confirmed = settings.site, runs, confirmed
        self._known: dict[str, SequenceConfig] = {}
        self._changing: tuple[Change, ...] = ()
        """The changes of the running deployment: no run starts that uses them."""
        self._deployment = self._turns = 0
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def load(self, configs: Mapping[str, Attributes]) -> None:
        """Take the recorded sequences; runs continue with the version that they started with."""
        known = readable(configs)
        self._known = known
        running = [run.config for run in self.running.values()]
        self._values.want(paths_in(text for one in (*known.values(), *running) for text in one.conditions()))

    async def compare(self, conn: Connection) -> None:
        """Note at each run which tags mean something else by now than when it was agreed."""
        for run in tuple(self.running.values()):
            found = await self._devices(conn, run.tags)
            run.changed |= {path for path, agreed in run.meanings.items() if meaning_of(found, path) != agreed}

    async def make_way(self, changes: tuple[Change, ...], number: int, waits: Callable[[str], Awaitable[None]]) -> None:
        """Wait until no run uses what a deployment changes; until `way_is_free` no such run starts.

        Args:
            changes: The deployment's changes.
            number: Its number.
            waits: Called with the id of each awaited run.
        """
        self._changing, self._deployment = changes, number
        self._turns += 1
        for run in tuple(self.running.values()):
            if not touched(changes, running_of(run.id, run.name, run.config)):
                continue
            if run.config.on_change == "abort" and run.abort(by=f"deployment {number}"):
                event(_log, "sequence aborted by a deployment", run=run.id, deployment=number)
            await waits(run.id)
            await run.ended.wait()

    def way_is_free(self) -> None:
        """The deployment has ended."""
        self._changing, self._deployment = (), 0

    async def run(self, stop: asyncio.Event) -> None:
        """Execute started runs until stopped; runs are then interrupted, as by a kill."""
        await self._end_interrupted(stop)
        async with Group() as group:
            self._group = group
            await stop.wait()
            self._group = None
            for task in self._tasks:
                task.cancel()

    async def start(
        self,
        name: str,
        *,
        run_id: str,
        who: str,
        reason: str,
        given: Mapping[str, Value] | None = None,
        agreed: str = "",
        deployment: int = 0,
    ) -> SequenceRun:
        """Begin a run; the same id gives the run that it began before.

        Args:
            name: Name of a recorded sequence.
            run_id: Chosen by the caller.
            who: The principal.
            reason: For the record.
            given: Values of the parameters.
            agreed: Digest of what the caller was shown, `plan.running.agreement`; "" for none.
            deployment: Number of the deployment that runs it, which may use what that deployment changes; 0 for none.

        Raises:
            NexusError: NX6830 unknown, NX6831 busy, NX6832 a condition can't be evaluated, NX6837 the values don't fit
                (checked down to the devices' types), NX6838 it has changed since it was agreed, NX6839 the id belongs
                to another run. Nothing was started.
        """
        if not is_id(run_id) or len(run_id) > 100:
            raise NexusError("The id of a run is 1 to 100 letters, digits, '.', '_', ':' or '-'.", code="NX6405")
        with plain_errors(self._settings):
            known = await self._begin(
                name,
                run_id=run_id,
                who=who,
                reason=reason,
                given=given or {},
                agreed=agreed,
                deployment=deployment,
            )
            if known is not None:
                return known
            async with self._pool.acquire() as conn:
                begun = await rows.find_run(conn, self._site, run_id)
        if begun is None:
            raise NexusError(f"There is no run '{run_id}'.", code="NX6830")
        return begun

    async def _begin(
        self,
        name: str,
        *,
        run_id: str,
        who: str,
        reason: str,
        given: Mapping[str, Value],
        agreed: str,
        deployment: int,
    ) -> SequenceRun | None:
        """Write a run down, then carry it out; a run of this id that is on record already is given instead."""
        if self._group is None:
            raise NexusError("Control is not ready to run sequences.", code="NX6400", retriable=True)
        run: Run | None = None
        try:
            async with self._pool.acquire() as conn:
                turns = self._turns
                known = await rows.find_run(conn, self._site, run_id)
                found = await db.attributes(conn, self._site, [f"sequence.{name}"])
                if known is not None:
                    refuse_other(known, name, found.get(f"sequence.{name}"), given)
                    return known
                sequence = await one_sequence(conn, self._site, name)
                declared = msgspec.convert(sequence, SequenceConfig)
                config, values = with_arguments(name, declared, given)
                made = await self._make(conn, name, config, run_id=run_id, who=who)
                if agreed:
                    shown = await db.attributes(conn, self._site, [f"message.{one}" for one in config.published()])
                    refuse_not_agreed(made, agreed, sequence, shown)
                refuse_what_would_stop(made)
                if not deployment or deployment != self._deployment:
                    self._refuse_changing(made, turns)
                self._refuse_busy(made)
                definition = {**msgspec.to_builtins(config), "arguments": values}
                run = self.running[made.id] = made
                begun = await rows.begin_run(
                    conn, self._site, run=run.id, name=name, who=who, reason=reason, definition=definition
                )
            # Only after its row is committed: a run that ends before that would never end in the record.
            if begun:
                self._spawn(run)
            return None
        finally:
            if run is not None and run.id not in {task.get_name().removeprefix("sequence ") for task in self._tasks}:
                self.running.pop(run.id, None)

    async def abort(self, run_id: str, *, who: str) -> RunAborted:
        """End a run before its next step; its abort branch follows, and nothing cuts that.

        Raises NexusError NX6830, NX6407.
        """
        run = self.running.get(run_id)
        if run is None:
            found = await self._runs.status(run_id)
            raise NexusError(f"Run {run_id} is {found.state}, not running.", code="NX6407")
        asked = run.abort(by=who)
        if asked:
            with plain_errors(self._settings):
                await self._confirmed()
                async with self._pool.acquire() as conn:
                    await rows.write_abort(conn, self._site, run_id, name=run.name, who=who)
        return RunAborted(**msgspec.structs.asdict(await self._runs.status(run_id)), again=not asked)

    async def publish(self, name: str, values: Mapping[str, Value], *, who: str) -> Published:
        """Publish a message for a caller; the audit trail has a line of it.

        Raises:
            NexusError: NX6840 there is no such message, NX6841 it does not fit, NX6010 the broker is unreachable.
        """
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                message = msgspec.convert(await one_message(conn, self._site, name), MessageConfig)
        try:
            topic, payload = render(message, values)
        except MessageError as error:
            raise NexusError(f"{name}: {error}.", code="NX6841", hint=error.hint) from None
        await self._confirmed()
        try:
            async with asyncio.timeout(PUBLISH_S):
                await self._sender.publish(topic, payload, qos=message.qos, retain=message.retain)
        except TimeoutError:
            raise NexusError(
                "The broker did not acknowledge the message in time.",
                code="NX6010",
                hint="it may have been delivered; subscribers know",
                retriable=True,
            ) from None
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                await db.write_audit(
                    conn,
                    self._site,
                    who=who,
                    what="publish",
                    subject=name,
                    detail={"topic": topic, "set": dict(values)},
                )
        return Published(topic=topic, payload=orjson.loads(payload))

    def _spawn(self, run: Run) -> None:
        if self._group is None:
            raise NexusError("Control is ending.", code="NX6400", retriable=True)
        task = self._group.create_task(self._carry_out(run), name=f"sequence {run.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry_out(self, run: Run) -> None:
        try:
            state = await run.carry_out()
            self.ended[state] = self.ended.get(state, 0) + 1
        finally:
            self.running.pop(run.id, None)
            self._runs.stepped()

    async def _end_interrupted(self, stop: asyncio.Event) -> None:
        """End the runs that a previous control left, as interrupted; retried until it is stored."""
        while not stop.is_set():
            try:
                with plain_errors(self._settings):
                    async with self._pool.acquire() as conn:
                        ended = await rows.end_interrupted(conn, self._site, detail=INTERRUPTED)
            except NexusError:
                await wait_for(stop, timeout_s=RETRY_S)
                continue
            for run in ended:
                event(_log, "sequence interrupted", level=logging.WARNING, run=run)
            return

    def _refuse_changing(self, run: Run, turns: int) -> None:
        """Refuse a run that uses what a deployment is changing, or that was built before a deployment changed it."""
        if self._turns != turns or touched(self._changing, running_of(run.id, run.name, run.config)):
            number = f" {self._deployment}" if self._deployment else ""
            raise NexusError(
                f"Deployment{number} is changing what '{run.name}' uses.",
                code="NX6831",
                hint="look at it again when the deployment has ended",
                retriable=True,
            )

    def _refuse_busy(self, run: Run) -> None:
        if len(self.running) >= MOST_RUNNING:
            raise NexusError(f"{MOST_RUNNING} sequences run already.", code="NX6831")
        for other in self.running.values():
            shared = sorted(run.devices & other.devices)
            if shared or other.name == run.name:
                what = f"writes {shared[0]} too" if shared else "is this sequence"
                raise NexusError(
                    f"'{other.name}' is running (run {other.id}) and {what}.",
                    code="NX6831",
                    hint="wait for its end, or `nexus sequence abort`",
                )

    async def _devices(self, conn: Connection, paths: Iterable[str]) -> Mapping[str, Attributes]:
        """Attributes of the devices of some tags, by address."""
        return await db.attributes(conn, self._site, sorted({device_of(path) for path in paths}))

    async def _make(self, conn: Connection, name: str, config: SequenceConfig, *, run_id: str, who: str) -> Run:
        paths = paths_in(config.conditions()) | config.written()
        found = await self._devices(conn, paths)
        meanings = {path: meaning_of(found, path) for path in paths}
        tags = {
            path: msgspec.convert(found[device_of(path)]["tags"][path.rpartition("/")[2]], TagConfig)
            for path, known in meanings.items()
            if known is not None
        }
        messages = await db.attributes_of_kind(conn, self._site, "message")
        return Run(
            id=run_id,
            name=name,
            who=who,
            config=config,
            tags=tags,
            meanings=meanings,
            messages={key: msgspec.convert(value, MessageConfig) for key, value in messages.items()},
            sender=self._sender,
            journal=_Journal(self, run_id),
            values=self._values,
            clock=self._clock,
        )


class _Journal:
    """A run's journal in the database."""

    def __init__(self, owner: Sequencing, run: str) -> None:
        self._owner, self._run = owner, run

    async def step(self, number: int, branch: str, text: str, state: str, detail: StepFacts) -> None:
        """A line. Raises NexusError when the database is away, or this control leads no more."""
        owner = self._owner
        await owner._confirmed()
        with plain_errors(owner._settings):
            async with owner._pool.acquire() as conn:
                await rows.write_step(
                    conn,
                    owner._site,
                    self._run,
                    step=number,
                    branch=branch,
                    text=text,
                    state=state,
                    detail=detail,
                )
        owner._runs.stepped()

    async def end(self, state: str, detail: RunEnd) -> None:
        """The last word."""
        owner = self._owner
        with plain_errors(owner._settings):
            async with owner._pool.acquire() as conn, conn.transaction():
                await rows.end_run(conn, owner._site, self._run, state=state, detail=detail)
        owner._runs.stepped()
