"""What the contract suite must know of a driver and its simulator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from nexus_cli.drivers.base import Request
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.wire.sample import Value
from tests.garble import BadLine, bad_tcp

TIMEOUT_MS = 300
CONNECT_TIMEOUT_MS = 1000


@asynccontextmanager
async def mute_tcp() -> AsyncIterator[int]:
    """Half-open: the connection is accepted, and nothing more ever comes."""
    gone = asyncio.Event()

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await gone.wait()
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        gone.set()
        server.close()
        await server.wait_closed()


@dataclass(frozen=True, kw_only=True)
class DriverCase:
    """What the suite must know of one protocol.

    Attributes:
        name: The protocol.
        device: `(number, port)` to a device with every type as a constant; numbers differ in path and, where the
            protocol has it, in unit. All numbers share one link.
        values: Raw value that each of its tags serves; the tag types are the point of the list.
        writes: Tag to a value that can be written and read back.
        misfits: Tag and a value of the wrong type or outside the type's range.
        ghost: A tag whose address does not exist on the device.
        limited: `(port)` to a device with many tags and tight limits.
        keeps_limits: Whether a request of `limited` keeps them.
        serve: The simulator.
        tolerance: Relative, for floats that are narrower than Python's.
        mute: A peer that lets itself be opened and never says a word; gives its port.
        bad_line: `(port)` to a line to the server whose answers can be bent; has a port of its own.
        retyped: Some of the tags, declared with a type that the device does not have at their addresses.
        retyped_values: What is read of them where the protocol has no types, so that nobody can know better.
        subscribes: Whether the device reports by itself.
        losses: How often its link is lost in a row.
        losing_timeout_ms: Time-out meanwhile.
    """

    name: str
    device: Callable[[int, int], DeviceConfig]
    values: Mapping[str, Value]
    writes: Mapping[str, Value]
    misfits: tuple[tuple[str, Value], ...]
    ghost: TagConfig
    limited: Callable[[int], DeviceConfig]
    keeps_limits: Callable[[Request], bool]
    serve: Callable[..., Awaitable[Any]]
    tolerance: float = 1e-6
    mute: Callable[[], AbstractAsyncContextManager[int]] = mute_tcp
    bad_line: Callable[[int], AbstractAsyncContextManager[BadLine]] = bad_tcp
    retyped: Mapping[str, TagConfig]
    retyped_values: Mapping[str, Value] = field(default_factory=dict)
    subscribes: bool = False
    losses: int = 1_000
    losing_timeout_ms: int = 1_000


def retyped(tags: Mapping[str, TagConfig], **types: str) -> dict[str, TagConfig]:
    """Tags at their own addresses, with other types."""
    return {name: msgspec.structs.replace(tags[name], type=type_) for name, type_ in types.items()}


def constant(type_: str, address: str, value: Value, **more: Any) -> TagConfig:
    """A tag that its simulator holds at a value."""
    return TagConfig(type=type_, address=address, simulate={"signal": "constant", "value": value}, **more)


def values_of(tags: Mapping[str, TagConfig]) -> dict[str, Value]:
    """The constants that tags are held at."""
    return {name: tag.simulate["value"] for name, tag in tags.items()}
