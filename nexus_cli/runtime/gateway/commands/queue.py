"""Command queues, one per device: journal a command, submit it to the link, await its result, read the value back."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from itertools import chain, repeat

import msgspec

from nexus_cli.model.proof import proof_s
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.commands.execution import CommandResult, Execution, PendingCommand
from nexus_cli.runtime.gateway.commands.journal import Journal
from nexus_cli.runtime.gateway.field.supervisor import Supervisor
from nexus_cli.wire.command import Command, Report, Response, State

MOST_PER_DEVICE = 16
"""Commands that wait for one device (policy: refuse the newest at once)."""
MOST_WAITING = 256
"""Commands that wait for any device (policy: refuse the newest at once)."""
LOOK_AGAIN_S = (0.15, 0.6, 1.0)
"""Delays before another read-back of a value that the device has not applied yet, in seconds after the previous read;
the last one repeats until the time for the read-back is over."""
GRACE_S = 2.0
"""How long after its expiry the queue waits for a command that has not begun, in seconds; then it is withdrawn."""


class DeviceQueues:
    """One queue per device, each with a task while it is not empty.

    Attributes:
        closing: True once the gateway is stopping: commands that have not begun are refused.
    """

    group: asyncio.TaskGroup

    def __init__(
        self,
        *,
        gateway: str,
        journal: Journal,
        execution: Execution,
        supervisor: Callable[[str], Supervisor | None],
        expired: Callable[[PendingCommand], bool],
        ended: Callable[[PendingCommand, CommandResult], None],
        clock: Clock,
    ) -> None:
        """Join the parts.

        Args:
            gateway: Its name, for the reports.
            journal: Records a command before it is written.
            execution: Executes it on a session.
            supervisor: Gives the link's supervisor by device path.
            expired: Whether a command has expired.
            ended: Called with the result of each command.
            clock: Time.
        """
        self.closing = False
        self._gateway, self._journal, self._execution = gateway, journal, execution
        self._supervisor, self._expired, self._ended, self._clock = supervisor, expired, ended, clock
        self._queues: dict[str, deque[PendingCommand]] = {}
        self._running: set[tuple[str, str]] = set()

    @property
    def waiting(self) -> int:
        """Commands that wait or are being executed."""
        return sum(len(queue) for queue in self._queues.values())

    def holds(self, key: tuple[str, str]) -> bool:
        """True when this command waits or is being executed."""
        return key in self._running

    def full(self, device: str) -> bool:
        """True when the queue of this device, or all of them together, take no further command."""
        return len(self._queues.get(device, ())) >= MOST_PER_DEVICE or self.waiting >= MOST_WAITING

    def put(self, pending: PendingCommand) -> None:
        """Queue a command; the caller has checked `full`."""
        self._running.add(pending.key)
        queue = self._queues.get(pending.device)
        if queue is not None:
            queue.append(pending)
            return
        self._queues[pending.device] = deque([pending])
        self.group.create_task(self._work_off(pending.device), name=f"commands {pending.device}")

    async def _work_off(self, device: str) -> None:
        queue = self._queues[device]
        while queue:
            pending = queue[0]
            ended = await self._carry_out(pending)
            queue.popleft()
            self._ended(pending, ended)
            self._running.discard(pending.key)
        del self._queues[device]

    async def _carry_out(self, pending: PendingCommand) -> CommandResult:
        supervisor = self._supervisor(pending.device)
        if self.closing:
            return CommandResult(state=State.REFUSED, code="NX6812", detail="the gateway is ending")
        if self._expired(pending):
            return CommandResult(state=State.REFUSED, code="NX6808", detail="it expired while others were carried out")
        if supervisor is None:
            return CommandResult(state=State.REFUSED, code="NX6812", detail="the device is not configured any more")
        in_flight = Response(id=pending.command.id, state=State.UNKNOWN, path=pending.path)
        report = report_of(pending, in_flight, gateway=self._gateway)
        try:
            await self._journal.begin(pending.key, pending.fingerprint, report)
        except OSError as error:
            return CommandResult(
                state=State.REFUSED, code="NX6818", detail=f"the record of commands can't be written: {error}"
            )
        if not supervisor.submit(self._execution.write(pending, supervisor.driver), dropped=pending.dropped):
            return CommandResult(state=State.REFUSED, code="NX6812", detail="the link was lost before the write began")
        ended = await self._outcome(pending)
        return await self._look_again(pending, supervisor, ended) if ended.again else ended

    async def _outcome(self, pending: PendingCommand) -> CommandResult:
        """Await the result; a command that has not begun is withdrawn `GRACE_S` after its expiry."""
        left_s = max(0.0, pending.deadline_s - self._clock.monotonic_s()) + GRACE_S
        await asyncio.wait((pending.ended,), timeout=left_s)
        if not pending.ended.done() and not pending.begun:
            pending.withdrawn = True
            pending.finish(
                CommandResult(state=State.REFUSED, code="NX6808", detail="it expired while it waited for its link")
            )
        return await pending.ended

    async def _look_again(self, pending: PendingCommand, supervisor: Supervisor, first: CommandResult) -> CommandResult:
        found = first
        left_s = proof_s(pending.accepted.tag)
        delays = chain(LOOK_AGAIN_S, repeat(LOOK_AGAIN_S[-1]))
        while left_s > 0 and not self.closing:
            delay_s = min(left_s, next(delays))
            left_s -= delay_s
            await self._clock.sleep(delay_s)
            looked: asyncio.Future[CommandResult] = asyncio.get_running_loop().create_future()

            def dropped(_: str, looked: asyncio.Future[CommandResult] = looked) -> None:
                if not looked.done():
                    looked.set_result(first)

            work = self._execution.look_again(supervisor.driver, first, looked)
            if not supervisor.submit(work, dropped=dropped):
                return first
            found = await looked
            if not found.again:
                return found
        return found


def report_of(pending: PendingCommand, response: Response, *, gateway: str) -> Report:
    """The report of a pending command."""
    return make_report(pending.principal, pending.command, response, gateway=gateway, received_us=pending.received_us)


def make_report(
    principal: str, command: Command | None, response: Response, *, gateway: str, received_us: int
) -> Report:
    """The report of a command; None is for a message that could not be decoded."""
    return Report(
        epoch="",
        seq=0,
        gateway=gateway,
        principal=principal,
        received=received_us,
        response=response,
        asked=command.value if command is not None else None,
        expect=None if command is None or command.expect is msgspec.UNSET else command.expect,
        expires_at=command.expires_at if command is not None else 0,
        reason=command.reason if command is not None else "",
        asked_by=command.asked_by if command is not None else "",
    )
