"""TCP proxies with faults: one for each connection of the runtime, all in the event loop of the run."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from tests.servers import free_port

PASS, RESET, SILENCE, HALF_OPEN, SLOW = "pass", "reset", "silence", "half-open", "slow"
MODES = (PASS, RESET, SILENCE, HALF_OPEN, SLOW)
CHUNK = 65_536
LINGER = struct.pack("ii", 1, 0)
"""Close with a reset instead of an end. Source: socket(7), SO_LINGER with time 0."""


@dataclass(frozen=True, slots=True)
class State:
    """What a proxy does at the moment.

    Attributes:
        mode: `pass`; `reset` breaks what is open and what comes; `silence` carries nothing and keeps everything, as a
            pulled cable does; `half-open` takes new connections that lead nowhere and lets the old ones be; `slow`
            delays every piece.
        delay_s: For `slow`.
    """

    mode: str = PASS
    delay_s: float = 0.0


class Proxy:
    """A listener on a port of its own that leads to another one.

    Attributes:
        port: Where to connect.
        carried: Bytes in both directions.
    """

    def __init__(self, target: int, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.port = port or free_port()
        self.carried = 0
        self._target, self._host = target, host
        self._state = State()
        self._changed = asyncio.Event()
        self._open: set[asyncio.StreamWriter] = set()
        self._handling, self._ended = 0, asyncio.Event()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Proxy]:
        """Listen as long as the block."""
        server = await asyncio.start_server(self._handle, self._host, self.port)
        try:
            yield self
        finally:
            server.close()
            self.set(State(RESET))
            await server.wait_closed()
            # A handler that is cancelled by the end of the loop would be an error in the log.
            while self._handling:
                await self._ended.wait()

    def set(self, state: State) -> None:
        """Behave differently from now on."""
        self._state = state
        self._changed.set()
        self._changed = asyncio.Event()
        if state.mode == RESET:
            for writer in list(self._open):
                _reset(writer)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        self._handling += 1
        onward: asyncio.StreamWriter | None = None
        try:
            if self._state.mode == RESET:
                return
            await self._passable(also=())
            answers, onward = await asyncio.open_connection(self._host, self._target)
            self._open.add(onward)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, onward))
                group.create_task(self._pump(answers, writer))
        except* (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            for end in (writer, onward):
                if end is not None:
                    self._open.discard(end)
                    _reset(end)
            self._handling -= 1
            self._ended.set()
            self._ended = asyncio.Event()

    async def _passable(self, *, also: tuple[str, ...]) -> None:
        """Wait while nothing is carried; `also` are further modes that carry."""
        while self._state.mode not in (PASS, SLOW, RESET, *also):
            await self._changed.wait()
        if self._state.mode == RESET:
            raise ConnectionResetError

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            await self._passable(also=(HALF_OPEN,))
            if self._state.mode == SLOW:
                await asyncio.sleep(self._state.delay_s)
                await self._passable(also=(HALF_OPEN,))
            writer.write(data)
            self.carried += len(data)
            await writer.drain()
        # One end has closed: both do, as the programs here never close one direction alone.
        raise ConnectionResetError


def _reset(writer: asyncio.StreamWriter) -> None:
    end = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
    writer.transport.abort()


@contextlib.asynccontextmanager
async def proxies(targets: Mapping[str, int]) -> AsyncIterator[dict[str, Proxy]]:
    """A proxy for each name, as long as the block.

    Args:
        targets: Port by name.
    """
    async with contextlib.AsyncExitStack() as stack:
        yield {name: await stack.enter_async_context(Proxy(port).running()) for name, port in targets.items()}
