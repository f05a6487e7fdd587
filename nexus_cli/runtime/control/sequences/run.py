"""One run of a sequence: preconditions, steps in order, and the abort branch when something goes wrong.

A run is bound to the meaning of its tags when it was agreed: a step on a tag whose meaning has changed is refused. A
step that could not be sent is retried for a while, most of all in the abort branch, where the cause of the first
failure would otherwise make all its steps fail within milliseconds.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.config import TagConfig
from nexus_cli.model.expression import ExpressionError
from nexus_cli.model.procedure_config import MessageConfig, MessageError, SequenceConfig, StepConfig, render
from nexus_cli.model.rehearsal import Numbered, numbered
from nexus_cli.plan.change import Attributes
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.control.sequences.live_values import Condition, LiveValues, policy_of
from nexus_cli.runtime.logging import event
from nexus_cli.wire.command import Response, State
from nexus_cli.wire.control_sequences import RunEnd, StepFacts
from nexus_cli.wire.sample import Value

_log = logging.getLogger("nexus.sequence")
LOOK_S = 0.25
FIRST_VALUES_S = 2.0
"""How long to wait for a precondition's values before it counts as not fulfilled, in seconds."""
FIRST_LIFE_S = 12.0
"""The same, when there is a value and only its gateway's next health message is missing (`health.PERIOD_S`)."""

AWAY_S = 30.0
"""How long to retry a step that was not sent because broker, gateway or link were unreachable, in seconds."""
AGAIN_S = 0.5
PUBLISH_S = 20.0
"""Longest wait for the broker's acknowledgement of a message, in seconds."""
LONGEST_S = 86_400.0 * 365
NOT_SENT = frozenset({"NX6010", "NX6408", "NX6811", "NX6812"})
"""Broker unreachable, control paused, queue full, link or gateway down: nothing was sent to the device."""


class StepError(Exception):
    """A step did not succeed.

    Attributes:
        code: Why, `NXnnnn`.
        state: `refused`, `failed` or `unknown`.
        detail: Facts for the journal, code and message among them.
    """

    def __init__(self, message: str, *, code: str, state: str = "failed", detail: StepFacts | None = None) -> None:
        super().__init__(message)
        self.code, self.state = code, state
        self.detail = msgspec.structs.replace(detail or StepFacts(), code=code, detail=message)


class Journal(Protocol):
    """Records the steps of a run."""

    async def step(self, number: int, branch: str, text: str, state: str, detail: StepFacts) -> None:
        """A line. Raises NexusError when it can't be written."""
        ...

    async def end(self, state: str, detail: RunEnd) -> None:
        """The last word. Raises NexusError."""
        ...


class Sender(Protocol):
    """Sends the commands and messages of a run."""

    async def write(
        self, path: str, *, command_id: str, value: Value, expect: Value, expects: bool, timeout_s: float, reason: str
    ) -> Response:
        """Send one command, once. Raises NexusError when it could not be sent."""
        ...

    async def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """Publish one message. Raises NexusError."""
        ...


@dataclass(slots=True, kw_only=True)
class Run:
    """A run in progress.

    Attributes:
        id: Of the run; the command of step n has `{id}.{n}`.
        tags: The tags that it reads and writes, by path, as agreed.
        meanings: The agreed meaning of each tag, by path; None for a tag that did not exist.
        changed: Those paths whose meaning has changed since, or that were removed.
        aborted: Set when it is aborted.
        aborted_by: By whom, and why.
        going_back: True once its abort branch has begun.
    """

    id: str
    name: str
    who: str
    config: SequenceConfig
    tags: Mapping[str, TagConfig]
    messages: Mapping[str, MessageConfig]
    sender: Sender
    journal: Journal
    values: LiveValues
    clock: Clock
    meanings: Mapping[str, Attributes | None] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    aborted: asyncio.Event = field(default_factory=asyncio.Event)
    aborted_by: str = ""
    going_back: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    _number: int = 0
    _deadline_s: float = math.inf

    @property
    def devices(self) -> set[str]:
        """The devices that it writes to."""
        return {path.rpartition("/")[0] for path in self.config.written()}

    def abort(self, *, by: str) -> bool:
        """Abort it before its next step; False when it was already aborted, or its abort branch is running."""
        if self.aborted.is_set() or self.going_back:
            return False
        self.aborted_by = by
        self.aborted.set()
        return True

    async def carry_out(self) -> str:
        """Execute the run; returns its final state."""
        event(_log, "sequence begins", name=self.name, run=self.id, who=self.who)
        try:
            state, detail = await self._outcome()
            event(_log, "sequence " + state, name=self.name, run=self.id, detail=detail.detail or "")
            await self._reporting(self.journal.end(state, detail))
            return state
        finally:
            self.ended.set()

    async def _outcome(self) -> tuple[str, RunEnd]:
        try:
            await self._require()
        except StepError as error:
            return "refused", RunEnd(code=error.code, detail=str(error))
        self._deadline_s = self.clock.monotonic_s() + self.config.timeout_ms / 1000
        try:
            await self._forward()
        except StepError as error:
            code, why = error.code, str(error)
        except NexusError as error:
            code, why = error.code, error.message
        else:
            return "done", RunEnd()
        step, aborted_by = self._number, self.aborted_by or msgspec.UNSET
        undone = await self._back()
        end = RunEnd(code=code, step=step, detail=why, aborted_by=aborted_by, abort_branch=undone)
        return "aborted" if code == "NX6836" else "failed", end

    async def _require(self) -> None:
        terms = policy_of(self.config)
        for number, text in enumerate(self.config.requires, 1):
            condition = self._condition(text)
            held = await self._first(condition)
            words = {True: "done", False: "refused", None: "refused"}
            try:
                await self.journal.step(number, "requires", text, words[held], StepFacts())
            except NexusError as error:
                raise StepError(error.message, code=error.code) from None
            if not held:
                why = f" ({condition.objection(self.values, terms)})" if held is None else ""
                raise StepError(f"the precondition does not hold{why}: {text}", code="NX6832", state="refused")

    async def _first(self, condition: Condition) -> bool | None:
        """Whether a precondition holds; waits for its values."""
        terms, begun_s = policy_of(self.config), self.clock.monotonic_s()
        while (held := condition.holds(self.values, terms)) is None:
            old = any(self.values.too_old(name, terms) for name in condition.names)
            if self.aborted.is_set() or self.clock.monotonic_s() - begun_s >= (FIRST_LIFE_S if old else FIRST_VALUES_S):
                break
            await self.values.change(timeout_s=LOOK_S)
        return held

    async def _forward(self) -> None:
        for one in numbered(self.config):
            if one.branch == "steps":
                self._number = one.number
                self._go_on()
                await self._journalled(one)

    def _go_on(self) -> float:
        """Seconds left for the steps. Raises StepError when aborted, or when no time is left."""
        if self.aborted.is_set() and not self.going_back:
            who = f" ({self.aborted_by})" if self.aborted_by else ""
            raise StepError(f"aborted{who}", code="NX6836")
        left_s = self._deadline_s - self.clock.monotonic_s()
        if left_s <= 0:
            raise StepError(f"all steps together took longer than {self.config.timeout_ms / 1000:g} s", code="NX6833")
        return left_s

    async def _back(self) -> str:
        """The abort branch: each step is tried, whatever the result of the previous one."""
        self.going_back, self._deadline_s = True, math.inf
        failed = 0
        for one in numbered(self.config):
            if one.branch != "on_abort":
                continue
            try:
                await self._journalled(one)
            except (StepError, NexusError) as error:
                failed += 1
                event(_log, "a step of the abort branch failed", level=logging.WARNING, run=self.id, cause=str(error))
        if not self.config.on_abort:
            return "none"
        return f"{failed} of {len(self.config.on_abort)} steps failed" if failed else "done"

    async def _journalled(self, one: Numbered) -> None:
        number, branch, step = one
        begun = self.journal.step(number, branch, step.text, "begun", StepFacts())
        if branch == "steps":
            await self._in_time(begun)
        else:  # making the machine safe must not wait for a database
            await self._reporting(begun)
        try:
            detail = await self._do(one)
        except StepError as error:
            await self._reporting(self.journal.step(number, branch, step.text, error.state, error.detail))
            raise
        except NexusError as error:
            facts = StepFacts(code=error.code, detail=error.message)
            await self._reporting(self.journal.step(number, branch, step.text, "failed", facts))
            raise
        await self._reporting(self.journal.step(number, branch, step.text, "done", detail))

    async def _in_time(self, write: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(min(self._deadline_s - self.clock.monotonic_s(), LONGEST_S)):
                await write
        except TimeoutError:
            self._go_on()
            raise StepError("the journal can't be written", code="NX6833") from None

    async def _reporting(self, write: Awaitable[None]) -> None:
        try:
            await write
        except NexusError as error:
            event(_log, "the journal can't be written", level=logging.WARNING, run=self.id, cause=error.cause)

    async def _do(self, one: Numbered) -> StepFacts:
        step = one.step
        if step.do == "write":
            return await self._sent(one, self._write)
        if step.do == "publish":
            return await self._sent(one, self._publish)
        if step.do == "until":
            return await self._until(step)
        await self._rest(step.wait_ms / 1000)
        return StepFacts()

    async def _sent(self, one: Numbered, act: Act) -> StepFacts:
        """Do a step that is sent somewhere; one that was not sent is tried again while there is time."""
        until_s, logged, tries = self.clock.monotonic_s() + AWAY_S, False, 0
        while True:
            try:
                return await act(one, tries)
            except (StepError, NexusError) as error:
                if error.code not in NOT_SENT or self.clock.monotonic_s() + AGAIN_S >= until_s:
                    raise
                if not logged:
                    facts = StepFacts(code=error.code, detail=f"not sent, tried again for {AWAY_S:g} s: {error}")
                    await self._reporting(self.journal.step(one.number, one.branch, one.step.text, "waiting", facts))
                logged, tries = True, tries + 1
            await self._pause(AGAIN_S)

    async def _pause(self, seconds: float) -> None:
        """Wait. Raises StepError when aborted meanwhile, or when no time is left; never in the abort branch."""
        until_s = self.clock.monotonic_s() + min(seconds, self._go_on())
        while (left_s := until_s - self.clock.monotonic_s()) > 0:
            if self.going_back:
                await asyncio.sleep(left_s)
                continue
            try:
                async with asyncio.timeout(left_s):
                    await self.aborted.wait()
                break
            except TimeoutError:
                continue

    async def _write(self, one: Numbered, tries: int) -> StepFacts:
        step, again = one.step, f".{tries}" if tries else ""
        self._same_meaning([step.subject])
        # A command expires with the time left of the run, so that none is executed after the abort branch.
        found = await self.sender.write(
            step.subject,
            command_id=f"{self.id}.{one.number}{again}",
            value=step.value,
            expect=step.expect,
            expects=step.expects,
            timeout_s=min(step.timeout_ms / 1000, self._go_on()),
            reason=f"sequence {self.name} {self.id} step {one.number} for {self.who}",
        )
        detail = StepFacts(command=found.id, old=found.old, written=found.value, read_back=found.read_back)
        if found.state is State.DONE:
            return detail
        message = f"{step.subject}: {found.state.value}: {found.detail}"
        raise StepError(message, code=found.code or "NX6834", state=found.state.value, detail=detail)

    async def _publish(self, one: Numbered, _: int) -> StepFacts:
        step = one.step
        message = self.messages.get(step.subject)
        if message is None:
            raise StepError(f"there is no message '{step.subject}'", code="NX6840", state="refused")
        try:
            topic, payload = render(message, step.fields)
        except MessageError as error:
            raise StepError(str(error), code="NX6841", state="refused") from None
        try:
            async with asyncio.timeout(min(self._go_on(), PUBLISH_S)):
                await self.sender.publish(topic, payload, qos=message.qos, retain=message.retain)
        except TimeoutError:
            raise StepError("the broker did not acknowledge it in time", code="NX6833", state="unknown") from None
        return StepFacts(topic=topic)

    async def _until(self, step: StepConfig) -> StepFacts:
        condition = self._condition(step.subject)
        terms, until_s = policy_of(self.config), self.clock.monotonic_s() + step.timeout_ms / 1000
        while True:
            self._same_meaning(condition.names)
            if held := condition.holds(self.values, terms):
                return StepFacts()
            run_left_s = self._go_on()
            left_s = min(until_s - self.clock.monotonic_s(), run_left_s)
            if left_s <= 0:
                why = condition.objection(self.values, terms) if held is None else "it did not come true"
                raise StepError(f"{why} within {step.timeout_ms / 1000:g} s: {step.subject}", code="NX6833")
            await self.values.change(timeout_s=min(LOOK_S, left_s))

    async def _rest(self, seconds: float) -> None:
        until_s = self.clock.monotonic_s() + seconds
        while (left_s := until_s - self.clock.monotonic_s()) > 0:
            await self._pause(left_s)

    def _same_meaning(self, paths: Iterable[str]) -> None:
        changed = sorted(self.changed.intersection(paths))
        if changed:
            message = f"{changed[0]} was changed by a deployment after this run was agreed"
            raise StepError(message, code="NX6838", state="refused")

    def _condition(self, text: str) -> Condition:
        try:
            return Condition(text, self.tags)
        except ExpressionError as error:
            raise StepError(f"the condition can't be evaluated: {error}", code="NX6832", state="refused") from None


Act = Callable[[Numbered, int], Awaitable[StepFacts]]
"""A step and how often it was tried before; gives facts for the journal."""
