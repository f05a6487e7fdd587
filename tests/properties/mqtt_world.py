"""A session and the model of its broker, joined by a line that loses what a test wants it to."""

from __future__ import annotations

from collections import Counter
from typing import Any

from nexus_cli.wire.message import Message
from nexus_cli.wire.mqtt import packets
from nexus_cli.wire.mqtt.events import Acknowledged, Closed, Forgotten, Oversized, Refused
from nexus_cli.wire.mqtt.packets import Options
from nexus_cli.wire.mqtt.session import Session
from nexus_cli.wire.mqtt.state import State
from tests.properties.mqtt_model import ModelBroker


def session(level: int, *, maximum: int = packets.LARGEST_PACKET, state: State | None = None) -> Session:
    options = Options(client_id="a", level=level, clean=state is None, maximum_packet=maximum)
    return Session(options, now_s=0.0, state=state)


class World:
    """A session, the model of its broker, and a line of which bytes may be lost.

    Attributes:
        left: Bytes that the line still carries before it is cut; None: it is not.
        outcomes: Per token what became of it.
    """

    def __init__(self, level: int, *, receive_maximum: int = 0) -> None:
        self.broker = ModelBroker(level=level, receive_maximum=receive_maximum)
        self.level, self.state = level, State()
        self.left: int | None = None
        self.published: dict[int, tuple[int, str, bytes]] = {}
        self.sent: list[tuple[int, str, bytes]] = []
        self.received: list[tuple[int, str, bytes]] = []
        self.outcomes: Counter[int] = Counter()
        self.forgotten: set[int] = set()
        self.moved = 0
        self.connect()

    def connect(self) -> None:
        self.session = session(self.level, state=self.state)
        self.up, self.down = bytearray(), bytearray()

    def publish(self, qos: int, topic: str) -> None:
        token = len(self.published)
        message = (qos, topic, b"%d" % token)
        self.published[token] = message
        self.session.publish(topic, message[2], qos=qos, token=token)

    def send(self, qos: int, topic: str) -> None:
        message = (qos, topic, b"s%d" % len(self.sent))
        self.sent.append(message)
        self.broker.publish(topic, message[2], qos)

    def lose(self, *, forget: bool = False) -> None:
        self.broker.lose(forget=forget)
        self.connect()

    def move(self, up: int, down: int) -> bool:
        """Carry so many bytes each way; False when nothing was there. The line is cut where `left` ends."""
        self.up += self.session.take(0.0)
        for line, most, take in ((self.up, up, self.broker.receive), (self.down, down, self._take)):
            count = min(most, len(line))
            if self.left is not None:
                count = min(count, self.left)
                self.left -= count
            piece = bytes(line[:count])
            del line[:count]
            self.moved += count
            if piece:
                take(piece)
            self.down += self.broker.out
            self.broker.out.clear()
        if self.left == 0:
            self.left = None
            self.lose()
            return True
        return bool(self.up or self.down or self.session.unsent)

    def drain(self) -> None:
        """Without further losses until nothing moves."""
        while self.move(1 << 20, 1 << 20):
            pass

    def _take(self, piece: bytes) -> None:
        for event in self.session.receive(piece, 0.0):
            assert not isinstance(event, Closed | Refused | Oversized), event
            if isinstance(event, Message):
                self.received.append((event.qos, event.topic, event.payload))
            elif isinstance(event, Acknowledged | Forgotten):
                self.outcomes.update(event.tokens)
                if isinstance(event, Forgotten):
                    self.forgotten.update(event.tokens)

    def check(self, *, forgot: bool = False) -> None:
        """At least once, exactly once, in order, and every token has one outcome."""
        assert self.session.inflight == 0 and not self.state.kept and not self.state.exact and not self.state.released
        wanted = {token: 1 for token, (qos, _, _) in self.published.items() if qos}
        assert self.outcomes == wanted
        surely = [one for token, one in self.published.items() if one[0] and token not in self.forgotten]
        _law(surely, list(self.published.values()), self.broker.delivered)
        _law([] if forgot else self.sent, self.sent, self.received)
        if not forgot:
            assert not self.broker.open and not self.broker.unreleased and not self.state.received


def _law(surely: list[Any], maybe: list[Any], arrived: list[Any]) -> None:
    counts = Counter(arrived)
    assert set(counts) <= set(maybe)
    for one in surely:
        assert counts[one] >= (1 if one[0] else 0), one
    for one, count in counts.items():
        assert one[0] == 1 or count == 1, f"{one} arrived {count} times"
    firsts = list(dict.fromkeys(arrived))
    for qos in (1, 2):
        for topic in {one[1] for one in maybe}:
            order = [one for one in maybe if one[:2] == (qos, topic)]
            assert [one for one in firsts if one[:2] == (qos, topic)] == [one for one in order if one in counts]


def traffic(world: World) -> None:
    for number in range(4):
        world.publish(1 + number % 2, "ab"[number // 2])
        world.send(2 - number % 2, "xy"[number // 2])
        world.move(1 << 20, 9)
    world.publish(0, "a")
    world.move(30, 11)
    world.publish(2, "a")
