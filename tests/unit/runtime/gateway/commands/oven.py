"""A device that commands write: its registers are a dictionary, and a deployment comes when the test says so."""

from __future__ import annotations

import asyncio
from typing import Any

from nexus_cli.drivers.base import DriverError, Point, ReadResult, Request, Scope
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.runtime.gateway.commands.admission import Clocks, Rejection, admit
from nexus_cli.runtime.gateway.commands.execution import CommandResult, Execution, PendingCommand
from nexus_cli.runtime.gateway.devices.device import device_runtime
from nexus_cli.wire.command import Command, State
from tests.clock import FakeClock
from tests.field import FakeDriver
from tests.recorded import Recorded, pipeline_into

PATH = "a/l/oven"
NOW_US = 1_700_000_000_000_000
MOMENTS = ("waiting", "expecting", "writing", "reading back", "never")


class Oven:
    """A device whose registers are a dictionary, and a deployment that comes when it is told to.

    Attributes:
        registers: Raw values by address.
        wire: Writes, (address, raw), in order.
        refuse: What a write raises.
    """

    def __init__(self, before: DeviceConfig, after: DeviceConfig, *, moment: str = "never") -> None:
        self.registers: dict[str, Any] = {}
        self.wire: list[tuple[str, Any]] = []
        self.refuse: DriverError | None = None
        self.takes: Any = None
        self.after, self.moment, self.reads = after, moment, 0
        self.recorded = Recorded()
        self.pipeline = pipeline_into(self.recorded, FakeClock())
        self.driver = FakeDriver()
        self.device = device_runtime(before, "1", self.driver)
        self.pipeline.configure([self.device])
        self.execution = Execution(pipeline=self.pipeline, find=self.find, expired=lambda order: False)

    def find(self, path: str) -> Any:
        """The device that runs now."""
        return self.device if path == PATH else None

    def deploy(self, moment: str) -> None:
        """The configuration changes, if this is the moment."""
        if moment == self.moment:
            self.moment = ""
            self.device = device_runtime(self.after, "2", self.driver)
            self.pipeline.configure([self.device])

    async def read(self, request: Request) -> ReadResult:
        """Answer; the deployment comes while the answer is on its way."""
        self.reads += 1
        values = [self.registers.get(point.address, 0) for point in request.points]
        self.deploy("reading back" if self.wire else "expecting")
        return ReadResult(values)

    async def write(self, path: str, point: Point, value: Any) -> None:
        """Take a value; the deployment comes while it is on its way."""
        self.wire.append((point.address, value))
        if self.refuse is not None:
            raise self.refuse
        self.registers[point.address] = value if self.takes is None else self.takes
        self.deploy("writing")

    def carry_out(self, command: Command) -> CommandResult:
        """From the arrival to the answer."""

        async def run() -> CommandResult:
            verdict = admit(self.device, "set", command, Clocks(lambda: NOW_US))
            if isinstance(verdict, Rejection):
                return CommandResult(state=State.REFUSED, code=verdict.code, detail=verdict.detail)
            order = PendingCommand(
                path=f"{PATH}/set",
                principal="op",
                command=command,
                received_us=0,
                deadline_s=1e18,
                accepted=verdict,
                fingerprint="",
            )
            self.deploy("waiting")
            work = self.execution.write(order, self.driver)
            try:
                await work(self)  # type: ignore[arg-type]
            except DriverError as error:
                assert error.scope is Scope.SESSION
            return await order.ended

        return asyncio.run(run())


def command(value: Any, **keys: Any) -> Command:
    return Command(id="1", value=value, expires_at=NOW_US + 10_000_000, **keys)


def oven(**keys: Any) -> DeviceConfig:
    """A setpoint, and a place where it shows."""
    tag = TagConfig(**{"type": "int16", "address": "5", "writable": True, **keys})
    shown = TagConfig(type=tag.type, address="70", scale=tag.scale)
    return DeviceConfig(path=PATH, protocol="fake", link="x", gateway="gw-1", tags={"set": tag, "shown": shown})
