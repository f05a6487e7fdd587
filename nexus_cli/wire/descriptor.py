"""The one owner of a socket's number on the loop.

A number is the system's name of a socket only until that is closed; the next socket of the process gets it. Who
registers it a turn later, or takes it off after the close, changes somebody else's connection: that one then hears
nothing any more. So it is registered at once, on the loop's thread, and released before the socket is closed.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any


class Descriptor:
    """A socket's registration for reading and writing; made on the loop's thread, which alone may change it."""

    def __init__(self, *, read: Callable[[], None], write: Callable[[], None]) -> None:
        """Own nothing yet; `read` and `write` are called when the socket has or takes something."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._read, self._write = read, write
        self._number = -1
        self._writes = False

    def own(self, sock: Any) -> None:
        """Take an open socket over and listen to it."""
        self._number = sock.fileno()
        self._loop.add_reader(self._number, self._read)

    def want_write(self, sock: Any) -> bool:
        """Tell when the socket takes something; False when it is not the one that is owned, or from another thread."""
        if threading.get_ident() != self._thread or self._number < 0 or sock.fileno() != self._number:
            return False
        self._writes = True
        self._loop.add_writer(self._number, self._write)
        return True

    def enough_written(self) -> None:
        """Nothing waits any more."""
        if self._writes and threading.get_ident() == self._thread:
            self._writes = False
            self._loop.remove_writer(self._number)

    def release(self) -> None:
        """The socket is about to be closed; does nothing the second time, or on another thread."""
        if self._number < 0 or threading.get_ident() != self._thread:
            return
        self.enough_written()
        self._loop.remove_reader(self._number)
        self._number = -1
