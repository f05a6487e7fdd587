"""A part in a process of its own, and how often something can be asked of it."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

START_S = 60.0


class PerSecond(NamedTuple):
    """How often something happened, per second of this process's CPU and by the clock."""

    cpu: float
    wall: float


@contextmanager
def process(target: Callable[..., None], *arguments: object) -> Iterator[Connection]:
    """A process that ends when the block does; gives our end of its pipe.

    Args:
        target: A function of a module (the new process imports it); its first argument is the other end.
        arguments: Its further ones.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    child = context.Process(target=target, args=(there, *arguments), daemon=True)
    child.start()
    try:
        yield here
    finally:
        with suppress(OSError):
            here.send(None)
        child.join(10)
        child.terminate()


@contextmanager
def served(open_server: Callable[[], Awaitable[Any]]) -> Iterator[Any]:
    """A simulator in a process of its own; gives its `port` and ends it.

    Args:
        open_server: A function of a module that gives an open simulator.
    """
    with process(_serve, open_server) as pipe:
        if not pipe.poll(START_S):
            raise TimeoutError("the simulator did not start")
        yield pipe.recv()


def _serve(pipe: Connection, open_server: Callable[[], Awaitable[Any]]) -> None:
    async def main() -> None:
        simulator = await open_server()
        pipe.send(simulator.port)
        await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
        await simulator.close()

    asyncio.run(main())


async def repeat(asks: Sequence[Callable[[], Awaitable[Any]]], *, seconds: float) -> PerSecond:
    """Ask again and again, each of `asks` in a task of its own."""
    count = 0
    end = time.monotonic() + seconds

    async def loop(ask: Callable[[], Awaitable[Any]]) -> None:
        nonlocal count
        while time.monotonic() < end:
            await ask()
            count += 1

    cpu, wall = time.process_time(), time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number, ask in enumerate(asks):
            group.create_task(loop(ask), name=f"ask {number}")
    return PerSecond(count / (time.process_time() - cpu), count / (time.monotonic() - wall))


async def once(ask: Callable[[], Awaitable[int]]) -> PerSecond:
    """Ask one time; what it gives is how many things it brought."""
    cpu, wall = time.process_time(), time.monotonic()
    count = await ask()
    return PerSecond(count / (time.process_time() - cpu), count / (time.monotonic() - wall))
