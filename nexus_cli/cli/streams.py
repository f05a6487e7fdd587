"""stdin, stdout and stderr as they may be: closed, full, or without a reader. What a command does never depends on them."""

from __future__ import annotations

import contextlib
import os
import sys


class ReaderGone(Exception):
    """The reader of stdout has gone. No OSError: click ends the process with 1 at one of a broken pipe."""


_NAMES = ("stdin", "stdout", "stderr")


def open_closed() -> None:
    """Open what the caller closed (`>&-`) on the null device.

    Otherwise the next file or socket gets its number, and what is written for people would go into it.
    """
    for number, name in enumerate(_NAMES):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # gets the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False))  # noqa: SIM115 - for the whole process


def let_go() -> None:
    """Write out what is buffered; what can't be written any more is dropped, so that Python keeps the exit code."""
    for name in _NAMES[1:]:
        stream = getattr(sys, name)
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
                stream.flush()
