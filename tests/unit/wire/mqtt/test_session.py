"""The rules of a session by clause (MQTT 3.1.1 and 5.0, 3 and 4), with bytes by hand."""

from __future__ import annotations

import pytest

from nexus_cli.wire.message import Message
from nexus_cli.wire.mqtt.events import Accepted, Acknowledged, Closed, Refused, Rejected, Subscribed
from nexus_cli.wire.mqtt.sending import MOST_ASKED, MOST_EXACT, MOST_OPEN
from tests.unit.wire.mqtt.conversation import CONNACK, Conversation, accepted

LEVELS = pytest.mark.parametrize("level", [4, 5])
NONE = {4: "", 5: "00"}
"""No properties."""


# --- 3.1, 3.2: CONNECT and CONNACK ----------------------------------------------------------------------------------


@LEVELS
def test_the_first_packet_is_a_connect_and_its_answer_accepts(level: int) -> None:
    talk = Conversation(level=level)
    assert talk.connect[0] == 0x10 and talk.connect[8] == level
    assert talk.receive(CONNACK[level]) == [Accepted(False, {})]
    assert talk.session.accepted and not talk.session.closed and talk.sent == ""


@pytest.mark.parametrize(
    ("level", "connack", "code", "why"),
    [
        (4, "20020001", 1, "it does not accept this protocol version"),
        (4, "20020002", 2, "it does not accept our client identifier"),
        (4, "20020003", 3, "its MQTT service is unavailable"),
        (4, "20020004", 4, "bad user name or password"),
        (4, "20020005", 5, "not authorised"),
        (4, "20020006", 6, "code 6"),
        (5, "2003008600", 0x86, "bad user name or password"),
        (5, "20070087041f00016e", 0x87, "not authorised (n)"),
        (5, "20020001", 1, "it does not accept this protocol version"),
    ],
)
def test_a_refusal(level: int, connack: str, code: int, why: str) -> None:
    talk = Conversation(level=level)
    assert talk.receive(connack) == [Refused(code, why)]
    assert talk.session.closed and talk.sent == "" and talk.receive(CONNACK[level]) == []


@pytest.mark.parametrize(
    ("level", "encoded", "code"),
    [
        *[(level, packet, 0x82) for level in (4, 5) for packet in ("d000", "90030001 00", "4002 0001", "30030001 61")],
        (4, "20020100", 0x82),  # a session that was not asked for (3.2.2.2)
        (5, "2003010000", 0x82),
        (4, "2003000000", 0x81),
        (4, "20010000", 0x81),
        (4, "20020200", 0x81),
        (5, "2103000000", 0x82),  # flags (3.2.1)
        (5, "200600000321 0000", 0x82),  # receive maximum 0
        (5, "48", 0x82),  # the "H" of "HTTP/1.1": nothing more is waited for
    ],
)
def test_a_first_packet_that_ends_the_session(level: int, encoded: str, code: int) -> None:
    talk = Conversation(level=level)
    (event,) = talk.receive(encoded)
    assert isinstance(event, Closed) and event.why
    assert talk.sent == (f"e001{code:02x}" if level == 5 else "")
    assert not talk.session.accepted and talk.receive(CONNACK[level]) == []


@LEVELS
def test_what_is_published_before_the_connack_waits_for_it(level: int) -> None:
    talk = Conversation(level=level)
    for qos in (1, 0, 2):
        talk.session.publish("t", b"x", qos=qos, token=qos)
    assert talk.sent == "" and talk.session.inflight == 3
    talk.receive(CONNACK[level])
    sizes = {4: ("06", "04", "06"), 5: ("07", "05", "07")}[level]
    none = NONE[level]
    assert talk.sent == f"32{sizes[0]}0001740001{none}7830{sizes[1]}000174{none}7834{sizes[2]}0001740002{none}78"


# --- 3.3, 4.3: messages of ours -------------------------------------------------------------------------------------


@LEVELS
def test_qos_0_is_sent_and_forgotten(level: int) -> None:
    talk = accepted(level=level)
    talk.session.publish("t", b"x", qos=0, token="never")
    assert talk.sent.startswith("30") and talk.session.inflight == 0


@LEVELS
def test_qos_1_is_acknowledged_once(level: int) -> None:
    talk = accepted(level=level)
    talk.session.publish("t", b"x", token="one")
    talk.session.publish("t", b"x", token="two")
    assert talk.session.inflight == 2 and talk.sent
    assert talk.receive("40020002", "40020001") == [Acknowledged(["two", "one"])]
    assert talk.receive("40020002", "40020007") == [] and talk.session.inflight == 0


@LEVELS
def test_qos_2_takes_four_packets(level: int) -> None:
    talk = accepted(level=level)
    talk.session.publish("t", b"x", qos=2, token="one")
    assert talk.sent == {4: "3406000174000178", 5: "340700017400010078"}[level]
    assert talk.receive("50020001") == []
    assert talk.sent == "62020001" and talk.session.inflight == 1
    assert talk.receive("50020001") == [], "its PUBREC again"
    assert talk.sent == "62020001"
    assert talk.receive("70020001") == [Acknowledged(["one"])]
    assert talk.session.inflight == 0 and talk.receive("70020001") == []
    assert talk.receive("50020001") == [], "a late PUBREC is answered, so that the broker can finish"
    assert talk.sent == {4: "62020001", 5: "6203000192"}[level]


@pytest.mark.parametrize("level", [4, 5])
@pytest.mark.parametrize(("qos", "packet"), [(2, "40020001"), (1, "50020001"), (1, "70020001")])
def test_an_acknowledgement_of_another_qos_ends_the_session(level: int, qos: int, packet: str) -> None:
    talk = accepted(level=level)
    talk.session.publish("t", b"x", qos=qos, token="one")
    assert talk.sent
    (event,) = talk.receive(packet)
    assert isinstance(event, Closed) and "QoS" in event.why
    assert talk.sent == ("e00182" if level == 5 else "")


def test_a_pubcomp_before_its_pubrec_is_no_acknowledgement() -> None:
    talk = accepted()
    talk.session.publish("t", b"x", qos=2, token="one")
    assert talk.receive("70020001") == [] and talk.session.inflight == 1


@pytest.mark.parametrize(
    ("qos", "packet", "found"),
    [
        (1, "4003000110", Acknowledged(["one"])),  # no matching subscribers
        (1, "4003000187", Rejected("one", 0x87, "not authorised")),
        (1, "4008000187041f00016e", Rejected("one", 0x87, "not authorised (n)")),
        (2, "5003000197", Rejected("one", 0x97, "quota exceeded")),
        (2, "5003000110 7003000192", Acknowledged(["one"])),  # 3.7.2.1: the broker had finished it
    ],
)
def test_reason_codes_of_version_5(qos: int, packet: str, found: object) -> None:
    talk = accepted(level=5)
    talk.session.publish("t", b"x", qos=qos, token="one")
    assert talk.receive(packet) == [found] and talk.session.inflight == 0


def test_packet_identifiers_are_never_0_and_never_twice_at_once() -> None:
    talk = accepted()
    talk.session.publish("t", b"", token=0)
    for token in range(1, 65_535):
        talk.session.publish("t", b"", token=token)
        talk.receive("4002" + (token + 1).to_bytes(2, "big").hex())
    talk.session.take(0.0)
    talk.session.publish("t", b"", token="next")
    assert talk.sent == "3205" + "000174" + "0002", "1 is still open, 0 does not exist (2.3.1)"


def test_a_packet_identifier_that_a_subscription_has_is_not_given() -> None:
    talk = accepted()
    talk.session.subscribe([("a", 0)])
    talk.session._state.last = 65_534
    for token in range(2):
        talk.session.publish("t", b"", token=token)
    assert talk.sent.endswith("3205000174ffff" + "32050001740002"), "1 waits for its SUBACK"


def test_a_window_of_qos_2_in_version_3_1_1() -> None:
    talk = accepted()
    for token in range(MOST_EXACT + 2):
        talk.session.publish("t", b"", qos=2, token=token)
    talk.session.publish("t", b"", token="last")
    assert len(bytes.fromhex(talk.sent)) == MOST_EXACT * 7 and talk.session.inflight == MOST_EXACT + 3
    assert talk.receive("50020001") == [] and talk.sent == "62020001", "a PUBREC makes no room"
    assert talk.receive("70020001") == [Acknowledged([0])]
    assert talk.sent == f"340500017400{MOST_EXACT + 1:02x}"
    assert talk.receive("50020002", "70020002") == [Acknowledged([1])]
    assert talk.sent == "62020002" + f"340500017400{MOST_EXACT + 2:02x}" + f"320500017400{MOST_EXACT + 3:02x}"
    five = accepted(level=5)
    for token in range(100):
        five.session.publish("t", b"", qos=2, token=token)
    assert len(bytes.fromhex(five.sent)) == 100 * 8, "version 5 announces its window"


def test_the_window_ends_before_the_packet_identifiers_do() -> None:
    talk = accepted()
    for token in range(MOST_OPEN + 10):
        talk.session.publish("t", b"", token=token)
    assert talk.session.inflight == MOST_OPEN + 10
    assert len(talk.session.take(0.0)) == MOST_OPEN * 7
    numbers = {talk.session.subscribe([("a", 0)]) for _ in range(MOST_ASKED)}
    assert len(numbers) == MOST_ASKED and min(numbers) > MOST_OPEN
    with pytest.raises(ValueError, match="wait for their answers"):
        talk.session.subscribe([("a", 0)])
    talk.session.take(0.0)
    assert talk.receive("4002000a") == [Acknowledged([9])]
    assert talk.sent == "3205000174000a", "the first that waited has its identifier"


# --- 4.9, 3.2.2.3: the limits of a broker of version 5 ---------------------------------------------------------------


def test_the_receive_maximum_bounds_what_is_open() -> None:
    talk = accepted(level=5, connack="2006000003210002")
    for token in range(5):
        talk.session.publish("t", b"", qos=1 + token % 2, token=token)
    assert talk.sent == "32060001740001" + "00" + "34060001740002" + "00"
    talk.session.publish("u", b"", qos=0)
    assert talk.sent == "", "nothing overtakes"
    assert talk.receive("40020001") == [Acknowledged([0])]
    assert talk.sent == "3206000174000300"
    assert talk.receive("50020002", "70020002") == [Acknowledged([1])], "a PUBCOMP makes room, a PUBREC does not"
    assert talk.sent == "62020002" + "3406000174000400"
    assert talk.receive("40020003") == [Acknowledged([2])]
    assert talk.sent == "3206000174000500" + "3004000175" + "00"
    assert talk.receive("5003000480") == [Rejected(3, 0x80, "unspecified error")]
    assert talk.session.inflight == 1


@pytest.mark.parametrize(
    ("connack", "qos", "retain", "size", "said"),
    [
        ("2005000002 2400", 1, False, 1, "QoS 0 at most"),
        ("2005000002 2401", 2, False, 1, "QoS 1 at most"),
        ("2005000002 2500", 0, True, 1, "no retained"),
        ("2008000005 2700000020", 1, False, 25, "32 bytes"),
    ],
)
def test_what_the_broker_does_not_accept_is_not_sent(
    connack: str, qos: int, retain: bool, size: int, said: str
) -> None:
    talk = accepted(level=5, connack=connack)
    with pytest.raises(ValueError, match=said):
        talk.session.publish("t", b"x" * size, qos=qos, retain=retain, token="one")
    assert talk.sent == "" and talk.session.inflight == 0
    early = Conversation(level=5)
    early.session.publish("t", b"x" * size, qos=qos, retain=retain, token="one")
    early.session.publish("t", b"", qos=0, token="two")
    events = early.receive(connack)
    rejected = [event for event in events if isinstance(event, Rejected)]
    assert [(event.token, said in event.why) for event in rejected] == ([("one", True)] if qos else [])
    assert early.sent == "3004000174" + "00" and early.session.inflight == 0


def test_a_packet_of_just_the_maximum_passes() -> None:
    talk = accepted(level=5, connack="2008000005 2700000020")
    talk.session.publish("t", b"x" * 24, token="one")
    assert len(bytes.fromhex(talk.sent)) == 32
    with pytest.raises(ValueError, match="32 bytes"):
        talk.session.subscribe([("x" * 30, 0)])


# --- 3.3, 4.3: messages for us --------------------------------------------------------------------------------------


@LEVELS
def test_messages_of_every_qos(level: int) -> None:
    talk, none = accepted(level=level), NONE[level]
    size = {4: "06", 5: "07"}[level]
    short = {4: "04", 5: "05"}[level]
    assert talk.receive(f"30{short} 000174 {none} 78") == [Message("t", b"x", 0, False)]
    assert talk.sent == ""
    assert talk.receive(f"33{size} 000174 0009 {none} 78") == [Message("t", b"x", 1, True)]
    assert talk.sent == "40020009"
    assert talk.receive(f"3b{size} 000174 0009 {none} 78") == [Message("t", b"x", 1, True)], "at least once"
    assert talk.sent == "40020009"
    assert talk.receive(f"34{size} 000174 0009 {none} 78") == [Message("t", b"x", 2, False)]
    assert talk.sent == "50020009"
    assert talk.receive(f"3c{size} 000174 0009 {none} 78") == [], "exactly once"
    assert talk.sent == "50020009"
    assert talk.receive("62020009") == []
    assert talk.sent == "70020009"
    assert talk.receive("62020009") == [], "its PUBREL again"
    assert talk.sent == {4: "70020009", 5: "7003000992"}[level]
    assert talk.receive(f"34{size} 000174 0009 {none} 79") == [Message("t", b"y", 2, False)], (
        "a new one with its number"
    )


def test_properties_of_a_message_are_read_and_its_payload_is_behind_them() -> None:
    talk = accepted(level=5)
    assert talk.receive("300a 000174 05 0101 0b8001 78") == [Message("t", b"x", 0, False)]
    assert talk.receive("3206 000174 0009 00") == [Message("t", b"", 1, False)]


@LEVELS
def test_an_empty_payload_and_an_empty_stream(level: int) -> None:
    talk = accepted(level=level)
    packet = {4: "3003 000174", 5: "3004 000174 00"}[level]
    assert talk.receive(packet, packet) == [Message("t", b"", 0, False)] * 2
    assert talk.receive("") == []


@LEVELS
def test_a_topic_that_is_not_utf_8_is_counted_and_answered(level: int) -> None:
    talk = accepted(level=level)
    packet = {4: "0005 0001ff 0009", 5: "0006 0001ff 0009 00"}[level][2:]
    assert talk.receive("34", packet) == [] and talk.sent == "50020009"
    assert talk.receive("3c", packet) == [] and talk.session.undecodable == 1
    assert talk.receive("32", packet) == [] and talk.session.undecodable == 2


# --- 3.8 to 3.11: subscriptions --------------------------------------------------------------------------------------


@LEVELS
def test_subscriptions(level: int) -> None:
    talk, none = accepted(level=level), NONE[level]
    one = talk.session.subscribe([("a/#", 1), ("b", 0)])
    two = talk.session.unsubscribe(["c", "d"])
    assert (one, two) == (1, 2) and talk.sent
    assert talk.receive(f"{'b002' if level == 4 else 'b005'} 0002 {none} {'' if level == 4 else '0011'}") == [
        Subscribed(2, () if level == 4 else (0, 0x11))
    ]
    assert talk.receive(f"{'9004' if level == 4 else '9005'} 0001 {none} 0180") == [Subscribed(1, (1, 0x80))]
    assert talk.receive(f"{'9004' if level == 4 else '9005'} 0001 {none} 0180") == [], "answered before"
    assert talk.session.subscribe([("a", 1)]) == 3


@LEVELS
def test_a_suback_for_an_unsubscribe_ends_the_session(level: int) -> None:
    talk = accepted(level=level)
    talk.session.unsubscribe(["a"])
    (event,) = talk.receive({4: "9003 0001 00", 5: "9004 0001 00 00"}[level])
    assert isinstance(event, Closed)


# --- 3.12 to 3.14, 3.1.2.10: keep-alive and the end ------------------------------------------------------------------


@LEVELS
def test_the_answer_to_a_fence_is_its_acknowledgement_and_that_to_a_keep_alive_none(level: int) -> None:
    talk = accepted(level=level, keepalive_s=4)
    talk.session.fence("first", talk.now_s)
    assert talk.sent == "c000"
    assert talk.receive("d000") == [Acknowledged(["first"])]
    talk.tick(3.5)
    talk.session.fence("second", talk.now_s)
    talk.session.fence("third", talk.now_s)
    assert talk.sent == "c000" * 3, "the keep-alive's own goes before"
    assert talk.receive("d000") == []
    assert talk.receive("d000", "d000") == [Acknowledged(["second"]), Acknowledged(["third"])]
    assert talk.receive("d000") == [], "one that nobody asked for"


def test_a_fence_without_an_answer_ends_the_connection_like_a_ping() -> None:
    talk = accepted(keepalive_s=4)
    talk.session.fence("token", talk.now_s)
    assert talk.tick(1.9) == []
    (event,) = talk.tick(0.2)
    assert isinstance(event, Closed)


def test_a_ping_before_the_keep_alive_is_over_and_the_end_without_an_answer() -> None:
    talk = accepted(keepalive_s=10)
    assert talk.tick(8.5) == [] and talk.sent == ""
    assert talk.tick(0.5) == [] and talk.sent == "c000"
    assert talk.receive("d000") == []
    assert talk.tick(8.5) == [] and talk.sent == ""
    assert talk.tick(1.0) == [] and talk.sent == "c000"
    assert talk.tick(4.5) == []
    (event,) = talk.tick(0.5)
    assert event == Closed("the broker sent nothing for 14 s")
    assert talk.session.closed and talk.tick(100.0) == []


def test_what_arrives_counts_as_an_answer_and_what_we_send_does_not() -> None:
    talk = accepted(keepalive_s=10)
    for _ in range(5):
        talk.session.publish("t", b"", qos=0)
        assert talk.sent.startswith("30") and talk.tick(1.9) == []
    assert talk.sent == "c000", "the broker was silent"
    assert talk.receive("30030001 74") and talk.tick(4.9) == [] and talk.sent == ""
    assert talk.session.take(talk.now_s) == b"" and talk.tick(4.2) == [] and talk.sent == "c000", (
        "an empty take sends nothing"
    )


def test_no_keep_alive_and_the_one_of_the_server() -> None:
    talk = accepted(keepalive_s=0)
    assert talk.tick(1e6) == [] and talk.sent == ""
    five = accepted(level=5, keepalive_s=60, connack="2006000003130005")  # server keep alive of 5 s (3.2.2.3.14)
    assert five.tick(4.0) == [] and five.sent == "c000"
    off = accepted(level=5, keepalive_s=1, connack="2006000003130000")
    assert off.tick(1e6) == [] and off.sent == ""
    second = accepted(keepalive_s=1)
    assert second.tick(0.5) == [] and second.sent == "c000"


@LEVELS
def test_a_disconnect_of_ours_is_the_last_packet(level: int) -> None:
    talk = accepted(level=level)
    talk.session.publish("t", b"", qos=0)
    talk.session.disconnect(code=4)
    talk.session.disconnect()
    assert talk.sent.endswith({4: "e000", 5: "e00104"}[level])
    for refused in (
        lambda: talk.session.publish("t", b""),
        lambda: talk.session.subscribe([("t", 0)]),
        lambda: talk.session.unsubscribe(["t"]),
    ):
        with pytest.raises(ValueError, match="over"):
            refused()
    assert talk.receive("30030001 74") == [] and talk.sent == ""


def test_a_disconnect_of_the_broker_says_why() -> None:
    talk = accepted(level=5)
    assert talk.receive("e0018e", "300400017400") == [Closed("the broker ended the connection: session taken over")]
    assert talk.sent == ""
    assert accepted(level=5).receive("e000") == [Closed("the broker ended the connection: no reason given")]
