"""A client of web's WebSocket for tests: connects with a token, asks, and waits for what it wants to hear."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect

from tests.integration.identity_world import PREFIX

WAIT_S = 20.0


class SocketClient:
    """One connection.

    Attributes:
        raw: Of the library.
        heard: Every message, oldest first.
    """

    def __init__(self, raw: ClientConnection, *, binary: bool) -> None:
        self.raw, self._binary = raw, binary
        self.heard: list[dict[str, Any]] = []

    async def ask(self, op: str, **fields: Any) -> None:
        body = {"op": op, **fields}
        await self.raw.send(msgspec.msgpack.encode(body) if self._binary else msgspec.json.encode(body).decode())

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(WAIT_S):
            data = await self.raw.recv()
        assert isinstance(data, bytes) == self._binary
        found: dict[str, Any] = msgspec.msgpack.decode(data) if isinstance(data, bytes) else msgspec.json.decode(data)
        self.heard.append(found)
        return found

    async def until(self, op: str, wanted: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """The next message of an op that is wanted; what comes before it is only kept in `heard`."""
        async with asyncio.timeout(WAIT_S):
            while True:
                found = await self.next()
                if found["op"] == op and wanted(found):
                    return found

    async def closed(self) -> tuple[int | None, str]:
        """Wait for the end; its code and reason."""
        async with asyncio.timeout(WAIT_S):
            with contextlib.suppress(Exception):
                while True:
                    await self.raw.recv()
            await self.raw.wait_closed()
        return self.raw.close_code, self.raw.close_reason or ""


@contextlib.asynccontextmanager
async def socket_client(
    url: str, *, token: str = "", headers: Mapping[str, str] | None = None, protocol: str = "", **keys: Any
) -> AsyncIterator[SocketClient]:
    """Connect to a web at `url` (http://…), below the site of the tests."""
    head = {**({"authorization": f"Bearer {token}"} if token else {}), **(headers or {})}
    address = url.replace("http://", "ws://", 1) + PREFIX + "/ws"
    async with connect(
        address,
        additional_headers=head,
        subprotocols=[protocol] if protocol else None,  # type: ignore[list-item]
        proxy=None,
        **keys,
    ) as raw:
        yield SocketClient(raw, binary=protocol.endswith("msgpack"))
