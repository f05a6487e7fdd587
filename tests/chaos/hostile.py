"""Hostile sessions: what somebody can do who knows the password of one declared user, or only the addresses."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from tests.chaos.site import ENTERPRISE, NAME

SESSIONS = 10
LARGE_BYTES = 1 << 20
BODY_BYTES = 60 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is attacked.

    Attributes:
        broker: Port.
        control: Port.
        user: A declared user.
        password: Its password.
    """

    broker: int
    control: int
    user: str
    password: str


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack(">H", len(data)) + data


def _packet(first: int, body: bytes) -> bytes:
    length, rest = bytearray(), len(body)
    while True:
        rest, digit = divmod(rest, 128)
        length.append(digit | (0x80 if rest else 0))
        if not rest:
            return bytes([first]) + bytes(length) + body


def connect_packet(client_id: str, user: str, password: str) -> bytes:
    """CONNECT of MQTT 3.1.1 with a clean session. Source: MQTT 3.1.1, section 3.1."""
    body = _text("MQTT") + bytes([4, 0xC2]) + struct.pack(">H", 30) + _text(client_id) + _text(user) + _text(password)
    return _packet(0x10, body)


def publish_packet(topic: str, payload: bytes) -> bytes:
    """PUBLISH with QoS 0. Source: MQTT 3.1.1, section 3.3."""
    return _packet(0x30, _text(topic) + payload)


def subscribe_packet(*filters: str) -> bytes:
    """SUBSCRIBE with QoS 1. Source: MQTT 3.1.1, section 3.8."""
    return _packet(0x82, struct.pack(">H", 1) + b"".join(_text(one) + b"\x01" for one in filters))


async def _session(target: Target, client_id: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", target.broker)
    writer.write(connect_packet(client_id, target.user, target.password))
    await writer.drain()
    return reader, writer


async def takeover(target: Target) -> None:
    """Connect under the names that a role might have."""
    prefix = f"{ENTERPRISE}.{NAME}"
    for name in (f"nexus.gateway.{prefix}.gw-a", f"nexus.historian.{prefix}.historian", f"nexus.control.{prefix}"):
        for guess in (name, name.removesuffix(".historian"), f"{name}.commands"):
            reader, writer = await _session(target, guess)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.3):
                    await reader.read(1024)
            writer.close()


async def share(target: Target) -> None:
    """Join shared subscriptions under likely group names, and read nothing."""
    data = f"_nexus/{ENTERPRISE}/{NAME}/data/#"
    _, writer = await _session(target, f"s-{os.urandom(4).hex()}")
    try:
        for group in ("nexus", "historian", "nexus-historian", f"nexus.historian.{ENTERPRISE}.{NAME}"):
            writer.write(subscribe_packet(f"$share/{group}/{data}"))
        await writer.drain()
        await asyncio.sleep(3)
    finally:
        writer.close()


async def flood(target: Target) -> None:
    """Publish small messages as fast as the broker takes them, on topics that are granted and that are not."""
    _, writer = await _session(target, f"f-{os.urandom(4).hex()}")
    topics = (
        f"_nexus/{ENTERPRISE}/{NAME}/data/gw-a",
        f"_nexus/{ENTERPRISE}/{NAME}/data/gw-a/x",
        f"_nexus/{ENTERPRISE}/{NAME}/cmd/hall/line-a/none/command/panel",
    )
    burst = b"".join(publish_packet(topic, b"x" * 50) for topic in topics) * 100
    try:
        for _ in range(50):
            writer.write(burst)
            await writer.drain()
            await asyncio.sleep(0.02)
    finally:
        writer.close()


async def large(target: Target) -> None:
    """Publish messages of a megabyte."""
    _, writer = await _session(target, f"l-{os.urandom(4).hex()}")
    try:
        for _ in range(5):
            topic = f"_nexus/{ENTERPRISE}/{NAME}/cmd/hall/line-a/none/command/panel"
            writer.write(publish_packet(topic, b"x" * LARGE_BYTES))
            await writer.drain()
    finally:
        writer.close()


async def reader(target: Target) -> None:
    """Subscribe to everything and read nothing."""
    _, writer = await _session(target, f"r-{os.urandom(4).hex()}")
    try:
        writer.write(subscribe_packet("#"))
        await writer.drain()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(5)
    finally:
        writer.close()


async def half_open(target: Target) -> None:
    """Begin requests to control and never end them."""
    ends = []
    for _ in range(20):
        _, writer = await asyncio.open_connection("127.0.0.1", target.control)
        writer.write(b"POST /deployments HTTP/1.1\r\nHost: x\r\nContent-Le")
        ends.append(writer)
    await asyncio.sleep(3)
    for writer in ends:
        writer.close()


async def body(target: Target) -> None:
    """Send a large body to control without a token."""
    _, writer = await asyncio.open_connection("127.0.0.1", target.control)
    head = f"POST /plans HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {BODY_BYTES}\r\n\r\n"
    try:
        writer.write(head.encode())
        for _ in range(BODY_BYTES >> 16):
            writer.write(b"[" * 65_536)
            await writer.drain()
    finally:
        writer.close()


ATTACKS: Mapping[str, Callable[[Target], Awaitable[None]]] = {
    "takeover": takeover,
    "share": share,
    "flood": flood,
    "large": large,
    "reader": reader,
    "half-open": half_open,
    "body": body,
}


async def attack(kind: str, target: Target, *, lasts_s: float) -> int:
    """Attack with ten sessions at a time; gives how many attempts were made."""
    attempts = 0

    async def again() -> None:
        nonlocal attempts
        while True:
            attempts += 1
            with contextlib.suppress(OSError, socket.gaierror, asyncio.IncompleteReadError):
                await ATTACKS[kind](target)
            await asyncio.sleep(0.05)

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(lasts_s), asyncio.TaskGroup() as group:
            for _ in range(1 if kind == "body" else SESSIONS):
                group.create_task(again())
    return attempts
