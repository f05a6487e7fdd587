"""Orders of one device come one after the other, are bounded, remembered before the device is touched, and looked at again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from nexus_cli.diagnostics.groups import Group
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.model.proof import proof_s
from nexus_cli.runtime.gateway.commands.admission import Accepted
from nexus_cli.runtime.gateway.commands.execution import CommandResult, PendingCommand
from nexus_cli.runtime.gateway.commands.queue import GRACE_S, MOST_PER_DEVICE, MOST_WAITING, DeviceQueues
from nexus_cli.wire.command import Command, Report, State
from tests.simulated_time import LoopClock

pytestmark = pytest.mark.simulated_time
NOT_YET = CommandResult(state=State.FAILED, code="NX6815", detail="it holds 1 instead of 2", again=True)
SHOWN = CommandResult(state=State.DONE, read_back=2)


class Looking:
    """A device that shows what it was written after some time, on a clock of which only these looks take any."""

    def __init__(self, shown_s: float) -> None:
        self.shown_s, self.passed_s = shown_s, 0.0
        self.looks: list[float] = []
        self.driver = None

    async def sleep(self, delay_s: float) -> None:
        self.passed_s += delay_s

    def look_again(self, _: Any, first: CommandResult, looked: asyncio.Future[CommandResult]) -> Any:
        self.looks.append(round(self.passed_s, 3))
        looked.set_result(SHOWN if self.passed_s >= self.shown_s else first)
        return None

    def submit(self, work: Any, *, dropped: Any) -> bool:
        return True


async def looked_for(tag: TagConfig, *, shown_s: float) -> tuple[CommandResult, list[float]]:
    looking: Any = Looking(shown_s)
    none: Any = None
    lanes = DeviceQueues(
        gateway="gw", journal=none, execution=looking, supervisor=none, expired=none, ended=none, clock=looking
    )
    order: Any = SimpleNamespace(accepted=SimpleNamespace(tag=tag))
    wanted: PendingCommand = order
    return await lanes._look_again(wanted, looking, NOT_YET), looking.looks


@pytest.mark.parametrize(
    ("keys", "seconds"),
    [
        ({}, 0.75),
        ({"read_back": "none"}, 0.75),
        ({"read_back": "a/l/d/opened"}, 5.0),
        ({"read_back_timeout_ms": 200}, 0.2),
        ({"read_back_timeout_ms": 4_000}, 4.0),
        ({"read_back": "a/l/d/opened", "read_back_timeout_ms": 1_500}, 1.5),
        ({"read_back": "a/l/d/opened", "read_back_timeout_ms": 20_000}, 20.0),
    ],
)
async def test_a_value_is_looked_for_as_long_as_its_tag_says(keys: dict[str, Any], seconds: float) -> None:
    tag = TagConfig(type="uint16", writable=True, **keys)
    assert proof_s(tag) == seconds
    found, looks = await looked_for(tag, shown_s=float("inf"))
    assert found is NOT_YET
    assert looks[-1] == seconds, "the last look is at the end of the time, and none comes later"
    assert max(after - before for before, after in zip([0.0, *looks], looks, strict=False)) <= 1.0
    found, looks = await looked_for(tag, shown_s=seconds - 0.001)
    assert (found, looks[-1]) == (SHOWN, seconds), "what shows up late is a proof too"
    found, looks = await looked_for(tag, shown_s=0.1)
    assert (found, len(looks)) == (SHOWN, 1), "what shows up early ends it"


# --- the queues -------------------------------------------------------------------------------------------------

DONE = CommandResult(state=State.DONE)
LIFE_S = 10.0


class Plant:
    """A journal, links and devices that take a second for each order.

    Attributes:
        journal: Ids in the order in which they were remembered.
        log: When an order was begun (seconds after the start) and its id, and when it had ended.
        ended: Id, state and code of each order.
        link: False: the link takes no work. None: the device has no link.
        takes: False: the link takes work and never begins it.
    """

    driver = None

    def __init__(self) -> None:
        self.clock = LoopClock()
        self.begun_s = self.clock.monotonic_s()
        self.journal: list[str] = []
        self.log: list[tuple[float, str, str]] = []
        self.ended: list[tuple[str, State, str]] = []
        self.link: bool | None = True
        self.takes, self.expired, self.disk_full = True, False, False
        self.work: set[asyncio.Task[None]] = set()
        self.lanes = DeviceQueues(
            gateway="gw",
            journal=self,  # type: ignore[arg-type]
            execution=self,  # type: ignore[arg-type]
            supervisor=lambda _: None if self.link is None else self,  # type: ignore[arg-type,return-value]
            expired=lambda _: self.expired,
            ended=lambda order, ended: self.ended.append((order.command.id, ended.state, ended.code)),
            clock=self.clock,
        )

    async def begin(self, key: tuple[str, str], fingerprint: str, report: Report) -> None:
        """Remember an order."""
        if self.disk_full:
            raise OSError("no space left on device")
        assert report.response.state is State.UNKNOWN, "what a kill leaves behind"
        self.journal.append(key[1])

    def write(self, order: PendingCommand, driver: Any) -> PendingCommand:
        """The work of an order is the order."""
        return order

    def submit(self, work: PendingCommand, *, dropped: Any) -> bool:
        """A link that carries out each order in a second, those of several devices side by side."""
        if not self.link:
            return False
        assert self.journal[-1] == work.command.id, "it is remembered before the device is touched"
        if self.takes:
            task = asyncio.ensure_future(self._carry_out(work))
            self.work.add(task)
            task.add_done_callback(self.work.discard)
        return True

    async def _carry_out(self, order: PendingCommand) -> None:
        order.begun = True
        self.note("begin", order)
        await asyncio.sleep(1.0)
        self.note("end", order)
        order.finish(DONE)

    def note(self, word: str, order: PendingCommand) -> None:
        self.log.append((round(self.clock.monotonic_s() - self.begun_s, 3), word, order.command.id))

    def put(self, name: str, device: str = "a/l/d") -> PendingCommand:
        tag = TagConfig(type="uint16", address="1", writable=True)
        config = DeviceConfig(path=device, protocol="fake", tags={"t": tag})
        order = PendingCommand(
            path=f"{device}/t",
            principal="desk",
            command=Command(id=name, value=1, expires_at=1),
            received_us=1,
            deadline_s=self.clock.monotonic_s() + LIFE_S,
            accepted=Accepted(config, tag),
            fingerprint="f",
        )
        self.lanes.put(order)
        return order

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Plant]:
        """At the end every order has ended."""
        async with Group() as group:
            self.lanes.group = group
            yield self


async def test_orders_of_a_device_come_one_after_the_other_and_devices_side_by_side() -> None:
    async with Plant().running() as plant:
        for name, device in (("1", "a/l/d"), ("2", "a/l/d"), ("3", "a/l/e")):
            plant.put(name, device)
        assert plant.lanes.waiting == 3 and plant.lanes.holds(("desk", "2"))
    assert plant.log == [
        (0.0, "begin", "1"),
        (0.0, "begin", "3"),
        (1.0, "end", "1"),
        (1.0, "end", "3"),
        (1.0, "begin", "2"),
        (2.0, "end", "2"),
    ]
    assert [state for _, state, _ in plant.ended] == [State.DONE] * 3
    assert plant.lanes.waiting == 0 and not plant.lanes.holds(("desk", "2"))


async def test_a_device_and_the_gateway_take_so_many_orders_and_no_more() -> None:
    async with Plant().running() as plant:
        for at in range(MOST_PER_DEVICE):
            assert not plant.lanes.full("a/l/d0")
            plant.put(f"{at}", "a/l/d0")
        assert plant.lanes.full("a/l/d0") and not plant.lanes.full("a/l/d1")
        for at in range(MOST_PER_DEVICE, MOST_WAITING):
            plant.put(f"{at}", f"a/l/d{at // MOST_PER_DEVICE}")
        assert plant.lanes.full("a/l/another")
    assert len(plant.ended) == MOST_WAITING


@pytest.mark.parametrize(
    ("change", "code", "remembered"),
    [
        ({"expired": True}, "NX6808", 0),
        ({"link": None}, "NX6812", 0),
        ({"link": False}, "NX6812", 1),
        ({"disk_full": True}, "NX6818", 0),
    ],
)
async def test_what_can_not_be_carried_out_is_refused_with_its_code_and_the_next_one_is_not(
    change: dict[str, Any], code: str, remembered: int
) -> None:
    plant = Plant()
    for name, value in change.items():
        setattr(plant, name, value)
    async with plant.running():
        plant.put("1")
        await asyncio.sleep(0.1)
        assert (plant.ended, len(plant.journal), plant.log) == ([("1", State.REFUSED, code)], remembered, [])
        plant.link, plant.expired, plant.disk_full = True, False, False
        plant.put("2")
    assert plant.ended[1:] == [("2", State.DONE, "")]


async def test_the_end_of_the_gateway_refuses_what_has_not_begun_and_waits_for_what_has() -> None:
    async with Plant().running() as plant:
        plant.put("1")
        plant.put("2")
        await asyncio.sleep(0.5)
        plant.lanes.closing = True
    assert plant.ended == [("1", State.DONE, ""), ("2", State.REFUSED, "NX6812")]


async def test_an_order_that_its_link_never_begins_is_withdrawn_after_its_expiry() -> None:
    plant = Plant()
    plant.takes = False
    async with plant.running():
        order = plant.put("1")
        await asyncio.sleep(LIFE_S + GRACE_S - 0.01)
        assert plant.ended == [] and not order.withdrawn
        await asyncio.sleep(0.02)
        assert plant.ended == [("1", State.REFUSED, "NX6808")] and order.withdrawn


async def test_an_order_that_has_begun_is_waited_for_however_long_it_takes() -> None:
    plant = Plant()
    plant.takes = False
    async with plant.running():
        order = plant.put("1")
        order.begun = True
        await asyncio.sleep(1000.0)
        assert plant.ended == []
        order.finish(DONE)
    assert plant.ended == [("1", State.DONE, "")]


async def test_an_order_whose_link_is_lost_before_its_turn_was_never_sent() -> None:
    plant = Plant()
    plant.takes = False
    async with plant.running():
        order = plant.put("1")
        await asyncio.sleep(0.1)
        order.dropped("connection reset")
    assert plant.ended == [("1", State.REFUSED, "NX6812")]
