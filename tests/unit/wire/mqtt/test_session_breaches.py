"""What breaks the standard ends the session, and what is only too large or in pieces does not (2.2.3, 4.8, 4.13)."""

from __future__ import annotations

import pytest

from nexus_cli.wire.message import Message
from nexus_cli.wire.mqtt.events import Acknowledged, Closed, Oversized
from nexus_cli.wire.mqtt.packets import publish
from tests.unit.wire.mqtt.conversation import Conversation, accepted

BREACHES: list[tuple[int, str, int]] = [
    # Both versions: fixed header, flags, PUBLISH.
    *[
        (level, packet, 0x81)
        for level in (4, 5)
        for packet in ("40ffffffff01", "41020001", "60020001", "63020001", "d100")
    ],
    *[
        (level, packet, 0x81)
        for level in (4, 5)
        for packet in ("3600", "3003 0005 61", "36050001740001", "38030001 74")
    ],
    *[(level, "32050001740000", 0x81) for level in (4, 5)],  # packet identifier 0 [2.3.1-1]
    *[
        (level, packet, 0x81)
        for level in (4, 5)
        for packet in ("4001 00", "5000", "62 00", "7001 00", "d00100", "30 00", "3001 00")
    ],
    (4, "30020000", 0x82),  # no topic [4.7.3-1]
    (5, "3003000000", 0x82),
    # Packets that a broker never sends, and a second CONNACK.
    *[(level, packet, 0x82) for level in (4, 5) for packet in ("0000", "1000", "c000")],
    (5, "82020001", 0x81),
    (4, "20020000", 0x82),
    (5, "2003000000", 0x82),
    (4, "e000", 0x82),  # DISCONNECT is for clients in 3.1.1 (3.14)
    (4, "f000", 0x82),
    (5, "f000", 0x82),  # AUTH without an authentication method (4.12)
    # Lengths of 3.1.1 and properties of 5.
    (4, "4003000100", 0x81),
    (4, "7003000192", 0x81),
    (5, "40050001000100", 0x81),
    (5, "3004000174 05", 0x81),
    (5, "3005000174 01 7f", 0x81),
    (5, "3006000174 02 2500", 0x82),  # retain available is of a CONNACK
    (5, "3007000174 03 230001", 0x94),  # a topic alias, and none was announced (3.3.2.3.4)
    (5, "3006000174 02 0102", 0x82),
    (5, "e0058e031f0005", 0x81),
    (5, "e0078e0511000000ff", 0x82),  # a session expiry interval of the broker (3.14.2.2.2)
]


@pytest.mark.parametrize(("level", "encoded", "code"), BREACHES)
def test_a_breach(level: int, encoded: str, code: int) -> None:
    talk = accepted(level=level)
    events = talk.receive(encoded)
    assert len(events) == 1 and isinstance(events[0], Closed), events
    assert "not MQTT" in events[0].why
    assert talk.sent == (f"e001{code:02x}" if level == 5 else ""), "3.1.1 has no words for it (4.8)"
    assert talk.session.closed and talk.receive("d000") == [] and talk.tick(1e6) == []


def test_more_messages_of_qos_2_than_announced() -> None:
    talk = accepted(level=5, properties={"receive_maximum": 2})
    assert len(talk.receive("34060001740001 00", "34060001740002 00")) == 2
    assert talk.receive("3c060001740001 00") == [], "again is not more"
    (event,) = talk.receive("34060001740003 00")
    assert isinstance(event, Closed) and talk.sent.endswith("e00193")


def test_packets_in_pieces_of_any_size_give_the_same_events() -> None:
    stream = b"".join(
        publish("t", bytes(size), qos=1, retain=False, number=at + 1, level=4)
        for at, size in enumerate((0, 1, 100, 121, 122, 123, 5_000, 20_000, 0, 1, 122))
    )
    whole = accepted().session.receive(stream, 0.0)
    assert len(whole) == 11
    for step in (1, 2, 3, 7, 127, 128, 129, 4_999, 16_384):
        talk = accepted()
        events = [
            one for at in range(0, len(stream), step) for one in talk.session.receive(stream[at : at + step], 0.0)
        ]
        assert events == whole, step
        assert talk.sent == "".join(f"4002{number:04x}" for number in range(1, 12))


def test_a_short_packet_behind_a_long_one_needs_no_third() -> None:
    """The bytes that were missing of the long packet say nothing about the next one."""
    talk = accepted()
    long = publish("t", bytes(100_000), qos=0, retain=False, number=0, level=4)
    assert talk.session.receive(long[:50_000], 0.0) == []
    assert len(talk.session.receive(long[50_000:] + b"\x30", 0.0)) == 1, "half of a header is left"
    assert talk.receive("03000174") == [Message("t", b"", 0, False)]
    assert talk.session.receive(long[:-1] + b"", 0.0) == []
    assert len(talk.session.receive(long[-1:] + b"\x30\x80", 0.0)) == 1
    assert talk.receive("01") == []
    assert len(talk.session.receive(b"\x00\x01t" + bytes(125), 0.0)) == 1


def test_a_large_packet_is_copied_a_fixed_number_of_times() -> None:
    talk = accepted()
    large = publish("t", bytes(4 << 20), qos=0, retain=False, number=0, level=4)
    held = talk.session._assembly._held
    for at in range(0, len(large) - 1000, 1000):
        assert talk.session.receive(large[at : at + 1000], 0.0) == []
        if at:
            assert talk.session._assembly._held is held, "appended to, not copied"
        held = talk.session._assembly._held
    (message,) = talk.session.receive(large[at + 1000 :], 0.0)
    assert isinstance(message, Message) and len(message.payload) == 4 << 20


LARGE = [("30", "", ""), ("32", "0009", "40020009"), ("34", "0009", "50020009")]


@pytest.mark.parametrize(("first", "number", "answer"), LARGE)
@pytest.mark.parametrize("step", [1, 3, 50, 1_000, 10_000])
def test_a_message_that_is_too_large_is_answered_and_dropped(first: str, number: str, answer: str, step: int) -> None:
    talk = accepted(maximum_packet=200)
    talk.session.publish("t", b"", token="mine")
    assert talk.sent
    body = b"\x00\x02ab" + bytes.fromhex(number) + bytes(1_000)
    length = len(body)
    large = bytes.fromhex(first) + bytes((length & 127 | 128, length >> 7)) + body
    stream = b"\x40\x02\x00\x01" + large + b"\x30\x05\x00\x02abx" + large + b"\x30\x05\x00\x02aby"
    events = [one for at in range(0, len(stream), step) for one in talk.session.receive(stream[at : at + step], 0.0)]
    dropped = Oversized("ab", len(large))
    again = [] if first == "34" else [dropped]  # of QoS 2 with the same identifier: delivered, that is dropped, before
    x, y = (Message("ab", one, 0, False) for one in (b"x", b"y"))
    assert events == [Acknowledged(["mine"]), dropped, x, *again, y]
    assert talk.sent == answer * 2
    assert len(talk.session._assembly._held) <= 200


def test_a_packet_of_just_the_maximum_is_taken() -> None:
    talk = accepted(maximum_packet=200)
    assert len(talk.session.receive(publish("ab", bytes(193), qos=0, retain=False, number=0, level=4), 0.0)) == 1
    (event,) = talk.session.receive(publish("ab", bytes(194), qos=0, retain=False, number=0, level=4), 0.0)
    assert event == Oversized("ab", 201)
    larger = publish("ab", bytes(500), qos=0, retain=False, number=0, level=4)
    assert talk.session.receive(larger + b"\x30\x05\x00", 0.0) == [Oversized("ab", 507)]
    assert talk.session.receive(b"\x02abx", 0.0) == [Message("ab", b"x", 0, False)], "nothing of the next is skipped"


@pytest.mark.parametrize(
    ("level", "encoded"),
    [(4, "90ac02 0001"), (5, "30ac02 0001"), (5, "90ac02 0001"), (4, "90ffffff7f"), (4, "d0ffffff7f")],
)
def test_anything_else_that_is_too_large_ends_the_session_at_its_header(level: int, encoded: str) -> None:
    talk = accepted(level=level, maximum_packet=200)
    (event,) = talk.receive(encoded)
    assert isinstance(event, Closed) and "too large" in event.why
    assert talk.sent == ("e00195" if level == 5 else "")


def test_a_connack_that_is_too_large() -> None:
    (event,) = Conversation(maximum_packet=200).receive("30ac02")
    assert isinstance(event, Closed)
