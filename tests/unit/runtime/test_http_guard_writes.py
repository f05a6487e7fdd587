"""What `http_guard` writes with one call of the kernel."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from nexus_cli.runtime.http_guard import LARGEST_JOINED, _Lingering


class _Inner:
    """A transport that notes what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def get_write_buffer_size(self) -> int:
        return 0


def _guarded() -> tuple[_Lingering, _Inner]:
    inner = _Inner()
    protocol = SimpleNamespace(loop=asyncio.get_running_loop(), has_unread=False)
    return _Lingering(cast(Any, inner), cast(Any, protocol)), inner


async def test_a_head_and_its_body_are_one_write() -> None:
    transport, inner = _guarded()
    transport.write(b"head ")
    transport.write(b"body")
    assert inner.written == [b"head body"]
    await asyncio.sleep(0)
    assert inner.written == [b"head body"]


async def test_a_head_whose_body_is_not_there_yet_goes_out_in_the_same_turn_of_the_loop() -> None:
    transport, inner = _guarded()
    transport.write(b"head")
    assert inner.written == []
    await asyncio.sleep(0)
    assert inner.written == [b"head"]


async def test_a_large_body_is_not_copied_and_the_order_stays() -> None:
    transport, inner = _guarded()
    large = bytes(LARGEST_JOINED + 1)
    transport.write(b"head")
    transport.write(large)
    transport.write(large)
    transport.write(b"")
    transport.write(b"end")
    await asyncio.sleep(0)
    assert inner.written == [b"head", large, large, b"", b"end"]


async def test_what_waits_is_written_before_the_close() -> None:
    transport, inner = _guarded()
    transport.write(b"last")
    transport.close()
    assert (inner.written, inner.closed) == ([b"last"], True)
    await asyncio.sleep(0)
    assert inner.written == [b"last"]


async def test_a_websocket_waits_for_nothing() -> None:
    transport, inner = _guarded()
    transport.write(b"101")
    transport.write_at_once()
    transport.write(b"frame")
    assert inner.written == [b"101", b"frame"]
