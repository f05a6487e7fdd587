"""A session over several connections (MQTT 3.1.1 and 5.0, 3.1.2.4, 4.1, 4.4 and 4.6)."""

from __future__ import annotations

import pytest

from nexus_cli.wire.message import Message
from nexus_cli.wire.mqtt.events import Accepted, Acknowledged, Forgotten
from nexus_cli.wire.mqtt.state import State
from tests.unit.wire.mqtt.conversation import CONNACK, PRESENT, Conversation, accepted

LEVELS = pytest.mark.parametrize("level", [4, 5])


def _left_open(level: int) -> State:
    """1 to 5 of QoS 1, 2, 2, 1, 2 are open: 3 and then 2 were received by the broker, 5 was not sent."""
    state = State()
    talk = accepted(level=level, clean=False, state=state)
    for number, qos in enumerate((1, 2, 2, 1), 1):
        talk.session.publish("t", b"%d" % number, qos=qos, token=number)
    talk.receive("50020003", "50020002")
    assert set(state.kept) == {1, 4}, "after its PUBREC a message is never sent again"
    return state


@LEVELS
def test_what_was_open_is_sent_again_in_order_with_its_dup_flag(level: int) -> None:
    state = _left_open(level)
    talk = Conversation(level=level, clean=False, state=state)
    assert talk.session.inflight == 4
    talk.session.publish("t", b"5", qos=2, token=5)
    assert talk.sent == "", "nothing overtakes what is sent again"
    assert talk.receive(PRESENT[level]) == [Accepted(True, {})]
    none, size = {4: ("", "06"), 5: ("00", "07")}[level]
    assert talk.sent == (
        "62020003"
        "62020002"  # PUBREL in the order of their PUBRECs [4.6.0-4]
        f"3a{size}0001740001{none}31"  # PUBLISH in the order of the first sending, DUP set [4.4.0-1, 3.3.1-1]
        f"3a{size}0001740004{none}34"
        f"34{size}0001740005{none}35"
    )
    events = talk.receive("70020003", "40020001", "50020005", "70020002", "40020004", "70020005")
    assert [token for event in events if isinstance(event, Acknowledged) for token in event.tokens] == [3, 1, 2, 4, 5]
    assert talk.session.inflight == 0
    assert not (state.open or state.kept or state.exact or state.released or state.queue)


@LEVELS
def test_a_message_of_qos_2_whose_pubrec_was_lost_is_sent_again(level: int) -> None:
    state = State()
    accepted(level=level, clean=False, state=state).session.publish("t", b"x", qos=2, token=1)
    talk = accepted(level=level, clean=False, state=state, present=True)
    assert talk.sent == {4: "3c06000174000178", 5: "3c0700017400010078"}[level]
    assert talk.receive("50020001") == [] and talk.sent == "62020001"
    again = accepted(level=level, clean=False, state=state, present=True)
    assert again.sent == "62020001", "after the PUBREC it is never published again [4.3.3-1]"
    assert again.receive("70020001") == [Acknowledged([1])]


@LEVELS
def test_a_session_that_the_broker_lost(level: int) -> None:
    state = _left_open(level)
    state.received.add(9)
    talk = Conversation(level=level, clean=False, state=state)
    talk.session.publish("t", b"5", token=5)
    assert talk.receive(CONNACK[level]) == [Accepted(False, {}), Forgotten([1, 2, 3, 4])]
    assert talk.sent == {4: "3206000174000535", 5: "320700017400050035"}[level], "what was never sent is sent"
    assert talk.session.inflight == 1
    packet = {4: "34060001740009 78", 5: "34070001740009 00 78"}[level]
    assert talk.receive(packet) == [Message("t", b"x", 2, False)], "9 is a new message for the new session"


@LEVELS
def test_a_message_of_qos_2_is_delivered_once_over_two_connections(level: int) -> None:
    state = State()
    none, size = {4: ("", "06"), 5: ("00", "07")}[level]
    first = accepted(level=level, clean=False, state=state)
    assert first.receive(f"34{size}0001740009{none}78") == [Message("t", b"x", 2, False)]
    second = accepted(level=level, clean=False, state=state, present=True)
    assert second.receive(f"3c{size}0001740009{none}78") == [] and second.sent == "50020009"
    assert second.receive("62020009", f"34{size}0001740009{none}79") == [Message("t", b"y", 2, False)]


def test_a_smaller_window_after_a_reconnect_bounds_what_is_sent_again() -> None:
    state = State()
    talk = accepted(level=5, clean=False, state=state)
    for token in range(1, 6):
        talk.session.publish("t", b"", token=token)
    again = accepted(level=5, clean=False, state=state, connack="2006010003210002")
    assert again.sent == "3a06000174000100" + "3a06000174000200"
    assert again.receive("40020001", "40020002") == [Acknowledged([1, 2])]
    assert again.sent == "3a06000174000300" + "3a06000174000400"
    again.session.publish("t", b"", token=6)
    assert again.receive("40020003") == [Acknowledged([3])] and again.sent == "3a06000174000500"
    assert again.receive("40020004") == [Acknowledged([4])] and again.sent == "3206000174000600"


def test_an_acknowledgement_of_what_is_not_sent_again_yet() -> None:
    state = State()
    talk = accepted(level=5, clean=False, state=state)
    for token in range(1, 4):
        talk.session.publish("t", b"", token=token)
    again = accepted(level=5, clean=False, state=state, connack="2006010003210001")
    assert again.receive("40020002") == [Acknowledged([2])]
    assert again.receive("40020001") == [Acknowledged([1])]
    assert again.sent == "3a06000174000100" + "3a06000174000300"
    assert again.receive("40020003") == [Acknowledged([3])] and again.session.inflight == 0


def test_packet_identifiers_continue() -> None:
    state = State()
    talk = accepted(clean=False, state=state)
    for token in range(3):
        talk.session.publish("t", b"", token=token)
    talk.receive("40020001", "40020003")
    again = accepted(clean=False, state=state, present=True)
    again.session.publish("t", b"", token=3)
    assert again.sent == "3a050001740002" + "32050001740004", "a number that the broker may know is not given again"


def test_a_clean_session_keeps_nothing() -> None:
    state = State()
    talk = accepted(state=state)
    talk.session.publish("t", b"", qos=2, token=1)
    assert not state.open and not talk.session._state.kept


def test_acknowledgements_before_a_breach_are_not_lost() -> None:
    state = State()
    talk = accepted(clean=False, state=state)
    talk.session.publish("t", b"", token=1)
    events = talk.receive("40020001", "f000")
    assert events[0] == Acknowledged([1]) and len(events) == 2 and not state.open
