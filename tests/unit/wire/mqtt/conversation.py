"""A conversation with a session: bytes by hand in either direction."""

from __future__ import annotations

from typing import Any

from nexus_cli.wire.mqtt.events import Event
from nexus_cli.wire.mqtt.packets import Options
from nexus_cli.wire.mqtt.session import Session
from nexus_cli.wire.mqtt.state import State

CONNACK = {4: "20020000", 5: "2003000000"}
PRESENT = {4: "20020100", 5: "2003010000"}


class Conversation:
    """A session whose CONNECT has been sent."""

    def __init__(self, *, level: int = 4, clean: bool = True, state: State | None = None, **keys: Any) -> None:
        self.now_s = 100.0
        self.session = Session(Options(client_id="a", level=level, clean=clean, **keys), now_s=self.now_s, state=state)
        self.connect = self.session.take(self.now_s)

    def receive(self, *encoded: str) -> list[Event]:
        """The events of packets that the broker sends."""
        return self.session.receive(bytes.fromhex("".join(encoded).replace(" ", "")), self.now_s)

    @property
    def sent(self) -> str:
        """What is sent."""
        return self.session.take(self.now_s).hex()

    def tick(self, seconds: float) -> list[Event]:
        """Time passes."""
        self.now_s += seconds
        return self.session.tick(self.now_s)


def accepted(*, level: int = 4, present: bool = False, connack: str = "", **keys: Any) -> Conversation:
    """A session that the broker has accepted."""
    talk = Conversation(level=level, **keys)
    talk.receive(connack or (PRESENT if present else CONNACK)[level])
    return talk
