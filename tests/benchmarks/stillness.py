"""How long the machine itself stood still while something was measured: a neighbour, or the host, took the time."""

from __future__ import annotations

import threading
import time

BEAT_S = 0.02


class Stillness:
    """A thread that wants to wake every 20 ms and notes how late it did.

    Attributes:
        longest_s: The longest time that it overslept, seconds.
        pauses: How often it overslept by more than `worth_s`.
    """

    def __init__(self, *, worth_s: float = 0.25) -> None:
        """Nothing noted yet.

        Args:
            worth_s: What counts as a pause, seconds.
        """
        self.longest_s = 0.0
        self.pauses = 0
        self._worth_s = worth_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="stillness", daemon=True)

    def __enter__(self) -> Stillness:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        last_s = time.monotonic()
        while not self._stop.wait(BEAT_S):
            now_s = time.monotonic()
            late_s = now_s - last_s - BEAT_S
            self.longest_s = max(self.longest_s, late_s)
            self.pauses += late_s > self._worth_s
            last_s = now_s
