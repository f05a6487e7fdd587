"""Numbers and epochs that custody can store."""

from __future__ import annotations

from nexus_cli.wire.frame import FrameError

MOST_SEQ = 1 << 53


def check_numbers(epoch: str, first: int, last: int | None = None) -> None:
    """Check an epoch and one number, or all from `first` to `last`.

    Raises:
        FrameError: Custody can't store them.
    """
    if not 0 < len(epoch) <= 64 or "\x00" in epoch:
        raise FrameError("the epoch is not 1 to 64 characters")
    if not 0 < first <= (first if last is None else last) < MOST_SEQ:
        raise FrameError(f"seq {first} is not a number from 1 on")
