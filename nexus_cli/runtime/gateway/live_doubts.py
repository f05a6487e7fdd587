"""What the live view knows of values that the broker does not pass on: too large ones, and topics that it refuses."""

from __future__ import annotations

from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.devices.tag_table import TagState
from nexus_cli.runtime.gateway.outbox.gate import KEPT_S, PLAUSIBLE_LIMIT, Gate, packet_bytes
from nexus_cli.runtime.gateway.outbox.splitting import MESSAGE_BYTES, SMALLEST_BYTES
from nexus_cli.wire.payload import encode_live
from nexus_cli.wire.sample import Quality, Reason

REFUSED_PAUSE_S = 300.0
"""How long a topic is not published whose messages end the connection whatever their size, in seconds."""


class LiveDoubts:
    """Decides what is published instead.

    Attributes:
        too_large: Values published as BAD `too_large`, because the broker does not accept messages of their size.
    """

    def __init__(self, gate: Gate, *, clock: Clock) -> None:
        """Know nothing."""
        self.too_large = 0
        self._gate, self._clock = gate, clock
        self._refused: dict[str, float] = {}
        self._most_bytes: dict[str, tuple[int, float]] = {}

    def __bool__(self) -> bool:
        """Whether any topic has to be looked at."""
        return bool(self._refused)

    def forget(self, topic: str) -> None:
        """A tag was removed."""
        self._refused.pop(topic, None)
        self._most_bytes.pop(topic, None)

    def passable(self, state: TagState, data: bytes) -> bytes:
        """The payload, or BAD `too_large` when its message would be too large."""
        if len(data) > self._most(state.topic) or not self._gate.arrives(packet_bytes(state.topic, data)):
            self.too_large += 1
            return encode_live(None, time_us=state.time_us, quality=Quality.BAD, reason=Reason.TOO_LARGE)
        return data

    def is_refused(self, topic: str) -> bool:
        """Whether a topic is left alone for now."""
        until_s = self._refused.get(topic)
        if until_s is not None and self._clock.monotonic_s() >= until_s:
            del self._refused[topic]
            until_s = None
        return until_s is not None

    def ended_connections(self, state: TagState, data: bytes) -> bool:
        """A value ended the connection whenever it was published alone. True when something smaller is to be tried."""
        topic = state.topic
        size_bytes = packet_bytes(topic, data)
        if size_bytes <= max(self._gate.acknowledged_bytes, SMALLEST_BYTES):
            self._refused[topic] = self._clock.monotonic_s() + REFUSED_PAUSE_S
            return False
        # The size may be the reason. If BAD `too_large`, published instead, is accepted, it is.
        if size_bytes >= PLAUSIBLE_LIMIT:
            self._gate.learn(size_bytes, silent=False)
        self._most_bytes[topic] = (len(data) - 1, self._clock.monotonic_s() + KEPT_S)
        return True

    def _most(self, topic: str) -> int:
        """The largest payload for a topic, in bytes."""
        most_bytes, until_s = self._most_bytes.get(topic, (MESSAGE_BYTES, 0.0))
        if until_s and self._clock.monotonic_s() >= until_s:
            del self._most_bytes[topic]
            return MESSAGE_BYTES
        return most_bytes
