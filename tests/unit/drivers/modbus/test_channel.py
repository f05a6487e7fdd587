"""Channels without sockets: frames in any pieces, late and foreign answers, one timer."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_cli.drivers.base import DriverError, Scope
from nexus_cli.drivers.modbus.channel import KEPT, Lenience, TcpChannel
from nexus_cli.drivers.modbus.pdu import checksum
from nexus_cli.drivers.transport import ConnectionLost, RequestTimeout
from nexus_cli.model.config import TagConfig
from tests.examples import examples
from tests.reads import fails
from tests.unit.drivers.modbus.wires import Say, Wire, World, device_of, pieces

FRAMINGS = ["tcp", "rtu-over-tcp"]
TAGS = {
    "a": TagConfig(type="uint16", address="holding:0"),
    "b": TagConfig(type="float32", address="holding:3"),
    "s": TagConfig(type="string", address="holding:5", options={"length": 8}),
}
READ = bytes((1, 3, 0, 0, 0, 1))
CUTS = st.lists(st.integers(0, 300), max_size=6)


def framed(framing: str, frame: bytes, pdu: bytes, *, unit: int = 1) -> bytes:
    """An answer as it goes on the wire."""
    body = bytes((unit,)) + pdu
    return body + checksum(body) if framing != "tcp" else frame[:4] + len(body).to_bytes(2, "big") + body


@pytest.mark.parametrize("framing", FRAMINGS)
@given(raw=st.binary(min_size=18, max_size=18), cuts=CUTS, noise=st.binary(max_size=20))
def test_a_good_answer_in_any_pieces_is_the_value(framing: str, raw: bytes, cuts: list[int], noise: bytes) -> None:
    before = noise.replace(b"\1", b"\2") if framing != "tcp" else b""  # noise that is not us

    async def main() -> None:
        world = World(
            framing,
            lambda frame: pieces(before + framed(framing, frame, b"\3\x12" + raw), cuts),
            device=device_of(TAGS),
        )
        session = await world.session()
        for _ in range(3):
            result = await session.read(world.request())
            assert result.values[0] == int.from_bytes(raw[:2], "big")
        assert len(world.wires) == 1 and not world.bugs
        await session.close()

    asyncio.run(main())


@pytest.mark.parametrize("framing", FRAMINGS)
@settings(max_examples=examples(200))
@given(
    answers=st.lists(st.tuples(st.binary(max_size=300), st.booleans(), CUTS), min_size=1, max_size=4),
    function=st.sampled_from([3, 0x83, 4, 43]),
)
def test_no_answer_whatever_it_is_raises_anything_but_a_driver_error(
    framing: str, answers: list[tuple[bytes, bool, list[int]]], function: int
) -> None:
    said = iter(answers)

    def say(frame: bytes) -> Sequence[bytes]:
        raw, wrapped, cuts = next(said, (b"", False, []))
        data = framed(framing, frame, bytes((function,)) + raw) if wrapped else raw
        return pieces(data, cuts)

    async def main() -> None:
        world = World(framing, say)
        session = await world.session()
        for _ in answers:
            try:
                result = await session.read(world.request())
            except DriverError as error:
                if error.scope is Scope.SESSION:
                    await session.close()
                    session = await world.session()
            else:
                assert [type(value) for value in result.values] == [int]
        await session.close()
        assert not world.bugs
        assert all(wire.aborted for wire in world.wires)

    asyncio.run(main())


@pytest.mark.parametrize("framing", FRAMINGS)
@given(raw=st.binary(max_size=60), cuts=CUTS)
def test_no_identification_raises_anything_but_a_driver_error(framing: str, raw: bytes, cuts: list[int]) -> None:
    async def main() -> None:
        world = World(framing, lambda frame: pieces(framed(framing, frame, b"\x2b\x0e\2\x83\0\0" + raw), cuts))
        session = await world.session()
        try:
            page = await session.identify(0, unit=1)
        except DriverError:
            pass
        else:
            assert sum(len(text) + 2 for text in page.objects.values()) < max(1, len(raw))
        await session.close()
        assert not world.bugs

    asyncio.run(main())


async def test_a_late_answer_is_dropped_by_its_number() -> None:
    values = iter([7, None, 9])

    def say(frame: bytes) -> Sequence[bytes]:
        value = next(values)
        return [] if value is None else [framed("tcp", frame, bytes((3, 2, 0, value)))]

    world = World("tcp", say)
    channel = world.channel()
    await channel.open()
    assert not channel.traceable
    assert await channel.ask(READ) == b"\3\2\0\7"
    assert channel.traceable
    with pytest.raises(RequestTimeout):
        await channel.ask(READ)
    (wire,) = world.wires
    late = framed("tcp", wire.sent[1], b"\3\2\0\x08")
    wire.feed(late)
    asking = asyncio.create_task(channel.ask(READ))
    await asyncio.sleep(0)
    wire.feed(late)
    assert await asking == b"\3\2\0\x09"
    channel.close()


async def test_a_server_that_numbers_no_answer_is_told_from_one_that_does() -> None:
    """Without a number a late answer can't be recognised: until one was seen, only a new connection leaves it behind."""
    world = World("tcp", lambda frame: [framed("tcp", b"\0\0\0\0", b"\3\2\0\1")])
    session = await world.session()
    assert (await session.read(world.request())).values == [1]
    world.wires[0]._say = lambda frame: []
    assert (await fails(session, world.request())).scope is Scope.DEVICE
    world.say = lambda frame: [framed("tcp", b"\0\0\0\0", b"\3\2\0\2")]
    assert (await session.read(world.request())).values == [2]
    assert len(world.wires) == 2 and world.wires[0].aborted
    world.wires[0].feed(b"\0\0\0\0\0\5\1\3\2\0\1")
    world.wires[1]._say = lambda frame: [framed("tcp", frame, b"\3\2\0\3")]
    assert (await session.read(world.request())).values == [3]
    stray = framed("tcp", b"\0\0\0\0", b"\3\2\0\4")
    world.wires[1]._say = lambda frame: [stray, framed("tcp", frame, b"\3\2\0\5")]
    assert (await session.read(world.request())).values == [5], "it numbers its answers: that was not one"
    await session.close()


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_first_requests_that_are_dropped_are_asked_again_on_the_same_connection(framing: str) -> None:
    """A new connection would drop its first requests too. What was not numbered is left behind after the answer."""
    silent = 2

    def say(frame: bytes) -> Sequence[bytes]:
        nonlocal silent
        silent -= 1
        return [] if silent >= 0 else [framed(framing, frame, b"\3\2\0\7")]

    world = World(framing, say)
    session = await world.session()
    for _ in range(2):
        assert (await fails(session, world.request())).scope is Scope.DEVICE
    assert (await session.read(world.request())).values == [7]
    assert len(world.wires) == 1
    await session.read(world.request())
    assert len(world.wires) == (1 if framing == "tcp" else 2)
    await session.close()


async def test_what_is_asked_again_does_not_wait_behind_a_late_answer() -> None:
    """Asked once more, a read goes over another connection; another unit's goes on over the one that there is."""
    world = World("tcp", lambda frame: [framed("tcp", frame, b"\3\2\0\7")])
    session = await world.session()
    await session.read(world.request())
    world.wires[0]._say = lambda frame: []
    assert (await fails(session, world.request())).scope is Scope.DEVICE
    assert (await session.read(world.request())).values == [7]
    assert len(world.wires) == 2
    world.wires[1]._say = lambda frame: []
    assert (await fails(session, world.request())).scope is Scope.DEVICE
    world.wires[1]._say = lambda frame: [framed("tcp", frame, b"\3\2\0\x08")]
    assert await session.registers(5, 1, unit=1) == b"\0\x08"
    assert len(world.wires) == 2
    await session.close()


async def test_one_timer_runs_from_request_to_request_and_ends_with_the_connection() -> None:
    world = World("tcp", lambda frame: [framed("tcp", frame, b"\3\2\0\1")], timeout_s=60.0)
    channel = world.channel()
    await channel.open()
    await channel.ask(READ)
    timer = channel._timer
    for _ in range(50):
        await channel.ask(READ)
        assert channel._timer is timer
    channel.close()
    assert timer is not None and timer.cancelled() and channel._timer is None
    with pytest.raises(ConnectionLost, match="the connection is closed"):
        await channel.ask(READ)


@pytest.mark.simulated_time
async def test_the_timer_of_an_earlier_request_does_not_cut_a_later_one_short() -> None:
    silent = False
    world = World("tcp", lambda frame: [] if silent else [framed("tcp", frame, b"\3\2\0\1")], timeout_s=0.05)
    channel = world.channel()
    await channel.open()
    loop = asyncio.get_running_loop()
    await channel.ask(READ)
    await asyncio.sleep(0.03)
    silent = True
    began = loop.time()
    with pytest.raises(RequestTimeout):
        await channel.ask(READ)
    assert loop.time() - began == pytest.approx(0.05, abs=1e-4)
    silent = False
    assert await channel.ask(READ) == b"\3\2\0\1"
    channel.close()


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_a_loss_ends_the_waiting_request_and_says_why(framing: str) -> None:
    world = World(framing, lambda frame: [])
    channel = world.channel()
    await channel.open()
    asking = asyncio.create_task(channel.ask(READ))
    await asyncio.sleep(0)
    channel.connection_lost(ConnectionResetError(104, os.strerror(104)))
    with pytest.raises(ConnectionLost, match="the connection was lost"):
        await asking
    assert not channel.connected
    with pytest.raises(ConnectionLost, match="Connection reset by peer"):
        await channel.ask(READ)


@pytest.mark.parametrize(
    ("say", "why"),
    [
        (lambda f: b"HTTP/1.1 400", "not a Modbus TCP"),
        (lambda f: f[:2] + b"\0\0\0\1\1\3\0", "not a Modbus TCP"),
        (lambda f: f[:2] + b"\0\0\1\xff\1\3\0", "not a Modbus TCP"),
    ],
)
async def test_what_is_no_modbus_tcp_ends_the_connection_at_once(say: object, why: str) -> None:
    world = World("tcp", lambda frame: [say(frame)])  # type: ignore[operator]
    channel = world.channel()
    await channel.open()
    with pytest.raises(ConnectionLost, match=why):
        await channel.ask(READ)
    assert world.wires[0].aborted


async def test_a_broadcast_over_rtu_is_not_waited_for_and_its_echo_is_no_answer() -> None:
    world = World("rtu-over-tcp", lambda frame: [frame] if frame[0] == 0 else [frame[:6] + checksum(frame[:6])])
    channel = world.channel()
    await channel.open()
    assert await channel.ask(b"\0\6\0\1\0\2", broadcast=True) == b""
    assert await channel.ask(b"\1\6\0\1\0\3") == b"\6\0\1\0\3"
    channel.close()


async def test_what_is_left_of_an_answer_is_not_joined_to_the_next_one() -> None:
    whole = framed("rtu-over-tcp", b"", b"\3\2\0\7")
    said = iter([[whole[:5]], [whole[5:], framed("rtu-over-tcp", b"", b"\3\2\0\x08")]])
    world = World("rtu-over-tcp", lambda frame: next(said))
    channel = world.channel()
    await channel.open()
    with pytest.raises(RequestTimeout):
        await channel.ask(READ)
    assert await channel.ask(READ) == b"\3\2\0\x08"
    channel.close()


async def test_an_answer_is_found_behind_a_flood_of_which_little_is_kept() -> None:
    world = World("rtu-over-tcp", lambda frame: [b"\xff" * 100_000] * 3 + [framed("rtu", frame, b"\3\2\0\7")])
    channel = world.channel()
    await channel.open()
    assert await channel.ask(READ) == b"\3\2\0\7"
    assert len(channel._buffer) <= KEPT
    channel.close()


@pytest.mark.parametrize("answer", [b"\3\2\0", b"\3\2\0\1\0", b"\3\4\0\1", b"\3\2", b"\3", b"\x83"])
async def test_an_answer_of_another_length_than_it_should_have_ends_the_session(answer: bytes) -> None:
    world = World("tcp", lambda frame: [framed("tcp", frame, answer)])
    session = await world.session()
    with pytest.raises(DriverError, match=r"the answer (has|is)") as caught:
        await session.read(world.request())
    assert caught.value.scope is Scope.SESSION and world.wires[0].aborted


async def test_a_cancelled_request_over_rtu_leaves_its_connection_behind() -> None:
    world = World("rtu-over-tcp", lambda frame: [])
    session = await world.session()
    reading = asyncio.create_task(session.read(world.request()))
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait([reading])
    first: Wire = world.wires[0]
    world.say = lambda frame: [framed("rtu-over-tcp", frame, b"\3\2\0\5")]
    assert (await session.read(world.request())).values == [5]
    assert first.aborted and len(world.wires) == 2
    await session.close()


def numbered(step: int, unit: int) -> Say:
    """A server whose answers have another transaction or unit id."""

    def say(frame: bytes) -> Sequence[bytes]:
        number = (int.from_bytes(frame[:2], "big") + step) % 0x10000
        return [number.to_bytes(2, "big") + frame[2:4] + b"\0\5" + bytes((unit,)) + b"\3\2\0\7"]

    return say


@pytest.mark.parametrize(
    ("step", "unit", "key", "told"),
    [
        (0, 0, "any_unit", "unit 0 answered a request to unit 1; any_unit: true"),
        (1, 1, "any_transaction", "transaction id 2 came to a request with 1; any_transaction: true"),
    ],
)
async def test_answers_under_other_ids_are_named_or_taken(step: int, unit: int, key: str, told: str) -> None:
    world = World("tcp", numbered(step, unit))
    session = await world.session()
    error = await fails(session, world.request())
    assert told in error.message and error.scope is Scope.DEVICE
    await session.close()
    lenient = World("tcp", numbered(step, unit), lenience=Lenience(**{key: True}))
    session = await lenient.session()
    for _ in range(3):
        assert (await session.read(lenient.request())).values == [7]
    assert len(lenient.wires) == 1
    lenient.wires[0]._say = lambda frame: []
    await fails(session, lenient.request())
    assert (await session.read(lenient.request())).values == [7]
    assert len(lenient.wires) == 2, "what is late can't be told by an id that is not looked at"
    await session.close()


async def test_a_late_answer_is_no_strange_one() -> None:
    """What was given up is answered while the next one is waited for: that is no reason to suspect the ids."""
    world = World("tcp", lambda frame: [framed("tcp", frame, b"\3\2\0\7")])
    session = await world.session()
    await session.read(world.request())
    sent = world.wires[0].sent[0]
    world.wires[0]._say = lambda frame: [framed("tcp", sent, b"\3\2\0\6"), framed("tcp", frame, b"\3\2\0\x08")]
    assert (await session.read(world.request())).values == [8]
    await session.close()


@pytest.mark.parametrize("lenience", [Lenience(), Lenience(any_transaction=True)])
async def test_what_comes_along_with_an_answer_is_none_to_the_request_that_follows_at_once(lenience: Lenience) -> None:
    """A server without ids that says everything twice: each request is answered by what came after it was sent."""
    channel = TcpChannel("h", 502, timeout_s=1.0, connect_timeout_s=1.0, lenience=lenience)
    sent: list[bytes] = []
    channel.connection_made(Outgoing(sent))
    answers: list[bytes | None] = []

    def taken(answer: bytes | None, error: Exception | None) -> None:
        answers.append(answer)
        if len(sent) < 3:
            channel.post(READ, taken)

    channel.post(READ, taken)
    for value in (7, 8, 9):
        channel.data_received(2 * framed("tcp", bytes(4), bytes((3, 2, 0, value))))
    assert (answers, len(sent)) == ([bytes((3, 2, 0, value)) for value in (7, 8, 9)], 3)
    channel.close()


class Outgoing(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self, sent: list[bytes]) -> None:
        super().__init__()
        self._sent = sent

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._sent.append(bytes(data))

    def abort(self) -> None:
        """Nothing is open."""
