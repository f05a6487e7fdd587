"""Commands of one gateway: received on their own MQTT session, checked, queued per device, executed once, answered.

This session is separate from the one for frames and starts clean, so the broker delivers no command that was queued
during an outage, and a broker that refuses the subscription does not stop the data.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.groups import Group
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.commands.admission import Accepted, Clocks, Rejection, admit, misnamed
from nexus_cli.runtime.gateway.commands.execution import CommandResult, Execution, PendingCommand
from nexus_cli.runtime.gateway.commands.journal import Journal, unknown
from nexus_cli.runtime.gateway.commands.queue import DeviceQueues, make_report, report_of
from nexus_cli.runtime.gateway.commands.replies import Replies, Reports
from nexus_cli.runtime.gateway.commands.signed import SignatureGuard, id_of
from nexus_cli.runtime.gateway.devices.device import DeviceRuntime
from nexus_cli.runtime.gateway.field.links import Links
from nexus_cli.runtime.gateway.field.supervisor import Supervisor
from nexus_cli.runtime.gateway.outbox.outbox import Outbox
from nexus_cli.runtime.gateway.pipeline import Pipeline
from nexus_cli.runtime.latency import Latency
from nexus_cli.runtime.logging import event
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.command import Command, CommandError, Report, Response, State, decode_command
from nexus_cli.wire.message import Message
from nexus_cli.wire.topic import Topics

_log = logging.getLogger("nexus.commands")
LONGEST_PRINCIPAL = 128


class RateLimit:
    """A token bucket: `most` at once, then `per_s` per second."""

    def __init__(self, clock: Clock, *, most: float = 200.0, per_s: float = 20.0) -> None:
        """Start full."""
        self._clock, self._most, self._per_s = clock, most, per_s
        self._left, self._at_s = most, clock.monotonic_s()

    def take(self) -> bool:
        """Take one; False when none is left."""
        now_s = self._clock.monotonic_s()
        self._left = min(self._most, self._left + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class Commands:
    """Receives the commands for the devices of one gateway, and answers and reports each.

    Attributes:
        counts: Commands by final state.
        ignored: Messages that are not commands for this gateway (another gateway's devices, malformed topics).
        signatures: Which commands prove who sent them.
        unreported: Refused commands above the rate limit: answered and counted, but not reported one by one.
    """

    def __init__(
        self,
        *,
        gateway: str,
        topics: Topics,
        client: BrokerClient,
        links: Links,
        outbox: Outbox,
        journal: Journal,
        pipeline: Pipeline,
        clock: Clock,
        clocks: Clocks,
        latency: Latency,
        paused: Callable[[str], str],
        own_keys: Mapping[str, str],
    ) -> None:
        """Join the parts; `run` does the work.

        `latency` gets the time from the arrival of each accepted command to its answer; `paused` says why a device is out
        of service for a while, "" when it is not; `own_keys` are those of `SignatureGuard`.
        """
        self.counts: Counter[str] = Counter()
        self.ignored = 0
        self.unreported = 0
        self._gateway, self._topics, self._client = gateway, topics, client
        self._links, self._journal, self._clock, self._clocks, self._paused = links, journal, clock, clocks, paused
        self._replies = Replies(client, topics)
        self._reports = Reports(outbox, journal, topics.audit(gateway))
        self._subscriptions: list[tuple[str, int]] = []
        self._queues = DeviceQueues(
            gateway=gateway,
            journal=journal,
            execution=Execution(pipeline=pipeline, find=self._device, expired=self._expired),
            supervisor=self._supervisor,
            expired=self._expired,
            ended=self._ended,
            clock=clock,
        )
        self._latency = latency
        self._wanted = asyncio.Event()
        self._report_rate = RateLimit(clock)
        self.signatures = SignatureGuard(clocks, own=own_keys)

    @property
    def waiting(self) -> int:
        """Commands that wait or are being executed."""
        return self._queues.waiting

    @property
    def connected(self) -> bool:
        """True while the command session is connected."""
        return self._client.connected

    @property
    def problem(self) -> str:
        """Why it is not; "" when nothing is known."""
        return self._client.problem.message if self._client.problem else ""

    def facts(self) -> dict[str, Any]:
        """For health and status."""
        return {
            **{state.value: self.counts[state.value] for state in State},
            "waiting": self.waiting,
            "remembered": len(self._journal),
            "failing": self._journal.failing,
            "connected": self._client.connected,
        }

    def configured(self, devices: Sequence[str]) -> None:
        """Subscribe to the commands of these devices (paths) from now on."""
        # A broker delivers with the lower QoS of publish and subscription (MQTT 3.1.1 §3.8.4): 2 keeps the sender's.
        self.signatures.took(devices)
        filters = [(f"{self._topics.platform}/cmd/{path}/+/+", 2) for path in sorted(devices)]
        if filters != self._subscriptions:
            self._subscriptions[:] = filters
            self._wanted.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until stopped; then no new command is accepted, and those that a device is executing are awaited."""
        self._finish_earlier_run()
        replies_stop, client_stop = asyncio.Event(), asyncio.Event()
        async with Group() as outer:
            outer.create_task(
                self._client.run(
                    client_stop,
                    subscriptions=self._subscriptions,
                    on_message=self._receive,
                    on_connected=self._connected,
                ),
                name="command session",
            )
            answering = outer.create_task(self._replies.run(replies_stop), name="answers")
            async with Group() as group:
                self._queues.group = group
                following = group.create_task(self._follow(), name="command subscriptions")
                await stop.wait()
                self._queues.closing = True
                following.cancel()
            replies_stop.set()
            self._replies.wake()
            await answering
            client_stop.set()

    def _finish_earlier_run(self) -> None:
        for key in self._journal.in_flight:
            entry = self._journal.find(key)
            if entry is None or entry.ended:
                continue
            report = unknown(entry.report, time_us=self._clock.now_us())
            event(_log, "a command was in flight at the last end", level=logging.WARNING, path=report.response.path)
            self._journal.end(key, entry.fingerprint, report)
            self.counts[State.UNKNOWN.value] += 1
            self._replies.put(report)
        self._reports.again()

    async def _connected(self) -> None:
        self._replies.wake()

    async def _follow(self) -> None:
        """Subscribe to the devices that a new configuration adds; messages for removed ones are ignored on arrival."""
        have: set[tuple[str, int]] = set(self._subscriptions)
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            fresh = [one for one in self._subscriptions if one not in have]
            have = set(self._subscriptions)
            if fresh and self._client.connected:
                try:
                    await self._client.subscribe(fresh)
                except NexusError as error:
                    event(_log, error.message, level=logging.WARNING, cause=error.cause)

    # --- receiving ---------------------------------------------------------------------------------------------

    def _receive(self, message: Message) -> None:
        """Check each message and queue or refuse it. Runs on the event loop."""
        split = self._topics.split_command(message.topic)
        if split is None or not message.payload:
            self.ignored += bool(message.payload)
            return
        if message.retain:
            self._clear(message.topic)
        path, principal = split
        device_path, _, tag = path.rpartition("/")
        device = self._device(device_path)
        if device is None or self._queues.closing or len(principal) > LONGEST_PRINCIPAL or not principal.isprintable():
            self.ignored += 1
            return
        payload = self.signatures.open(message.topic, principal, message.payload, device=device_path)
        if isinstance(payload, Rejection):
            self._refuse_unproven(path, principal, payload, message.payload)
            return
        try:
            command = decode_command(payload)
        except CommandError as error:
            self._refuse(path, principal, Rejection("NX6801", str(error)), id=error.id)
            return
        fingerprint = command.fingerprint(path)
        if self._known(path, principal, command, fingerprint):
            return
        if message.retain:
            rejection = Rejection(
                "NX6809", "a retained command would run again at every connect; it is never carried out"
            )
            self._refuse(path, principal, rejection, command=command)
            return
        if forged := misnamed(principal, command):
            # On record under the sender's name alone: no person is named for what another one asked for.
            self._refuse(path, principal, forged, command=msgspec.structs.replace(command, asked_by=""))
            return
        verdict = admit(device, tag, command, self._clocks, paused=self._paused(device_path))
        if isinstance(verdict, Accepted):
            self._take(path, principal, command, fingerprint, verdict)
        else:
            self._refuse(path, principal, verdict, command=command)

    def _clear(self, topic: str) -> None:
        """Delete a retained command from the broker, which would send it at every connect."""
        with contextlib.suppress(NexusError):  # the connection is gone; the broker sends it again on the next one
            self._client.post(topic, b"", qos=1, retain=True)

    def _known(self, path: str, principal: str, command: Command, fingerprint: str) -> bool:
        """True when the id was used before: an ended command is answered again, a running one is answered when it
        ends."""
        key = (principal, command.id)
        entry = self._journal.find(key)
        if entry is None:
            return self._queues.holds(key)
        if entry.fingerprint != fingerprint:
            response = Response(
                id=command.id,
                state=State.REFUSED,
                path=path,
                time=self._clock.now_us(),
                code="NX6817",
                detail="this id was used for another command; every command needs an id of its own",
            )
            self._replies.put(self._report(principal, command, response))
            return True
        if entry.ended:
            self._replies.put(entry.report)
        return True

    def _take(self, path: str, principal: str, command: Command, fingerprint: str, accepted: Accepted) -> None:
        supervisor = self._supervisor(path.rpartition("/")[0])
        rejection = None
        if supervisor is None or not supervisor.connected:
            detail = supervisor.state.detail if supervisor is not None else ""
            rejection = Rejection("NX6812", "the link to the device is down" + (f": {detail}" if detail else ""))
        elif self._queues.full(path.rpartition("/")[0]):
            rejection = Rejection("NX6811", "too many commands wait for this device; try again when they are through")
        elif self._journal.full(self._clock.now_us()):
            rejection = Rejection("NX6818", "the gateway can't remember more commands right now")
        if rejection is not None:
            self._refuse(path, principal, rejection, command=command)
            return
        left_s, now_s = (command.expires_at - self._clocks.wall_us()) / 1e6, self._clock.monotonic_s()
        pending = PendingCommand(
            path=path,
            principal=principal,
            command=command,
            received_us=self._clock.now_us(),
            received_s=now_s,
            deadline_s=now_s + left_s,
            accepted=accepted,
            fingerprint=fingerprint,
        )
        self._queues.put(pending)

    def _refuse(
        self, path: str, principal: str, rejection: Rejection, *, command: Command | None = None, id: str = ""
    ) -> None:
        response = Response(
            id=command.id if command is not None else id,
            state=State.REFUSED,
            path=path,
            time=self._clock.now_us(),
            code=rejection.code,
            detail=rejection.detail,
        )
        report = self._report(principal, command, response)
        self._conclude((principal, response.id), command.fingerprint(path) if command else "", report)

    def _refuse_unproven(self, path: str, principal: str, rejection: Rejection, payload: bytes) -> None:
        """Answer and report; the journal does not have it: a forged message must not use up an id."""
        now_us, command_id = self._clock.now_us(), id_of(payload)
        response = Response(
            id=command_id, state=State.REFUSED, path=path, time=now_us, code=rejection.code, detail=rejection.detail
        )
        report = self._report(principal, None, response)
        self.counts[State.REFUSED.value] += 1
        self._replies.put(report)
        if not self._report_rate.take():
            self.unreported += 1
            return
        event(
            _log,
            "command refused",
            level=logging.WARNING,
            path=path,
            who=principal,
            id=command_id,
            code=rejection.code,
            detail=rejection.detail,
        )
        said = f"{rejection.detail}; id {command_id}" if command_id else rejection.detail
        self._reports.put(
            (principal, ""), self._report(principal, None, msgspec.structs.replace(response, id="", detail=said))
        )

    # --- results -----------------------------------------------------------------------------------------------

    def _ended(self, pending: PendingCommand, ended: CommandResult) -> None:
        response = Response(
            id=pending.command.id,
            state=ended.state,
            path=pending.path,
            time=self._clock.now_us(),
            value=ended.value,
            old=ended.old,
            read_back=ended.read_back,
            unit=pending.accepted.tag.publish_unit,
            code=ended.code,
            detail=ended.detail,
        )
        self._conclude(pending.key, pending.fingerprint, report_of(pending, response, gateway=self._gateway))
        self._latency.ended(pending.received_s)

    def _conclude(self, key: tuple[str, str], fingerprint: str, report: Report) -> None:
        """Journal, answer, report; in this order, so that an answered id is never executed again."""
        state = report.response.state.value
        self.counts[state] += 1
        if report.response.state is State.REFUSED and not self._report_rate.take():
            # A flood of invalid commands is answered and counted, but must not push samples out of the outbox.
            self.unreported += 1
            self._replies.put(report)
            return
        level = logging.INFO if report.response.state is State.DONE else logging.WARNING
        event(
            _log,
            "command " + state,
            level=level,
            path=report.response.path,
            who=report.asked_by or report.principal,
            id=report.response.id,
            code=report.response.code,
            detail=report.response.detail,
        )
        if report.response.id:
            self._journal.end(key, fingerprint, report)
        self._replies.put(report)
        self._reports.put(key, report)

    # --- lookups -----------------------------------------------------------------------------------------------

    def _report(self, principal: str, command: Command | None, response: Response) -> Report:
        return make_report(principal, command, response, gateway=self._gateway, received_us=response.time)

    def _expired(self, pending: PendingCommand) -> bool:
        """By the wall clock and by the elapsed time: a clock that is set back does not revive a command."""
        return self._clocks.wall_us() >= pending.command.expires_at or self._clock.monotonic_s() >= pending.deadline_s

    def _device(self, path: str) -> DeviceRuntime | None:
        supervisor = self._supervisor(path)
        return supervisor.devices.get(path) if supervisor is not None else None

    def _supervisor(self, device: str) -> Supervisor | None:
        return next((one for one in self._links.supervisors.values() if device in one.devices), None)
