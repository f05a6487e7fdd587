"""One run of a sequence: preconditions, steps in order, and the abort branch when something goes wrong."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.config import TagConfig
from nexus_cli.model.expression import ExpressionError
from nexus_cli.model.procedure_config import MessageConfig, MessageError, SequenceConfig, StepConfig, render
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.control.live_values import Condition, LiveValues
from nexus_cli.runtime.logging import event
from nexus_cli.wire.command import Response, State
from nexus_cli.wire.sample import Value

_log = logging.getLogger("nexus.sequence")
LOOK_S = 0.25
FIRST_VALUES_S = 2.0
"""How long a precondition's values are waited for before it counts as not holding."""


class StepError(Exception):
    """A step did not succeed.

    Attributes:
        code: Why, `NXnnnn`.
        state: `refused`, `failed` or `unknown`.
        detail: Facts for the journal.
    """

    def __init__(
        self, message: str, *, code: str, state: str = "failed", detail: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code, self.state, self.detail = code, state, dict(detail or {})


class Journal(Protocol):
    """Where a run writes down what it does."""

    async def step(self, number: int, branch: str, text: str, state: str, detail: Mapping[str, Any]) -> None:
        """A line. Raises NexusError when it can't be written."""
        ...

    async def end(self, state: str, detail: Mapping[str, Any]) -> None:
        """The last word. Raises NexusError."""
        ...


class Hands(Protocol):
    """What a run acts with."""

    async def write(
        self, path: str, *, command_id: str, value: Value, expect: Value, expects: bool, timeout_s: float, reason: str
    ) -> Response:
        """One command, sent once. Raises NexusError when it could not be sent."""
        ...

    async def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """One message. Raises NexusError."""
        ...


@dataclass(slots=True, kw_only=True)
class Run:
    """A run on its way.

    Attributes:
        id: One for the whole; the command of step n is `{id}.{n}`.
        aborted: Set when a person ends it.
    """

    id: str
    name: str
    who: str
    config: SequenceConfig
    tags: Mapping[str, TagConfig]
    messages: Mapping[str, MessageConfig]
    hands: Hands
    journal: Journal
    values: LiveValues
    clock: Clock
    aborted: asyncio.Event = field(default_factory=asyncio.Event)
    _number: int = 0

    @property
    def devices(self) -> set[str]:
        """Devices that it writes."""
        return {path.rpartition("/")[0] for path in self.config.written()}

    async def carry_out(self) -> str:
        """Do it all; gives the state it ended in."""
        event(_log, "sequence begins", name=self.name, run=self.id, who=self.who)
        state, detail = await self._outcome()
        event(_log, "sequence " + state, name=self.name, run=self.id, detail=detail.get("detail", ""))
        await self._telling(self.journal.end(state, detail))
        return state

    async def _outcome(self) -> tuple[str, dict[str, Any]]:
        try:
            await self._require()
        except StepError as error:
            return "refused", {"code": error.code, "detail": str(error)}
        try:
            async with asyncio.timeout(self.config.timeout_ms / 1000):
                await self._forward()
        except TimeoutError:
            seconds = self.config.timeout_ms / 1000
            detail: dict[str, Any] = {"code": "NX6833", "detail": f"it took longer than {seconds:g} s"}
        except StepError as error:
            detail = {"code": error.code, "detail": str(error), "step": self._number}
        except NexusError as error:
            detail = {"code": error.code, "detail": error.message, "step": self._number}
        else:
            return "done", {}
        undone = await self._back()
        state = "aborted" if detail["code"] == "NX6836" else "failed"
        return state, {**detail, "abort_branch": undone}

    async def _require(self) -> None:
        for text in self.config.requires:
            self._number += 1
            condition = self._condition(text)
            until_s = self.clock.monotonic_s() + FIRST_VALUES_S
            while (held := condition.holds(self.values)) is None and self.clock.monotonic_s() < until_s:
                await self.values.change(timeout_s=LOOK_S)
            words = {True: "done", False: "refused", None: "refused"}
            try:
                await self.journal.step(self._number, "requires", text, words[held], {})
            except NexusError as error:
                raise StepError(error.message, code=error.code) from None
            if not held:
                why = "has no value" if held is None else "does not hold"
                raise StepError(f"the precondition {why}: {text}", code="NX6832", state="refused")

    async def _forward(self) -> None:
        for step in self.config.steps:
            self._number += 1
            if self.aborted.is_set():
                raise StepError("aborted by a person", code="NX6836")
            await self._journalled(step, "steps")

    async def _back(self) -> str:
        """The abort branch: every step of it is tried, whatever becomes of the one before."""
        self.aborted.clear()
        failed = 0
        for step in self.config.on_abort:
            self._number += 1
            try:
                await self._journalled(step, "on_abort")
            except (StepError, NexusError) as error:
                failed += 1
                event(_log, "a step of the abort branch failed", level=logging.WARNING, run=self.id, cause=str(error))
        if not self.config.on_abort:
            return "none"
        return f"{failed} of {len(self.config.on_abort)} steps failed" if failed else "done"

    async def _journalled(self, step: StepConfig, branch: str) -> None:
        number = self._number
        begun = self.journal.step(number, branch, step.text, "begun", {})
        if branch == "steps":
            await begun
        else:  # making the machine safe does not wait for a database
            await self._telling(begun)
        try:
            detail = await self._do(step, number)
        except StepError as error:
            facts = {"code": error.code, "detail": str(error), **error.detail}
            await self._telling(self.journal.step(number, branch, step.text, error.state, facts))
            raise
        except NexusError as error:
            facts = {"code": error.code, "detail": error.message}
            await self._telling(self.journal.step(number, branch, step.text, "failed", facts))
            raise
        await self._telling(self.journal.step(number, branch, step.text, "done", detail))

    async def _telling(self, telling: Awaitable[None]) -> None:
        try:
            await telling
        except NexusError as error:
            event(_log, "the journal can't be written", level=logging.WARNING, run=self.id, cause=error.cause)

    async def _do(self, step: StepConfig, number: int) -> dict[str, Any]:
        if step.do == "write":
            return await self._write(step, number)
        if step.do == "publish":
            return await self._publish(step)
        if step.do == "until":
            return await self._until(step)
        await self._rest(step.wait_ms / 1000)
        return {}

    async def _write(self, step: StepConfig, number: int) -> dict[str, Any]:
        found = await self.hands.write(
            step.subject,
            command_id=f"{self.id}.{number}",
            value=step.value,
            expect=step.expect,
            expects=step.expects,
            timeout_s=step.timeout_ms / 1000,
            reason=f"sequence {self.name} {self.id} step {number} for {self.who}",
        )
        detail = {"command": found.id, "old": found.old, "written": found.value, "read_back": found.read_back}
        if found.state is State.DONE:
            return detail
        message = f"{step.subject}: {found.state.value}: {found.detail}"
        raise StepError(message, code=found.code or "NX6834", state=found.state.value, detail=detail)

    async def _publish(self, step: StepConfig) -> dict[str, Any]:
        message = self.messages.get(step.subject)
        if message is None:
            raise StepError(f"there is no message '{step.subject}'", code="NX6840", state="refused")
        try:
            topic, payload = render(message, step.fields)
        except MessageError as error:
            raise StepError(str(error), code="NX6841", state="refused") from None
        await self.hands.publish(topic, payload, qos=message.qos, retain=message.retain)
        return {"topic": topic}

    async def _until(self, step: StepConfig) -> dict[str, Any]:
        condition = self._condition(step.subject)
        until_s = self.clock.monotonic_s() + step.timeout_ms / 1000
        while not (held := condition.holds(self.values)):
            if self.aborted.is_set():
                raise StepError("aborted by a person", code="NX6836")
            left_s = until_s - self.clock.monotonic_s()
            if left_s <= 0:
                why = "a value of it is missing or BAD" if held is None else "it did not come true"
                raise StepError(f"{why} within {step.timeout_ms / 1000:g} s: {step.subject}", code="NX6833")
            await self.values.change(timeout_s=min(LOOK_S, left_s))
        return {}

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self.aborted.wait()
        except TimeoutError:
            return
        raise StepError("aborted by a person", code="NX6836")

    def _condition(self, text: str) -> Condition:
        try:
            return Condition(text, self.tags)
        except ExpressionError as error:
            raise StepError(f"the condition can't be evaluated: {error}", code="NX6832", state="refused") from None
