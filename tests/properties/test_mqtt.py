"""The laws of the MQTT engine: pieces do not matter, what is written is read, losses cost nothing, garbage raises nothing."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.wire.message import Message
from nexus_cli.wire.mqtt import data, packets, properties
from nexus_cli.wire.mqtt.events import Accepted, Acknowledged, Closed, Event, Refused
from nexus_cli.wire.mqtt.state import State
from tests.mutation import mutated_bytes, mutations
from tests.properties.mqtt_model import packet as framed
from tests.properties.mqtt_world import World, session, traffic

LEVELS = st.sampled_from([4, 5])
TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)
TOPICS = TEXTS.map(lambda text: text.replace("#", "").replace("+", "")).filter(bool)
NUMBERS = st.integers(1, 65_535).map(lambda number: number.to_bytes(2, "big"))
CONNACK = {4: b"\x20\x02\x00\x00", 5: b"\x20\x03\x00\x00\x00"}


# --- data types and packets -----------------------------------------------------------------------------------------


@given(st.integers(0, data.LARGEST_VARIABLE), st.binary(max_size=5), st.binary(max_size=5))
def test_a_length_is_read_as_it_was_written(value: int, before: bytes, behind: bytes) -> None:
    raw = data.write_variable(value)
    assert data.read_variable(before + raw + behind, len(before)) == (value, len(before) + len(raw))


_BY_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "byte": st.integers(0, 1),
    "two": st.integers(1, 65_535),
    "four": st.integers(1, 2**32 - 1),
    "text": TEXTS,
    "binary": st.binary(max_size=20),
}


def _value(name: str, reader: Any) -> st.SearchStrategy[Any]:
    if name == "subscription_identifier":
        return st.lists(st.integers(1, data.LARGEST_VARIABLE), min_size=1, max_size=3)
    kinds = {data.read_one: "byte", data.read_two: "two", data.read_four: "four", data.read_text: "text"}
    return _BY_TYPE[kinds.get(reader, "binary")]


PROPERTIES = st.fixed_dictionaries(
    {},
    optional={name: _value(name, kind[0]) for name, kind in properties.TABLE.values()}
    | {"user_property": st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=3)},
)


@given(PROPERTIES, st.binary(max_size=9), st.binary(max_size=9))
def test_properties_are_read_as_they_were_written(values: dict[str, Any], before: bytes, behind: bytes) -> None:
    raw = properties.write(values)
    end = len(before) + len(raw)
    assert properties.read(before + raw + behind, len(before), end) == (values, end)


@given(st.binary(max_size=30), st.integers(0, 40))
def test_any_bytes_are_properties_or_malformed(raw: bytes, end: int) -> None:
    try:
        found, at = properties.read(raw, 0, min(end, len(raw)))
    except data.MalformedError as error:
        assert error.code in (0x81, 0x82)
    else:
        assert at <= end and isinstance(found, dict)


@given(LEVELS, TOPICS, st.binary(max_size=300), st.integers(0, 2), st.booleans())
def test_a_message_arrives_as_it_was_sent(level: int, topic: str, payload: bytes, qos: int, retain: bool) -> None:
    """The PUBLISH of a client is that of a broker, so that one session reads what another wrote."""
    ours, theirs = session(level), session(level)
    for one in (ours, theirs):
        one.take(0.0)
        assert one.receive(CONNACK[level], 0.0) == [Accepted(False, {})]
    ours.publish(topic, payload, qos=qos, retain=retain, token="token")
    assert theirs.receive(ours.take(0.0), 0.0) == [Message(topic, payload, qos, retain)]
    events = ours.receive(theirs.take(0.0), 0.0)
    if qos == 2:
        assert events == []
        assert theirs.receive(ours.take(0.0), 0.0) == []
        events = ours.receive(theirs.take(0.0), 0.0)
    assert events == ([Acknowledged(["token"])] if qos else [])
    assert ours.inflight == 0 and not ours.unsent and not theirs.unsent


@given(
    LEVELS,
    st.lists(st.tuples(TOPICS, st.binary(max_size=3_000)), max_size=20),
    st.integers(0, 1),
    st.booleans(),
    st.integers(0, 65_534),
    st.lists(st.integers(1, 65_535), max_size=3),
    st.booleans(),
)
def test_many_messages_at_once_are_the_same_bytes_as_one_by_one(
    level: int,
    messages: list[tuple[str, bytes]],
    qos: int,
    retain: bool,
    last: int,
    busy: list[int],
    early: bool,
) -> None:
    one_by_one, at_once = session(level), session(level)
    for one in (one_by_one, at_once):
        one._state.last = last
        one._open.update(dict.fromkeys(busy, "busy"))
        if not early:
            one.receive(CONNACK[level], 0.0)
        one.take(0.0)
    for number, (topic, payload) in enumerate(messages):
        one_by_one.publish(topic, payload, qos=qos, retain=retain, token=number)
    heads = [packets.topic_head(topic) for topic, _ in messages]
    payloads = [payload for _, payload in messages]
    at_once.publish_many(heads, payloads, range(len(messages)), qos=qos, retain=retain)
    for one in (one_by_one, at_once):
        if early:
            one.receive(CONNACK[level], 0.0)
    assert at_once.take(0.0) == one_by_one.take(0.0)
    assert list(at_once._open.items()) == list(one_by_one._open.items())


@given(
    LEVELS,
    st.integers(1, 60).flatmap(lambda count: st.permutations(range(1, count + 1))),
    st.lists(st.sampled_from([b"\xd0\x00", b"\x40\x02\xff\xff", b"\x40\x02\x00\x01"]), max_size=2),
    st.lists(st.integers(0, 250), max_size=4),
)
def test_acknowledgements_in_one_read_are_those_of_many_reads(
    level: int, order: list[int], others: list[bytes], cuts: list[int]
) -> None:
    """In any order, with a few that were answered before, or are none, among them."""
    answers = [b"\x40\x02" + number.to_bytes(2, "big") for number in order]
    for position, other in enumerate(others):
        answers.insert((position * 7 + 3) % (len(answers) + 1), other)
    stream = b"".join(answers)
    found = []
    for edges in ([0, len(stream)], [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)], None):
        one = session(level)
        one.receive(CONNACK[level], 0.0)
        for number in range(1, len(order) + 1):
            one.publish("t", b"", token=number)
        events: list[Event] = []
        for begin, end in itertools.pairwise(edges or range(len(stream) + 1)):
            events += one.receive(stream[begin:end], 0.0)
        assert not one.inflight
        found.append(_joined(events))
    assert found[0] == found[1] == found[2]


# --- pieces ---------------------------------------------------------------------------------------------------------


def _packets(level: int) -> st.SearchStrategy[bytes]:
    none = b"\x00" if level == 5 else b""

    def publish(topic: str, number: bytes, payload: bytes, qos: int) -> bytes:
        name = topic.encode()
        head = len(name).to_bytes(2, "big") + name + (number if qos else b"") + none
        return framed(0x30 | qos << 1, head + payload)

    return st.one_of(
        st.builds(publish, TOPICS, NUMBERS, st.binary(max_size=300), st.integers(0, 2)),
        st.builds(lambda first, number: framed(first, number), st.sampled_from([0x40, 0x50, 0x62, 0x70]), NUMBERS),
        st.builds(lambda number: framed(0x90, number + none + b"\x01"), NUMBERS),
        st.just(b"\xd0\x00"),
        st.just(CONNACK[level]),
        st.binary(max_size=6),
    )


@st.composite
def streams(draw: st.DrawFn) -> tuple[int, bytes]:
    level = draw(LEVELS)
    start = CONNACK[level] if draw(st.integers(0, 9)) else draw(st.binary(max_size=6))
    return level, start + b"".join(draw(st.lists(_packets(level), max_size=12)))


def _run(level: int, stream: bytes, cuts: list[int], maximum: int) -> tuple[list[Event], bytes, bool]:
    one = session(level, maximum=maximum)
    sent = one.take(0.0)
    for qos in (1, 2, 1, 0, 2):
        one.publish("t", b"", qos=qos, token=qos)
    one.subscribe([("t", 1)])
    events: list[Event] = []
    edges = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    for begin, end in itertools.pairwise(edges):
        events += one.receive(stream[begin:end], 0.0)
        sent += one.take(0.0)
    assert not one.unsent
    return _joined(events), sent, one.closed


def _joined(events: list[Event]) -> list[Event]:
    """Acknowledgements that came in one piece are one event; here each is one of its own."""
    found: list[Event] = []
    for event in events:
        found += [Acknowledged([token]) for token in event.tokens] if isinstance(event, Acknowledged) else [event]
    return found


@given(streams(), st.lists(st.integers(0, 2_000), max_size=40), st.sampled_from([packets.LARGEST_PACKET, 200, 20]))
def test_any_split_of_any_stream_gives_the_same_events(
    stream: tuple[int, bytes], cuts: list[int], maximum: int
) -> None:
    level, raw = stream
    whole = _run(level, raw, [], maximum)
    assert _run(level, raw, cuts, maximum) == whole
    assert _run(level, raw, list(range(len(raw))), maximum) == whole, "byte by byte"


# --- lost connections -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("receive_maximum", [0, 1, 3])
@pytest.mark.parametrize("level", [4, 5])
def test_a_connection_lost_at_every_byte_costs_nothing(level: int, receive_maximum: int) -> None:
    world = World(level, receive_maximum=receive_maximum)
    traffic(world)
    world.drain()
    world.check()
    assert world.moved > 150
    for left in range(1, world.moved + 1):
        one = World(level, receive_maximum=receive_maximum)
        one.left = left
        traffic(one)
        one.drain()
        one.check()


@pytest.mark.parametrize("level", [4, 5])
def test_two_connections_lost_at_any_two_bytes(level: int) -> None:
    chance = random.Random(level)
    for _ in range(mutations(400)):
        one = World(level, receive_maximum=chance.choice((0, 2)))
        one.left = chance.randint(1, 200)
        traffic(one)
        one.move(1 << 20, 1 << 20)
        if one.left is None:
            one.left = chance.randint(1, 200)
        one.drain()
        if one.left is not None:
            one.left = None
        one.drain()
        one.check()


STEPS = st.one_of(
    st.tuples(st.just("publish"), st.integers(0, 2), st.sampled_from("ab")),
    st.tuples(st.just("send"), st.integers(0, 2), st.sampled_from("xy")),
    st.tuples(st.just("move"), st.integers(0, 60), st.integers(0, 60)),
    st.tuples(st.just("lose"), st.just(0), st.just(0)),
    st.tuples(st.just("forget"), st.just(0), st.just(0)),
)


@given(LEVELS, st.integers(0, 3), st.lists(STEPS, max_size=60))
def test_any_traffic_with_any_losses(level: int, receive_maximum: int, steps: list[tuple[str, Any, Any]]) -> None:
    world = World(level, receive_maximum=receive_maximum)
    forgot = False
    for what, one, two in steps:
        if what == "forget":
            forgot = True
            world.lose(forget=True)
        elif what == "lose":
            world.lose()
        elif what == "move":
            world.move(one, two)
        elif what == "publish":
            world.publish(one, two)
        else:
            world.send(one, two)
    world.drain()
    world.check(forgot=forgot)


# --- garbage --------------------------------------------------------------------------------------------------------

# Packets that have broken brokers and clients, and their relatives.
HOSTILE = [
    "30ffffff7f",  # the largest length, and nothing behind it
    "30ffffffffff",
    "30808080808001",
    "32020000",
    "3202ffff",  # a topic that is longer than its packet
    "300500000000ff",
    "36080001740001000000",
    "9002ffff9003ffff80",
    "2003000000" * 3,
    "20ffff03" + "00" * 64,
    "2007000004 26 0000 00",
    "20ff01" + "0000fc01" + "26000000" * 63 + "00",  # a hundred empty user properties
    "e00000e0018e",
    "f0021800",
    "62020001" * 50,
    "50020001" * 50,
    "7002ffff" * 50,
    "3409000174000103230001",
    "30060001740b80808001",
    "00" * 100,
    "ff" * 100,
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n".hex(),
    b"SSH-2.0-OpenSSH_9.2p1\r\n".hex(),
    "15030300020228",  # a TLS alert
    "16030100ff0100",
]


def _survives(level: int, raw: bytes, chance: random.Random, *, greeted: bool) -> None:
    one = session(level, maximum=chance.choice((packets.LARGEST_PACKET, 1_000)), state=State())
    one.publish("t", b"x", qos=2, token=1)
    one.publish("t", b"x", qos=1, token=2)
    if greeted:
        one.receive(CONNACK[level], 0.0)
        one.subscribe([("a", 0)])
    at = 0
    while at < len(raw):
        step = chance.randint(1, 40)
        events = one.receive(raw[at : at + step], 0.0)
        assert all(not isinstance(event, Closed | Refused) for event in events[:-1]), "the end is the last event"
        assert one.closed == bool(events and isinstance(events[-1], Closed | Refused)) or (one.closed and not events)
        one.take(0.0)
        at += step
    if one.closed:
        assert one.receive(CONNACK[level], 1.0) == [] and one.tick(1e9) == [] and not one.unsent


@pytest.mark.parametrize("level", [4, 5])
@pytest.mark.parametrize("encoded", HOSTILE)
def test_hostile_packets_end_a_session_or_change_nothing(level: int, encoded: str) -> None:
    raw = bytes.fromhex(encoded.replace(" ", ""))
    chance = random.Random(encoded)
    for greeted in (False, True):
        for _ in range(20):
            _survives(level, raw, chance, greeted=greeted)
            _survives(level, mutated_bytes(raw, chance), chance, greeted=greeted)


@pytest.mark.parametrize("level", [4, 5])
def test_mutated_traffic_of_a_broker_raises_nothing(level: int) -> None:
    chance = random.Random(level)
    world = World(level)
    recorded = bytearray()
    take = world._take

    def record(piece: bytes) -> None:
        recorded.extend(piece)
        take(piece)

    world._take = record  # type: ignore[method-assign]
    traffic(world)
    world.drain()
    assert len(recorded) > 60
    for _ in range(mutations(2_000)):
        _survives(level, mutated_bytes(bytes(recorded), chance), chance, greeted=chance.random() < 0.3)


@given(LEVELS, st.binary(max_size=200), st.booleans(), st.randoms(use_true_random=False))
def test_garbage_raises_nothing(level: int, raw: bytes, greeted: bool, chance: random.Random) -> None:
    _survives(level, raw, chance, greeted=greeted)
