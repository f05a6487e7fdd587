"""The HTTP side of a role: answers leave at once."""

from __future__ import annotations

import asyncio
import socket

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.health import _listen
from tests.waiting import PATIENCE_S


async def test_accepted_connections_do_not_wait_for_acknowledgements() -> None:
    options: asyncio.Queue[int] = asyncio.Queue(1)

    def accepted(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        options.put_nowait(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    listener = _listen("127.0.0.1", 0)
    async with await asyncio.start_server(accepted, sock=listener), asyncio.timeout(PATIENCE_S):
        _, writer = await asyncio.open_connection(*listener.getsockname())
        assert await options.get() != 0
        writer.close()


def test_a_taken_port_is_one_sentence() -> None:
    with _listen("127.0.0.1", 0) as taken, pytest.raises(NexusError) as failed:
        _listen("127.0.0.1", taken.getsockname()[1])
    assert failed.value.code == "NX6003"
