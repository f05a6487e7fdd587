"""Whenever a connection attempt or a statement is given up, nothing is left for the event loop to complain about."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest

from nexus_cli.database import connect
from nexus_cli.database.connect import close, open_connection
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings

READY = b"Z\0\0\0\5I"
VERSION = b"server_version\x0018.0\0"
WELCOME = (
    b"R\0\0\0\x08\0\0\0\0"
    + b"S"
    + struct.pack("!i", 4 + len(VERSION))
    + VERSION
    + b"K\0\0\0\x0c\0\0\0\1\0\0\0\2"
    + READY
)


@pytest.fixture
async def complaints() -> AsyncIterator[list[str]]:
    """What the loop's handler of exceptions received."""
    told: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(f"{context['message']}: {context.get('exception')!r}"))
    yield told
    loop.set_exception_handler(None)


@contextlib.asynccontextmanager
async def server(*, welcomes: bool) -> AsyncIterator[Settings]:
    """Speaks no TLS; then says nothing, or lets anybody in and says nothing to statements."""
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while welcomes:
                (size, _) = struct.unpack("!ii", await reader.readexactly(8))
                if size != 8:
                    await reader.readexactly(size - 8)
                    writer.write(WELCOME)
                    break
                writer.write(b"N")
            await ended.wait()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    try:
        yield Settings(site="a/b", database_url=f"postgresql://me@127.0.0.1:{port}/x", database_password="-")
    finally:
        ended.set()
        listening.close()


async def settle() -> None:
    """Let closed connections learn of it, then collect what is left of them."""
    for _ in range(5):
        await asyncio.sleep(0)
    gc.collect()


async def test_a_connection_attempt_given_up_at_any_moment_leaves_nothing(complaints: list[str]) -> None:
    async with server(welcomes=False) as settings:
        for turns in range(1, 40):
            attempt = asyncio.create_task(open_connection(settings))
            for _ in range(turns):
                await asyncio.sleep(0)
            attempt.cancel()
            await asyncio.wait({attempt})
            assert attempt.cancelled()
            del attempt
            await settle()
    assert complaints == []


async def test_an_attempt_that_fails_inside_the_loop_leaves_nothing(
    complaints: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    create = loop.create_connection

    async def too_late(*arguments: Any, **named: Any) -> Any:
        transport, _ = await create(*arguments, **named)
        transport.close()
        raise TimeoutError

    async with server(welcomes=False) as settings:
        monkeypatch.setattr(loop, "create_connection", too_late)
        with pytest.raises(NexusError) as caught:
            await open_connection(settings)
        assert caught.value.code == "NX6200"
        del caught  # its traceback holds on to everything
        await settle()
    assert complaints == []


async def test_a_server_that_answers_no_statement_is_waited_for_as_long_as_for_a_connection() -> None:
    async with server(welcomes=True) as settings:
        with pytest.raises(NexusError) as caught:
            await open_connection(settings, timeout_s=0.2)
        assert caught.value.code == "NX6200"


async def test_a_statement_cancelled_while_its_connection_ends_leaves_nothing(
    complaints: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answered(*_: Any, **__: Any) -> None:
        """What the server would be asked first."""

    monkeypatch.setattr(connect, "_refuse_pooler", answered)
    async with server(welcomes=True) as settings:
        for cut_first in (True, False):
            opened = await open_connection(settings)
            running = asyncio.create_task(opened.execute("SELECT 1"))
            await asyncio.sleep(0)
            if cut_first:
                opened.terminate()
            running.cancel()
            await asyncio.wait({running})
            await close(opened, timeout_s=0.1)
            del opened, running
            await settle()
    assert complaints == []
