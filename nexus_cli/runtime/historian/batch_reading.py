"""Reads frame batches: what holds for all frames is checked by column, the few that are odd one by one, as JSON frames.

Only a message that can't be read at all is refused as a whole, with all of its numbers.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Sequence
from itertools import repeat
from typing import NamedTuple, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from nexus_cli.database.committed import OutboxKey
from nexus_cli.runtime.historian.assignments import Assignments
from nexus_cli.runtime.historian.batch import Batch
from nexus_cli.runtime.historian.custody_numbers import check_numbers
from nexus_cli.runtime.historian.dead_letters import Refusal
from nexus_cli.runtime.historian.frame_arrays import FrameArrays, odd_frames, read_arrays, twice
from nexus_cli.runtime.historian.mapping import NO_PLAN, SeriesMap
from nexus_cli.runtime.historian.pending import ArrayFrame, PendingFrame
from nexus_cli.runtime.historian.time_bounds import EARLIEST_US, LATEST_US, TimeBounds
from nexus_cli.runtime.logging import event
from nexus_cli.wire.frame import Frame, FrameError, OtherFormatError
from nexus_cli.wire.frame_batch import MOST_FRAMES
from nexus_cli.wire.message import Message
from nexus_cli.wire.reading import MOST_AHEAD_US
from nexus_cli.wire.topic import is_slug

_log = logging.getLogger("nexus.historian.reading")
LONGEST_DEVICE = 1_000
MOST_TOLD = 1_000
"""Gateways that are logged, once each."""


class TakeFrame(Protocol):
    """Puts one frame into a batch, or sets it aside; unknown names are returned, as by `Reader.take`."""

    def __call__(
        self, batch: Batch, gateway: str, device: str, topic: str, frame: Frame, payload: bytes | None, *, final: bool
    ) -> Sequence[str]:
        """Take a frame; without `payload` a letter shows the frame."""


class Taken(NamedTuple):
    """What became of a message.

    Attributes:
        unknown: Unknown names of frames that were not taken; with `final` for information.
        left: Indices of the frames that are to be taken after the next load.
    """

    unknown: Sequence[str] = ()
    left: Sequence[int] = ()


class BatchReader:
    """Puts the frames of frame batches into batches for the database."""

    def __init__(
        self, *, series: SeriesMap, assignments: Assignments, bounds: TimeBounds, take_frame: TakeFrame
    ) -> None:
        """Join the parts; `take_frame` takes the frames that are odd."""
        self._series, self._assignments, self._bounds, self._take_frame = series, assignments, bounds, take_frame
        self._told: set[str] = set()

    def take(
        self, batch: Batch, message: Message, gateway: str, *, final: bool, only: Collection[int] | None = None
    ) -> Taken:
        """Put the frames of a message into a batch.

        Args:
            batch: Takes them.
            message: A frame batch.
            gateway: Its sender.
            final: The state is up to date: no frame is left for another try.
            only: Indices of the frames to take; None for all.
        """
        try:
            arrays = read_arrays(message.payload, self._series)
            check_numbers(arrays.batch.epoch, arrays.batch.seq, arrays.batch.last_seq)
        except OtherFormatError as error:
            self._refuse_format(gateway, str(error))
            return Taken()
        except FrameError as error:
            _set_all_aside(batch, gateway, message, str(error))
            return Taken()
        odd = self._odd(arrays, gateway)
        wanted = np.ones(len(odd), dtype=np.bool_)
        if only is not None:
            wanted[:] = False
            wanted[list(only)] = True
        self._add(batch, message.topic, gateway, arrays, np.flatnonzero(wanted & ~odd))
        if not odd.any():
            return Taken()
        return self._one_by_one(batch, message, gateway, arrays, np.flatnonzero(wanted & odd).tolist(), final=final)

    def _refuse_format(self, gateway: str, why: str) -> None:
        """No custody: its gateway keeps the frames until a historian of its version takes them."""
        if gateway not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(gateway)
            event(
                _log,
                "a gateway is newer than this historian: it keeps its frames; upgrade the historian",
                level=logging.ERROR,
                gateway=gateway,
                cause=why,
            )

    def _odd(self, arrays: FrameArrays, gateway: str) -> npt.NDArray[np.bool_]:
        """Frames whose device, time or tags need a decision of their own."""
        times = arrays.times
        until = [self._assignments.until_us(gateway, shape.device) for shape in arrays.shapes]
        former = [bool(plan.plan.former) for plan in arrays.plans]
        odd = odd_frames(arrays) | (times > np.array(until, dtype=np.int64)[arrays.which])
        if any(former):
            odd |= np.array(former)[arrays.which]
        good = (times >= EARLIEST_US) & (times <= min(LATEST_US, self._bounds.now_us() + MOST_AHEAD_US))
        if good.any():
            self._bounds.classify(gateway, int(times[good].max()))
        return odd | ~good

    @staticmethod
    def _add(batch: Batch, topic: str, gateway: str, arrays: FrameArrays, numbers: npt.NDArray[np.intp]) -> None:
        if not len(numbers):
            return
        sizes = np.diff(arrays.starts)[numbers]
        batch.frames.extend(
            map(
                ArrayFrame,
                repeat(OutboxKey(gateway, arrays.batch.epoch)),
                (arrays.batch.seq + numbers).tolist(),
                arrays.times[numbers].tolist(),
                sizes.tolist(),
                repeat(topic),
                repeat(arrays),
                numbers.tolist(),
            )
        )
        batch.points += int(sizes.sum())

    def _one_by_one(
        self, batch: Batch, message: Message, gateway: str, arrays: FrameArrays, numbers: list[int], *, final: bool
    ) -> Taken:
        unknown: dict[str, None] = {}
        left: list[int] = []
        doubled = twice(arrays)
        for number in numbers:
            device = arrays.device(number)
            wrong = "a tag is named twice" if doubled[number] else _wrong_device(device)
            if wrong:
                refusal = Refusal("not_a_frame", wrong, message.topic, b"", arrays.samples(number))
                _set_aside(batch, gateway, arrays.batch.epoch, arrays.batch.seq + number, refusal)
                continue
            topic = f"{message.topic}/{device}"
            names = self._take_frame(batch, gateway, device, topic, arrays.frame(number), None, final=final)
            unknown.update(dict.fromkeys(names))
            if names and not final:
                left.append(number)
        return Taken(list(unknown), left)


def _wrong_device(device: str) -> str:
    levels = device.split("/")
    if len(device) <= LONGEST_DEVICE and len(levels) == 3 and all(map(is_slug, levels)):
        return ""
    return f"'{device[:200]}' is not area/line/device"


class _Numbers(msgspec.Struct):
    """The fields of a frame batch that custody needs."""

    epoch: str
    seq: int
    frame_time: bytes = b""


_numbers_decoder = msgspec.msgpack.Decoder(_Numbers)
_BEGIN = re.compile(
    rb"[\x80-\x8f]\xa6format[\x00-\x7f]\xa5epoch(?:[\xa1-\xbf]|\xd9.)([A-Za-z0-9._-]{1,64})\xa3seq"
    rb"([\x01-\x7f]|\xcc.|\xcd..|\xce.{4}|\xcf.{8})\xa6shapes.*?\xabframe_shape(?:\xc4(.)|\xc5(..))",
    re.DOTALL,
)
"""The start of a batch whose rest is no MessagePack: format, epoch, number of the first frame, and how many there are."""


def _numbers_of(payload: bytes) -> tuple[str, int, int] | None:
    """Epoch, first number and count of frames of an unreadable message; None when these are unreadable too."""
    try:
        found = _numbers_decoder.decode(payload)
        epoch, seq, frames = found.epoch, found.seq, len(found.frame_time) // 8
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        begin = _BEGIN.match(payload)
        if begin is None:
            return None
        number = begin[2]
        epoch, seq = begin[1].decode(), int.from_bytes(number if len(number) == 1 else number[1:], "big")
        frames = int.from_bytes(begin[3] or begin[4], "big") // 2
    if not 0 < frames <= MOST_FRAMES:
        return None
    try:
        check_numbers(epoch, seq, seq + frames - 1)
    except FrameError:
        return None
    return epoch, seq, frames


def _set_all_aside(batch: Batch, gateway: str, message: Message, why: str) -> None:
    """A message that can't be read. Custody of its numbers is taken if they can be: sending it again would not help."""
    known = _numbers_of(message.payload)
    if known is None:
        batch.letters.add(message.topic, "not_a_frame", detail=why, payload=message.payload)
        return
    epoch, first, frames = known
    for seq in range(first, first + frames):
        _set_aside(batch, gateway, epoch, seq, Refusal("not_a_frame", why, message.topic, message.payload))


def _set_aside(batch: Batch, gateway: str, epoch: str, seq: int, refusal: Refusal) -> None:
    empty = Frame(epoch=epoch, seq=seq, time=EARLIEST_US, samples={})
    batch.frames.append(PendingFrame(OutboxKey(gateway, epoch), refusal.topic, empty, NO_PLAN, refusal))
    batch.points += 1


__all__ = ["BatchReader", "Taken"]
