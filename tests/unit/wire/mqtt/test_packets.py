"""Packets by hand: the examples of the standard, and every field of what a client sends and reads (MQTT 3.1.1 and 5.0, 3)."""

from __future__ import annotations

import pytest

from nexus_cli.wire.mqtt import answers, packets
from nexus_cli.wire.mqtt.data import MalformedError
from nexus_cli.wire.mqtt.packets import Options, Will

WILL = Will(topic="w", payload=b"gone")

CONNECTS: list[tuple[Options, str]] = [
    # 3.1.1: length, "MQTT", level 4, flags, keep-alive, client identifier.
    (Options(client_id="a"), "10 0d 00044d515454 04 02 003c 000161"),
    (Options(client_id="", keepalive_s=0), "10 0c 00044d515454 04 02 0000 0000"),
    (Options(client_id="a", clean=False, keepalive_s=65_535), "10 0d 00044d515454 04 00 ffff 000161"),
    # Flags of a will (3.1.2.5 to 3.1.2.7): 0x04, its QoS 0x18, retained 0x20.
    (Options(client_id="a", will=WILL), "10 16 00044d515454 04 2e 003c 000161 000177 0004676f6e65"),
    (
        Options(client_id="a", will=Will(topic="w", payload=b"", qos=2, retain=False)),
        "10 12 00044d515454 04 16 003c 000161 000177 0000",
    ),
    (
        Options(client_id="a", will=Will(topic="w", payload=b"", qos=0, retain=False)),
        "10 12 00044d515454 04 06 003c 000161 000177 0000",
    ),
    (Options(client_id="a", user="u", password="p"), "10 13 00044d515454 04 c2 003c 000161 000175 000170"),
    (Options(client_id="a", user="u"), "10 10 00044d515454 04 82 003c 000161 000175"),
    # No password without a user in 3.1.1 [3.1.2-22]; version 5 allows it (5.0, 3.1.2.9).
    (Options(client_id="a", password="p"), "10 0d 00044d515454 04 02 003c 000161"),
    (Options(client_id="a", password="p", level=5), "10 11 00044d515454 05 42 003c 00 000161 000170"),
    (Options(client_id="a", level=5), "10 0e 00044d515454 05 02 003c 00 000161"),
    # Without a session expiry interval a session ends with its connection in version 5 (3.1.2.11.2).
    (Options(client_id="a", level=5, clean=False), "10 13 00044d515454 05 00 003c 05 11ffffffff 000161"),
    (
        Options(client_id="a", level=5, clean=False, properties={"session_expiry_interval": 9}),
        "10 13 00044d515454 05 00 003c 05 1100000009 000161",
    ),
    (Options(client_id="a", level=5, maximum_packet=4096), "10 13 00044d515454 05 02 003c 05 2700001000 000161"),
    (
        Options(client_id="a", level=5, will=Will(topic="w", payload=b"x", properties={"will_delay_interval": 3})),
        "10 1a 00044d515454 05 2e 003c 00 000161 05 1800000003 000177 000178",
    ),
]


@pytest.mark.parametrize(("options", "encoded"), CONNECTS)
def test_connect(options: Options, encoded: str) -> None:
    assert packets.connect(options).hex() == encoded.replace(" ", "")


@pytest.mark.parametrize(
    "options",
    [
        Options(client_id="", clean=False),
        Options(client_id="a\x00"),
        Options(client_id="a" * 65_536),
        Options(client_id="a", keepalive_s=65_536),
        Options(client_id="a", keepalive_s=-1),
        Options(client_id="a", user="\ud800"),
        Options(client_id="a", will=Will(topic="w/#", payload=b"")),
        Options(client_id="a", will=Will(topic="", payload=b"")),
        Options(client_id="a", will=Will(topic="w", payload=b"", qos=3)),
        Options(client_id="a", will=Will(topic="w", payload=b"x" * 65_536)),
    ],
)
def test_what_no_connect_may_say(options: Options) -> None:
    with pytest.raises(ValueError):
        packets.connect(options)


@pytest.mark.parametrize(
    ("qos", "retain", "level", "encoded"),
    [
        (0, False, 4, "30 07 0003 612f62 7879"),  # 3.3: no packet identifier at QoS 0
        (0, True, 4, "31 07 0003 612f62 7879"),
        (1, False, 4, "32 09 0003 612f62 000a 7879"),
        (2, True, 4, "35 09 0003 612f62 000a 7879"),
        (0, False, 5, "30 08 0003 612f62 00 7879"),
        (1, False, 5, "32 0a 0003 612f62 000a 00 7879"),
    ],
)
def test_publish(qos: int, retain: bool, level: int, encoded: str) -> None:
    data = packets.publish("a/b", b"xy", qos=qos, retain=retain, number=10, level=level)
    assert data.hex() == encoded.replace(" ", "")


def test_publish_with_properties_and_of_every_length() -> None:
    data = packets.publish("a", b"x", qos=1, retain=False, number=1, level=5, values={"message_expiry_interval": 60})
    assert data.hex() == "320c0001610001050200 00003c78".replace(" ", "")
    for size, length in [(124, "7f"), (125, "8001"), (16_380, "ff7f"), (16_381, "808001"), (2_097_149, "80808001")]:
        data = packets.publish("a", b"x" * size, qos=0, retain=False, number=0, level=4)
        assert data[1 : 1 + len(length) // 2].hex() == length
    with pytest.raises(ValueError, match="variable byte integer"):
        packets.publish("a", bytes(268_435_455), qos=0, retain=False, number=0, level=4)


def test_a_publish_that_waited_or_is_sent_again() -> None:
    for size in (1, 200, 20_000):
        made = packets.publish("a/b", b"x" * size, qos=2, retain=True, number=0, level=4)
        wanted = packets.publish("a/b", b"x" * size, qos=2, retain=True, number=0x1234, level=4)
        assert packets.numbered(made, 0x1234) == wanted
    assert packets.repeated(b"\x35\x05\x00\x01a\x00\x01") == b"\x3d\x05\x00\x01a\x00\x01"


@pytest.mark.parametrize("topic", ["", "a/#", "+", "a\x00b", "x" * 65_536, "\ud800", "é" * 40_000])
def test_what_is_no_topic(topic: str) -> None:
    with pytest.raises(ValueError):
        packets.publish(topic, b"", qos=0, retain=False, number=0, level=4)


@pytest.mark.parametrize("qos", [-1, 3, 4])
def test_there_are_three_qos(qos: int) -> None:
    with pytest.raises(ValueError, match="QoS"):
        packets.publish("a", b"", qos=qos, retain=False, number=1, level=4)


@pytest.mark.parametrize(
    ("kind", "code", "level", "encoded"),
    [
        (packets.PUBACK, 0, 4, "4002000a"),
        (packets.PUBREC, 0, 4, "5002000a"),
        (packets.PUBREL, 0, 4, "6202000a"),  # its flags are 2 (3.6.1)
        (packets.PUBCOMP, 0, 4, "7002000a"),
        (packets.PUBCOMP, 0x92, 4, "7002000a"),
        (packets.PUBCOMP, 0x92, 5, "7003000a92"),
        (packets.PUBREL, 0x92, 5, "6203000a92"),
    ],
)
def test_answers_of_ours(kind: int, code: int, level: int, encoded: str) -> None:
    assert packets.answer(kind, 10, code=code, level=level).hex() == encoded


def test_subscribe_and_unsubscribe() -> None:
    # Figure 3.23 of 3.1.1: "a/b" with QoS 1 and "c/d" with QoS 2, identifier 10.
    both = [("a/b", 1), ("c/d", 2)]
    assert packets.subscribe(both, number=10, level=4).hex() == "820e000a0003612f6201" + "0003632f6402"
    assert packets.subscribe([("a", 0x2D)], number=10, level=5).hex() == "8207000a00" + "0001612d"
    identified = packets.subscribe([("a", 0)], number=10, level=5, values={"subscription_identifier": [5]})
    assert identified.hex() == "8209000a020b05" + "00016100"
    assert packets.unsubscribe(["a/b", "c/d"], number=10, level=4).hex() == "a20c000a" + "0003612f62" + "0003632f64"
    assert packets.unsubscribe(["a"], number=10, level=5).hex() == "a206000a00" + "000161"


@pytest.mark.parametrize("name", ["#", "a/#", "+", "a/+/b", "+/+/#", "/", "a//b", "$share/g/a/#", " "])
def test_filters(name: str) -> None:
    assert packets.subscribe([(name, 0)], number=1, level=4)
    assert packets.unsubscribe([name], number=1, level=4)


@pytest.mark.parametrize("name", ["", "a#", "#/a", "a/#/b", "a+", "a/+b", "##", "a\x00"])
def test_what_is_no_filter(name: str) -> None:
    for level in (4, 5):
        with pytest.raises(ValueError):
            packets.subscribe([(name, 0)], number=1, level=level)
        with pytest.raises(ValueError):
            packets.unsubscribe([name], number=1, level=level)


def test_what_no_subscription_may_say() -> None:
    for level, options in [(4, 3), (4, 4), (4, 0x80), (5, 3), (5, 0x40), (5, 0x30), (5, 0x100)]:
        with pytest.raises(ValueError, match="options"):
            packets.subscribe([("a", options)], number=1, level=level)
    for level in (4, 5):
        with pytest.raises(ValueError, match="needs a filter"):
            packets.subscribe([], number=1, level=level)
        with pytest.raises(ValueError, match="needs a filter"):
            packets.unsubscribe([], number=1, level=level)


def test_ping_and_disconnect() -> None:
    assert packets.PING == b"\xc0\x00"
    assert packets.disconnect(level=4) == packets.disconnect(level=4, code=4) == b"\xe0\x00"
    assert packets.disconnect(level=5) == b"\xe0\x00"
    assert packets.disconnect(level=5, code=0x82) == b"\xe0\x01\x82"


@pytest.mark.parametrize(
    ("level", "body", "found"),
    [
        (4, "0000", (False, 0, {})),
        (4, "0100", (True, 0, {})),
        (4, "0005", (False, 5, {})),
        (5, "000000", (False, 0, {})),
        (5, "010003130005", (True, 0, {"server_keep_alive": 5})),
        (5, "0000041f0003", None),
        (5, "0087 04 1f000161", (False, 0x87, {"reason_string": "a"})),
        (5, "0001", (False, 1, {})),  # a broker of 3.1.1
        (5, "0000", (False, 1, {})),
        (4, "00", None),
        (4, "0200", None),  # reserved bits (3.2.2.1)
        (4, "000000", None),
        (5, "00", None),
        (5, "000001", None),
        (5, "00000000", None),
        (5, "0000020101", None),  # a property of a PUBLISH
    ],
)
def test_connack(level: int, body: str, found: tuple[object, ...] | None) -> None:
    if found is None:
        with pytest.raises(MalformedError):
            answers.connack(bytes.fromhex(body), level=level)
    else:
        assert answers.connack(bytes.fromhex(body), level=level) == found


@pytest.mark.parametrize(
    ("level", "body", "found"),
    [
        (4, "000a", (10, 0, "")),
        (5, "000a", (10, 0, "")),
        (5, "000a10", (10, 0x10, "")),
        (5, "000a8700", (10, 0x87, "")),
        (5, "000a87041f00016e", (10, 0x87, "n")),
        (4, "00", None),
        (4, "000a00", None),
        (5, "000a870000", None),
        (5, "000a87051f00016e", None),
        (5, "000a8703210001", None),
    ],
)
def test_an_acknowledgement(level: int, body: str, found: tuple[object, ...] | None) -> None:
    if found is None:
        with pytest.raises(MalformedError):
            answers.answer(bytes.fromhex(body), level=level)
    else:
        assert answers.answer(bytes.fromhex(body), level=level) == found


@pytest.mark.parametrize(
    ("level", "body", "count", "found"),
    [
        (4, "000a000102", 3, (0, 1, 2)),
        (4, "000a80", 1, (0x80,)),
        (4, "000a", 0, ()),
        (5, "000a00018f", 2, (1, 0x8F)),
        (5, "000a041f0001610011", 2, (0, 0x11)),
        (4, "000a03", 1, None),  # reserved (3.9.3)
        (4, "000a87", 1, None),
        (4, "000a0001", 1, None),
        (4, "000a", 1, None),
        (4, "00", 1, None),
        (5, "000a", 1, None),
    ],
)
def test_suback_and_unsuback(level: int, body: str, count: int, found: tuple[int, ...] | None) -> None:
    if found is None:
        with pytest.raises(MalformedError):
            answers.codes(bytes.fromhex(body), level=level, count=count)
    else:
        assert answers.codes(bytes.fromhex(body), level=level, count=count) == found


def test_a_disconnect_of_the_broker() -> None:
    assert answers.disconnect(b"") == (0, 0, "")
    assert answers.disconnect(b"\x8e") == (0, 0x8E, "")
    assert answers.disconnect(b"\x9d\x08\x1c\x00\x01b\x1f\x00\x01m") == (0, 0x9D, "m")
    for body in (b"\x8e\x05\x11\x00\x00\x00\x01", b"\x8e\x00\x00"):
        with pytest.raises(MalformedError):
            answers.disconnect(body)
