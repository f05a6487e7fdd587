"""What acknowledges a write: its own answer, and nothing else; and what a failure says of the device."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from nexus_cli.drivers.base import DriverError, Effect, Scope, points_of
from nexus_cli.drivers.modbus.pdu import checksum
from nexus_cli.model.config import TagConfig
from tests.unit.drivers.modbus.wires import World, device_of

TAGS = {
    "coil": TagConfig(type="bool", address="coil:3", writable=True),
    "coils": TagConfig(type="bool[9]", address="coil:8", writable=True),
    "word": TagConfig(type="uint16", address="holding:0", writable=True),
    "wide": TagConfig(type="uint32", address="holding:10", writable=True),
    "bit": TagConfig(type="bool", address="holding:20", options={"bit": 3}, writable=True),
    "text": TagConfig(type="string", address="holding:30", options={"length": 10}, writable=True),
}
VALUES: dict[str, Any] = {"coil": True, "coils": [True] * 9, "word": 5, "wide": 70000, "bit": True}


def written(name: str, value: Any, answer: Any, *, framing: str = "tcp") -> DriverError | None:
    """How a write ends when the device answers with this (a function of the request's PDU)."""

    def say(frame: bytes) -> Sequence[bytes]:
        pdu = frame[7:] if framing == "tcp" else frame[1:-2]
        # Before its first write a link without transaction ids is asked for something, to find out whether it echoes.
        said = bytes((pdu[0], 2, 0, 0)) if pdu[0] <= 4 else answer(pdu)
        if said is None:
            return []
        body = b"\1" + said
        return [body + checksum(body) if framing != "tcp" else frame[:4] + len(body).to_bytes(2, "big") + body]

    async def main() -> DriverError | None:
        world = World(framing, say, device=device_of(TAGS))
        session = await world.session()
        (point,) = points_of(world.device, [name])
        try:
            await session.write("a/l/d", point, value)
        except DriverError as error:
            return error
        finally:
            await session.close()
        return None

    return asyncio.run(main())


def proper(pdu: bytes) -> bytes:
    """The answer of the specification: an echo, of FC15 and FC16 only the first five bytes."""
    return pdu[:5] if pdu[0] in (15, 16) else pdu


@pytest.mark.parametrize("framing", ["tcp", "rtu-over-tcp"])
@pytest.mark.parametrize("name", VALUES)
def test_its_own_answer_acknowledges_a_write(name: str, framing: str) -> None:
    assert written(name, VALUES[name], proper, framing=framing) is None


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize(
    "other",
    [
        lambda pdu: proper(pdu)[:1] + bytes((0x77, 0x77)) + proper(pdu)[3:],
        lambda pdu: proper(pdu)[:-1],
        lambda pdu: proper(pdu) + b"\0",
        lambda pdu: bytes((3, 2, 0, 5)),
    ],
    ids=["another address", "too short", "too long", "another function"],
)
def test_no_other_answer_does(name: str, other: Any) -> None:
    error = written(name, VALUES[name], other)
    assert error is not None
    assert error.scope is Scope.SESSION and error.effect is None  # the device may have it


@pytest.mark.parametrize("name", ["coils", "wide"])
def test_an_echo_of_several_registers_or_coils_is_no_answer(name: str) -> None:
    error = written(name, VALUES[name], lambda pdu: pdu)
    assert error is not None and error.scope is Scope.SESSION


def test_an_answer_with_another_value_is_doubt() -> None:
    error = written("word", 5, lambda pdu: pdu[:3] + b"\0\6")
    assert error is not None
    assert (error.scope, error.effect) == (Scope.ITEM, Effect.MAYBE)
    assert "00 06 instead of 00 05" in error.message


@pytest.mark.parametrize(
    ("code", "effect"),
    [
        (2, None),
        (3, None),
        (4, None),
        (5, Effect.MAYBE),
        (6, Effect.REFUSED),
        (10, Effect.REFUSED),
        (11, Effect.MAYBE),
    ],
)
def test_what_an_exception_says_of_the_write(code: int, effect: Effect | None) -> None:
    error = written("word", 5, lambda pdu: bytes((pdu[0] | 0x80, code)))
    assert error is not None
    assert (error.code, error.effect) == (code, effect)


def test_what_does_not_fit_is_never_sent() -> None:
    sent: list[bytes] = []
    error = written("text", "äöüäöü", lambda pdu: sent.append(pdu))
    assert error is not None
    assert (error.effect, sent) == (Effect.NONE, [])
    assert "longer than 10 bytes" in error.message
