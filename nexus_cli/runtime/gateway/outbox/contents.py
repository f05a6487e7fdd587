"""What the records of a gateway hold: which topics are frames, of which device and time. Pure."""

from __future__ import annotations

from typing import NamedTuple

from nexus_cli.runtime.gateway.outbox.records import Record, is_json
from nexus_cli.wire.frame import FrameError
from nexus_cli.wire.frame_batch import decode_batch


class Framed(NamedTuple):
    """A frame in a record.

    Attributes:
        seq: Its number.
        device: Device path; "" when it is another kind of message.
        time_us: Gateway time, µs since 1970 UTC.
    """

    seq: int
    device: str
    time_us: int


class Contents:
    """Reads records of one gateway.

    Attributes:
        gap_topic: Of gaps.
        batches: Of frame batches.
    """

    def __init__(self, gap_topic: str) -> None:
        """Name the gateway by the topic of its gaps."""
        self.gap_topic = gap_topic
        platform, _, gateway = gap_topic.rpartition("/gap/")
        self.batches = f"{platform}/data/{gateway}"
        self._prefix = f"{self.batches}/"

    def topic(self, device: str) -> str:
        """The topic of a device's frames in JSON."""
        return self._prefix + device

    def device(self, topic: str) -> str:
        """The device of a JSON frame's topic; "" for any other topic."""
        return topic[len(self._prefix) :] if topic.startswith(self._prefix) else ""

    def is_frames(self, topic: str) -> bool:
        """Whether frames are on this topic, as a batch or one in JSON."""
        return topic == self.batches or topic.startswith(self._prefix)

    def frames(self, record: Record) -> list[Framed]:
        """The messages in a record, in order: the frames of a batch, else the record itself."""
        if record.topic == self.batches and not is_json(record.payload):
            try:
                moments = decode_batch(record.payload).moments()
            except FrameError:  # sound bytes of another version: its numbers and times are known
                moments = [("", record.time_us)] * record.numbers
            return [Framed(seq, *moment) for seq, moment in enumerate(moments, record.seq)]
        return [Framed(record.seq, self.device(record.topic), record.time_us)]


__all__ = ["Contents", "Framed"]
