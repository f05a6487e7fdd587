"""Order, spacing, back-pressure and the way back to a broker that went, on time that the test moves."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.project.replay_pace import Drift, Pace
from nexus_cli.project.replay_player import TIMELESS, UNSENDABLE, WINDOW, Player, PlayRequest
from nexus_cli.project.replay_topics import Retarget
from nexus_cli.wire.recording import Record
from nexus_cli.wire.signature import hmac_signature, seal
from nexus_cli.wire.topic import Topics

BEGAN_US = 1_700_000_000_000_000


class Listed:
    """A source of given records."""

    site, detail, platform = "acme/x", "given", False

    def __init__(self, records: Sequence[Record]) -> None:
        self.left_out: dict[str, int] = {}
        self._records = records

    async def messages(self) -> AsyncIterator[Record]:
        for record in self._records:
            yield record


class Broker:
    """A client of a broker that acknowledges after a while, and may go away."""

    unsent_bytes = 0

    def __init__(self, *, after_s: float = 0.001) -> None:
        self.connected, self.most_open, self._after_s = True, 0, after_s
        self.heard: list[tuple[float, str, bytes, int, bool]] = []
        self._open: list[asyncio.Future[None]] = []
        self._unanswered: deque[tuple[asyncio.Future[None], tuple[str, bytes, int, bool]]] = deque()

    def post(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> asyncio.Future[None]:
        if not self.connected:
            raise NexusError("The broker is away.", code="NX6010", retriable=True)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        if "#" in topic:  # what MQTT forbids fails at once, and again whenever it is tried
            future.set_exception(NexusError("The broker was lost.", code="NX6010", retriable=True))
            return future
        self._open = [each for each in self._open if not each.done()]
        self._open.append(future)
        self.most_open = max(self.most_open, len(self._open))

        self._unanswered.append((future, (topic, payload, qos, retain)))
        loop.call_later(self._after_s, self._acknowledge)
        return future

    def _acknowledge(self) -> None:
        """The oldest one: a broker answers in order."""
        future, message = self._unanswered.popleft()
        if not future.done():
            self.heard.append((asyncio.get_running_loop().time(), *message))
            future.set_result(None)

    def lose(self) -> None:
        """The connection goes with everything that was not acknowledged."""
        self.connected = False
        for future in self._open:
            if not future.done():
                future.set_exception(NexusError("The broker was lost.", code="NX6010", retriable=True))


def records(*times_s: float, topic: Callable[[int], str] = lambda at: f"acme/x/a/l/d/t{at}") -> list[Record]:
    return [
        Record(BEGAN_US + round(time_s * 1e6), topic(at), b'{"value":%d,"timestamp":%d}' % (at, BEGAN_US // 1000))
        for at, time_s in enumerate(times_s)
    ]


def player(source: Listed, broker: Broker, request: PlayRequest) -> Player:
    retarget = Retarget(Topics("acme", "x"), Topics("acme", "x-replay"))
    return Player(source, retarget, broker, request, now_us=lambda: BEGAN_US + 9_000_000)  # type: ignore[arg-type]


@pytest.mark.simulated_time
@pytest.mark.parametrize("speed", [1.0, 10.0, 0.5])
async def test_order_and_spacing_are_those_of_the_recording(speed: float) -> None:
    times = [0.0, 0.0, 0.25, 3.0, 3.0, 3600.0]
    broker = Broker()
    began_s = asyncio.get_running_loop().time()
    played = await player(Listed(records(*times)), broker, PlayRequest(speed=speed)).play(asyncio.Event())
    assert [topic for _, topic, *_ in broker.heard] == [f"acme/x-replay/a/l/d/t{at}" for at in range(6)]
    handed = [time_s - began_s - 0.001 for time_s, *_ in broker.heard]
    assert handed == pytest.approx([each / speed for each in times], abs=1e-4)
    assert (played.messages, played.whole) == (6, True)
    assert (played.first_us, played.last_us) == (BEGAN_US, BEGAN_US + 3_600_000_000)
    assert played.drift.count == 6
    assert played.drift.most_s < 1e-3
    assert {(qos, retain) for *_, qos, retain in broker.heard} == {(1, True)}


@pytest.mark.simulated_time
async def test_a_clock_that_was_set_back_keeps_the_order() -> None:
    broker = Broker()
    began_s = asyncio.get_running_loop().time()
    await player(Listed(records(0, 10, 2, 12)), broker, PlayRequest()).play(asyncio.Event())
    assert [payload for _, _, payload, *_ in broker.heard] == [each.payload for each in records(0, 10, 2, 12)]
    assert [round(time_s - began_s) for time_s, *_ in broker.heard] == [0, 10, 10, 12]


@pytest.mark.simulated_time
async def test_signed_values_are_played_as_they_were_before_they_were_signed() -> None:
    """Their signature is of the plant's topic; a value without a time of its own has that of its signature."""
    topic, sign = "acme/x/a/l/scale/weight", hmac_signature("a-secret-of-at-least-thirty-two-bytes")
    bare, timed = b"1.5", b'{"value":2,"timestamp":1690000000000}'
    signed = [seal(key="k", sign=sign, topic=topic, payload=each, time_us=BEGAN_US - 5) for each in (bare, timed)]
    broker = Broker()
    await player(Listed([Record(BEGAN_US, topic, each) for each in signed]), broker, PlayRequest()).play(
        asyncio.Event()
    )
    assert [payload for _, _, payload, *_ in broker.heard] == [b'{"value":1.5,"timestamp":1699999999999995}', timed]


@pytest.mark.simulated_time
async def test_a_slow_broker_is_not_flooded() -> None:
    broker = Broker(after_s=1.0)
    source = Listed(records(*[0.0] * 2000))
    played = await player(source, broker, PlayRequest(speed=None)).play(asyncio.Event())
    assert played.messages == 2000
    assert broker.most_open == WINDOW
    assert [topic for _, topic, *_ in broker.heard] == [f"acme/x-replay/a/l/d/t{at}" for at in range(2000)]


@pytest.mark.simulated_time
async def test_what_was_not_acknowledged_is_sent_again_in_order() -> None:
    broker = Broker(after_s=0.5)
    source = Listed(records(*(at / 10 for at in range(100))))
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    loop.call_later(3.05, broker.lose)
    loop.call_later(63.0, setattr, broker, "connected", True)
    # Back before the next message is due: nothing new goes before what was lost.
    loop.call_later(68.01, broker.lose)
    loop.call_later(68.02, setattr, broker, "connected", True)
    played = await player(source, broker, PlayRequest()).play(asyncio.Event())
    assert [topic for _, topic, *_ in broker.heard] == [f"acme/x-replay/a/l/d/t{at}" for at in range(100)]
    assert played.again > 0
    assert played.messages == 100
    # The time that the broker was away is not caught up in a burst.
    assert broker.heard[-1][0] - began_s > 69.0
    assert played.drift.most_s < 0.2


@pytest.mark.simulated_time
@pytest.mark.parametrize("after_s", [0.001, 2.0])
async def test_what_can_never_be_sent_is_left_out_and_the_rest_is_played(after_s: float) -> None:
    broker = Broker(after_s=after_s)
    source = Listed(records(*[0.0] * 6, topic=lambda at: f"acme/x/a/l/d/t{'#' if at in (0, 3, 5) else at}"))
    played = await player(source, broker, PlayRequest()).play(asyncio.Event())
    assert [topic for _, topic, *_ in broker.heard] == [f"acme/x-replay/a/l/d/t{at}" for at in (1, 2, 4)]
    assert (played.messages, played.again, played.whole) == (3, 0, True)
    assert played.left_out == {UNSENDABLE: 3}


@pytest.mark.simulated_time
async def test_times_that_no_clock_shows_are_left_out() -> None:
    broker = Broker()
    listed = [Record(time_us, "acme/x/a/l/d/t", b"1") for time_us in (2**62, -1, BEGAN_US, 2**53, BEGAN_US + 1_000_000)]
    played = await player(Listed(listed), broker, PlayRequest()).play(asyncio.Event())
    assert (played.messages, played.left_out, played.whole) == (2, {TIMELESS: 3}, True)


@pytest.mark.simulated_time
async def test_a_stop_ends_a_long_wait_and_says_how_far_it_came() -> None:
    broker, stop = Broker(), asyncio.Event()
    asyncio.get_running_loop().call_later(5.0, stop.set)
    played = await player(Listed(records(0, 1, 86_400)), broker, PlayRequest()).play(stop)
    assert (played.messages, played.whole, played.last_us) == (2, False, BEGAN_US + 1_000_000)
    assert played.took_s == pytest.approx(5.0, abs=0.1)


@pytest.mark.simulated_time
async def test_times_are_moved_to_the_publication_and_others_topics_stay_out() -> None:
    source = Listed([*records(0, 4), Record(BEGAN_US + 5_000_000, "partner/x", b"1")])
    broker = Broker()
    played = await player(source, broker, PlayRequest(now=True, qos=0, retain=False)).play(asyncio.Event())
    times = [payload.rpartition(b":")[2] for _, _, payload, *_ in broker.heard]
    # Published at 9 s: a message received at 0 is 9 s later, one received at 4 is 5 s later.
    assert times == [b"%d}" % (BEGAN_US // 1000 + 9000), b"%d}" % (BEGAN_US // 1000 + 5000)]
    assert played.left_out == {"topics outside of the site": 1}
    assert {(qos, retain) for *_, qos, retain in broker.heard} == {(0, False)}


def test_lateness_in_a_hundred() -> None:
    drift = Drift()
    assert drift.p99_s() == 0.0
    for _ in range(990):
        drift.add(0.001)
    for _ in range(10):
        drift.add(0.5)
    assert 0.001 <= drift.p99_s() < 0.0015
    assert drift.most_s == 0.5
    drift.add(0.4)
    drift.add(-1.0)
    assert 0.4 <= drift.p99_s() <= 0.5


def test_as_fast_as_possible_is_always_due() -> None:
    pace = Pace(speed=None, now_s=7.0)
    assert [pace.due_s(time_us) for time_us in (0, 10**12)] == [7.0, 7.0]
