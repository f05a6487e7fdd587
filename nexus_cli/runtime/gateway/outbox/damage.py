"""Damage that is not declared yet: it waits for receipts, which show how much of it the historian has.

A damaged record may have been delivered long before; then its row exists, and no gap may contain a row. So damage is
kept in a file beside the segments until a receipt names a later number: the historian stores in order, so what it has
not announced by then is lost.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from nexus_cli.runtime.gateway.outbox.intervals import Intervals
from nexus_cli.runtime.gateway.outbox.recovery import Loss
from nexus_cli.runtime.logging import event

FILE = "damage.json"
_log = logging.getLogger("nexus.outbox")


class _Kept(msgspec.Struct):
    """The content of the file.

    Attributes:
        held: Losses that are not declared yet.
        settled: Numbers of losses that are declared or were delivered, since each opening finds the jump in the numbers
            again.
    """

    held: list[Loss] = []
    settled: list[tuple[int, int]] = []


class Damage:
    """Losses that wait for receipts.

    Attributes:
        held: In order of discovery.
        changed: True when the file has to be written.
    """

    def __init__(self, folder: Path) -> None:
        """Name the folder; `load` reads it."""
        self.held: list[Loss] = []
        self.changed = False
        self._path = folder / FILE
        self._finished = Intervals()
        self._received = Intervals()
        self._highest = 0

    def __bool__(self) -> bool:
        return bool(self.held)

    def load(self) -> None:
        """Read the file of the previous process. Blocks on disk."""
        try:
            kept = msgspec.json.decode(self._path.read_bytes(), type=_Kept)
        except FileNotFoundError:
            return
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            event(_log, "the list of damage can't be read", level=logging.WARNING, cause=str(error))
            return
        self.held = kept.held
        # `settled` is the field's name in files that exist.
        for first, last in kept.settled:
            self._finished.add(first, last)

    def take_changes(self) -> bytes | None:
        """The new content of the file, for `write`; None when it is unchanged."""
        if not self.changed:
            return None
        self.changed = False
        return msgspec.json.encode(_Kept(held=self.held, settled=self._finished.ranges()))

    def write(self, content: bytes) -> None:
        """Replace the file atomically. Blocks on disk."""
        beside = self._path.with_suffix(".new")
        try:
            with beside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError as error:
            self.changed = True
            event(_log, "the list of damage can't be written", level=logging.WARNING, cause=str(error))
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)

    def forget_below(self, seq: int) -> None:
        """The log now begins at this number: jumps below are not found again."""
        finished = Intervals()
        for first, last in self._finished.ranges():
            if last >= seq:
                finished.add(first, last)
        self.changed |= len(finished) != len(self._finished)
        self._finished = finished

    def hold(self, loss: Loss) -> bool:
        """Keep a loss until its receipts are known; False when it is already known."""
        if loss in self.held or (loss.frames and self._known(loss)):
            return False
        self.held.append(loss)
        self.changed = True
        return True

    def finish(self, loss: Loss) -> None:
        """Mark a loss as declared or delivered."""
        if loss in self.held:
            self.held.remove(loss)
        if loss.frames:
            self._finished.add(loss.first, loss.last)
        if not self.held:
            self._received = Intervals()
        self.changed = True

    def announced(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Receipts for these numbers of a loss were known before it was found."""
        for first, last in ranges:
            self._received.add(first, last)

    def receive(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Take a receipt: the historian has these numbers."""
        for first, last in ranges:
            self._highest = max(self._highest, last)
            if self.held:
                self._received.add(first, last)

    def take(self, *, now: bool = False) -> list[tuple[Loss, Loss]]:
        """Losses whose receipts are known, or (`now`) all; each with the part that is missing (none when its `frames`
        is 0)."""
        found = [one for one in self.held if now or self._highest > max(one.first, one.last)]
        return [(one, _missing(one, self._received)) for one in found]

    def _known(self, loss: Loss) -> bool:
        if self._finished.count(loss.first, loss.last) == loss.frames:
            return True
        return any(one.first <= loss.first and loss.last <= one.last for one in self.held)


def _missing(loss: Loss, received: Intervals) -> Loss:
    """A loss without the announced numbers at both ends.

    The times of damaged records that were announced are unknown. They are assumed to be evenly spread between the sound
    records around the damage.
    """
    if not loss.frames:
        return loss
    first = received.next_missing(loss.first)
    last = loss.last
    while last >= first and last in received:
        last -= 1
    if (first, last) == (loss.first, loss.last):
        return loss
    step_us = (loss.end_us - loss.start_us) / (loss.frames + 1)
    start_us = loss.start_us if first == loss.first else round(loss.start_us + step_us * (first - loss.first + 0.9))
    end_us = loss.end_us if last == loss.last else round(loss.end_us - step_us * (loss.last - last + 0.9))
    return Loss(first, last, min(start_us, end_us), end_us)


__all__ = ["FILE", "Damage"]
