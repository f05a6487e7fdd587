"""Keeps a gateway's devices as configured: from the local copy at the start, then from control, while it is active."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from typing import Any

from nexus_cli.backoff import Backoff
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.groups import Group
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.garbage import GARBAGE
from nexus_cli.runtime.gateway.aliases import Aliases
from nexus_cli.runtime.gateway.commands.commands import Commands
from nexus_cli.runtime.gateway.configuration import ConfigSource, Configuration, Difference
from nexus_cli.runtime.gateway.devices.absence import Absence
from nexus_cli.runtime.gateway.devices.device import DeviceRuntime
from nexus_cli.runtime.gateway.field.links import Links
from nexus_cli.runtime.gateway.instance import InstanceElection
from nexus_cli.runtime.gateway.observed import VERIFY_S, all_known, answer, verify
from nexus_cli.runtime.gateway.outbox.outbox import Outbox
from nexus_cli.runtime.gateway.pauses import Pauses
from nexus_cli.runtime.lifecycle import first_of
from nexus_cli.runtime.logging import event
from nexus_cli.wire.client import BrokerClient

_log = logging.getLogger("nexus.gateway")
ASK_AGAIN_S = 60.0
"""How often control is asked without a notice, in seconds (a retained notice can be lost with the broker's state)."""


class ConfigurationFollower:
    """Runs the devices that control assigns, and publishes what runs (`observed`).

    Attributes:
        problem: Why control can't be reached; None when it can.
        observed: The last published payload, b"" before the first.
        runs: By path, which recorded document a device runs (`Configuration.marks`), as of the last time that devices were
            taken up.
    """

    def __init__(
        self,
        configuration: Configuration,
        source: ConfigSource,
        *,
        client: BrokerClient,
        topic: str,
        clock: Clock,
        instance: str,
        election: InstanceElection,
        absence: Absence,
        links: Links,
        commands: Commands,
        outbox: Outbox,
        pauses: Pauses,
        aliases: Aliases,
        changed: Callable[[], None],
    ) -> None:
        """Join the parts; `observed` is published on `topic`, and `changed` is called when health has changed."""
        self.problem: NexusError | None = None
        self.observed = b""
        self.runs: dict[str, str] = {}
        self._configuration, self._source = configuration, source
        self._client, self._topic, self._clock, self._instance = client, topic, clock, instance
        self._duty, self._absence, self._links, self._commands = election, absence, links, commands
        self._outbox, self._pauses, self._aliases, self._changed = outbox, pauses, aliases, changed
        self._notice = asyncio.Event()

    def notice(self) -> None:
        """Check now whether the configuration has changed and whether this instance is active."""
        self._notice.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Run until stopped."""
        backoff = Backoff(first_s=0.5, cap_s=30.0)
        at_work = first = False
        async with Group() as verifying:
            while not stop.is_set():
                self._notice.clear()
                if self._duty.active != at_work:
                    at_work = first = self._duty.active
                    self._begin() if at_work else self._release()
                if not at_work:
                    await first_of(self._notice, stop, timeout_s=ASK_AGAIN_S)
                    continue
                if self._pauses.end_due():
                    self._run_devices()
                    self._changed()
                try:
                    await self._refresh(verifying, stop, announce_all=first)
                except NexusError as error:
                    if self.problem is None or self.problem.code != error.code:
                        event(_log, error.message, level=logging.WARNING, cause=error.cause)
                    self.problem = error
                    self._changed()
                    await self._wait(stop, backoff.next_s())
                    continue
                first = False
                self.problem = None
                backoff.reset()
                await self._wait(stop, ASK_AGAIN_S)

    async def _wait(self, stop: asyncio.Event, timeout_s: float) -> None:
        """Until a notice, the stop, the time, or the end of a device's time out of service."""
        await first_of(self._notice, stop, timeout_s=min(timeout_s, self._pauses.next_s()))

    async def greet(self) -> None:
        """Publish `observed` again, after a connect. Raises NexusError."""
        if self.observed and self._duty.active:
            await self._client.publish(self._topic, self.observed, retain=True)

    def _begin(self) -> None:
        if self._duty.foreign:
            self._duty.foreign = False
            self._absence.begin_anew()
        if self._configuration.devices:
            failed = self._run_devices()
            number = self._configuration.deployment
            event(_log, "started from the local copy", deployment=number, failed=len(failed))

    def _release(self) -> None:
        """Another instance is active: stop all reads, writes and live values."""
        self._links.apply({})
        self._commands.configured([])
        self.runs = {}

    def _run_devices(self) -> dict[str, str]:
        self._outbox.json_frames = self._configuration.frames == "json"
        self._outbox.compress = self._configuration.compress
        self._commands.signatures.configured(self._configuration.signatures)
        self._absence.paused = self._pauses.__contains__
        failed = self._links.apply(self._pauses.applied(self._configuration.devices))
        self._commands.configured(list(self._configuration.devices))
        self.runs = self._configuration.marks(without=failed)
        GARBAGE.changed()
        return failed

    async def _refresh(self, group: asyncio.TaskGroup, stop: asyncio.Event, *, announce_all: bool) -> None:
        configuration = self._configuration
        before = (configuration.deployment, configuration.digest)
        difference = await configuration.refresh(self._source)
        if not self._duty.active:
            return
        self._outbox.json_frames = configuration.frames == "json"
        self._outbox.compress = configuration.compress
        self._commands.signatures.configured(configuration.signatures)
        failed: dict[str, str] = {}
        paused = self._pauses.take(configuration.out_of_service)
        if difference.changed or difference.removed or announce_all or paused:
            failed = self._run_devices()
        self._aliases.take(configuration.aliases)
        if paused:
            self._changed()
        if (configuration.deployment, configuration.digest) == before and not announce_all:
            return
        if announce_all:
            difference.changed = list(configuration.devices)
        event(
            _log,
            "configuration applied",
            deployment=configuration.deployment,
            changed=len(difference.changed),
            removed=len(difference.removed),
            failed=len(failed) + len(difference.failed),
        )
        await self._observe(difference, failed)
        self._save()
        paths = set(difference.changed)
        devices = [one for one in self._links.devices() if one.path in paths]
        group.create_task(self._verify(difference, failed, devices, configuration.deployment, stop), name="verify")

    async def _verify(
        self,
        difference: Difference,
        failed: dict[str, str],
        devices: Iterable[DeviceRuntime],
        deployment: int,
        stop: asyncio.Event,
    ) -> None:
        until_s = self._clock.monotonic_s() + VERIFY_S
        changed = list(devices)
        while not all_known(changed) and self._clock.monotonic_s() < until_s and not stop.is_set():
            await self._clock.sleep(0.1)
        if deployment == self._configuration.deployment and self._duty.active:
            self._changed()  # health names the devices that give no value
            await self._observe(difference, failed, verification=verify(changed, paused=self._pauses.why))

    async def _observe(
        self, difference: Difference, failed: dict[str, str], *, verification: dict[str, Any] | None = None
    ) -> None:
        self.observed = answer(
            self._configuration,
            difference,
            failed,
            time_us=self._clock.now_us(),
            instance=self._instance,
            verification=verification,
        )
        self._changed()
        with contextlib.suppress(NexusError):  # sent again after the next connect
            await self._client.publish(self._topic, self.observed, retain=True)

    def _save(self) -> None:
        try:
            self._configuration.save()
        except OSError as error:
            event(_log, "the local copy of the configuration can't be written", level=logging.WARNING, cause=str(error))
