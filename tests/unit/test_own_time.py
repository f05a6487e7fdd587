"""The clock of loaded tests: work and waits count, what the machine takes away does not."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import time
from typing import Any

from tests.own_clock import OwnTime
from tests.own_time import OwnTimeLoop, own_clock, own_time


class Machine:
    """A thread's two clocks, turned by hand."""

    def __init__(self) -> None:
        self.cpu_s = 5.0
        self.wall_s = 100.0

    def work(self, seconds: float, *, taken_away: float = 0.0) -> None:
        """Use the processor, with so long an interruption."""
        self.cpu_s += seconds
        self.wall_s += seconds + taken_away

    def selecting(self, *, ready: bool = False, after: float = 0.0) -> Any:
        """A select: ready at once, or something after so many seconds."""

        def select(timeout_s: float | None) -> list[str]:
            if timeout_s == 0:
                return ["ready"] if ready else []
            self.wall_s += after
            return ["came"]

        return select


def test_work_counts_and_an_interruption_does_not() -> None:
    machine = Machine()
    own = OwnTime(cpu_s=lambda: machine.cpu_s, monotonic_s=lambda: machine.wall_s)
    began_s = own.now_s()
    machine.work(0.25, taken_away=3.0)
    assert own.now_s() - began_s == 0.25


def test_a_wait_counts_up_to_its_timer() -> None:
    machine = Machine()
    own = OwnTime(cpu_s=lambda: machine.cpu_s, monotonic_s=lambda: machine.wall_s)
    began_s = own.now_s()
    assert own.wait(machine.selecting(after=0.5), 2.0) == ["came"]
    assert own.now_s() - began_s == 0.5
    own.wait(machine.selecting(after=7.0), 2.0)
    assert own.now_s() - began_s == 2.5, "it was woken five seconds late"
    own.wait(machine.selecting(after=4.0), None)
    assert own.now_s() - began_s == 6.5, "without a timer the whole wait counts"


def test_what_is_ready_takes_no_time() -> None:
    machine = Machine()
    own = OwnTime(cpu_s=lambda: machine.cpu_s, monotonic_s=lambda: machine.wall_s)
    began_s = own.now_s()
    assert own.wait(machine.selecting(ready=True, after=9.0), 2.0) == ["ready"]
    assert own.wait(machine.selecting(after=9.0), 0.0) == []
    assert own.now_s() == began_s


def test_the_loop_lives_on_it() -> None:
    async def live() -> tuple[float, float, bytes, int]:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        await asyncio.sleep(0.05)
        slept_s = loop.time() - began_s
        began_s = loop.time()
        time.sleep(0.2)  # as if another process had the machine
        blocked_s = loop.time() - began_s
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            theirs.setblocking(False)
            await loop.sock_sendall(ours, b"whole")
            heard = await loop.sock_recv(theirs, 10)
        before_us = own_clock().now_us()
        return slept_s, blocked_s, heard, before_us

    with asyncio.Runner(loop_factory=OwnTimeLoop) as runner:
        slept_s, blocked_s, heard, now_us = runner.run(live())
    assert slept_s >= 0.05
    assert blocked_s < 0.2, f"processor time only ({os.cpu_count()} processors)"
    assert heard == b"whole"
    assert abs(now_us - time.time() * 1e6) < 3600e6


def test_each_of_many_tests_does_not_scan_what_the_others_brought() -> None:
    kept = [[number] for number in range(100)]
    gc.unfreeze()
    with own_time():
        assert not any(each is kept[0] for each in gc.get_objects()), "set aside"
        later = [[number] for number in range(100)]
    with own_time():
        assert any(each is later[0] for each in gc.get_objects()), "once: what a test leaves can be collected"
