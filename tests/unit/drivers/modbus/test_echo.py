"""Lines that echo what is sent: the echo is found out, is no answer, and acknowledges no write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given

from nexus_cli.drivers.base import DriverError, points_of
from nexus_cli.drivers.modbus.channel import Lenience
from tests.unit.drivers.modbus.test_channel import CUTS, framed
from tests.unit.drivers.modbus.wires import Say, World, pieces


def echoing(answer: Callable[[bytes], bytes], cuts: Sequence[int] = ()) -> Say:
    """An adapter that hears what it sends; `answer` is b"" from a dead unit."""
    return lambda frame: pieces(frame + answer(frame), cuts)


def unit_of_words(frame: bytes) -> bytes:
    """A device that holds 7 in each register and takes every write."""
    function = frame[1]
    if function == 3:
        count = int.from_bytes(frame[4:6], "big")
        return framed("rtu", frame, bytes((3, 2 * count)) + b"\0\7" * count)
    return framed("rtu", frame, frame[1:6])


@given(cuts=CUTS)
def test_an_echo_is_found_out_and_is_no_answer(cuts: list[int]) -> None:
    async def main() -> None:
        world = World("rtu-over-tcp", echoing(unit_of_words, cuts))
        session = await world.session()
        for start in (0, 10, 0x300, 0x200):
            assert await session.registers(start, 1, unit=1) == b"\0\7"
        assert session._channel.echoes is True
        await session.write("a/l/d", points_of(world.device)[0], 5)
        world.wires[0]._say = echoing(lambda frame: b"")
        with pytest.raises(DriverError, match="no answer"):
            await session.write("a/l/d", points_of(world.device)[0], 5)
        await session.close()

    asyncio.run(main())


@pytest.mark.parametrize("echo", [True, None])
async def test_a_write_to_a_dead_unit_behind_an_echo_is_not_acknowledged(echo: bool | None) -> None:
    """Also when it is the first thing that is asked: something is read before it."""
    world = World("rtu-over-tcp", echoing(lambda frame: b""), lenience=Lenience(echo=echo))
    session = await world.session()
    with pytest.raises(DriverError, match="no answer"):
        await session.write("a/l/d", points_of(world.device)[0], 5)
    await session.close()


async def test_a_refused_write_behind_an_echo_is_refused() -> None:
    def refuses(frame: bytes) -> bytes:
        return framed("rtu", frame, bytes((frame[1] | 0x80, 4))) if frame[1] == 6 else unit_of_words(frame)

    world = World("rtu-over-tcp", echoing(refuses))
    session = await world.session()
    with pytest.raises(DriverError, match="server device failure"):
        await session.write("a/l/d", points_of(world.device)[0], 5)
    await session.close()


async def test_a_line_without_an_echo_is_known_as_such() -> None:
    world = World("rtu-over-tcp", lambda frame: [unit_of_words(frame)])
    session = await world.session()
    await session.write("a/l/d", points_of(world.device)[0], 5)
    assert session._channel.echoes is False
    await session.write("a/l/d", points_of(world.device)[0], 5)
    assert [frame[1] for frame in world.wires[0].sent] == [3, 6, 6]
    await session.close()


@pytest.mark.parametrize("other", [b"\6\0\1\0\5", b"\6\0"])
async def test_an_answer_to_another_write_acknowledges_nothing(other: bytes) -> None:
    world = World("tcp", lambda frame: [frame[:4] + bytes((0, 1 + len(other), 1)) + other])
    session = await world.session()
    with pytest.raises(DriverError, match="another write"):
        await session.write("a/l/d", points_of(world.device)[0], 5)
    await session.close()
