"""Once a second: applies the state of the clock to samples, and repeats calculated tags whose heartbeat is due."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from nexus_cli.runtime.clock import SystemClock
from nexus_cli.runtime.gateway.pipeline import Pipeline
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.runtime.logging import event
from nexus_cli.runtime.metrics import Metrics
from nexus_cli.wire.clock_health import ClockHealth

_log = logging.getLogger("nexus.gateway")
PERIOD_S = 1.0


class Timekeeping:
    """Watches the clock of a gateway: samples are UNCERTAIN while their time is doubtful, and recorded again
    afterwards.

    A file records that this machine was synchronised once, so that after the next boot an unsynchronised clock counts
    as doubtful. A machine without a time service never has the file, and is never doubtful for that alone.
    """

    def __init__(
        self, clock: SystemClock, pipeline: Pipeline, *, metrics: Metrics, seen: Path, changed: Callable[[], None]
    ) -> None:
        """Watch a clock.

        Args:
            clock: The gateway's clock.
            pipeline: Marks the samples.
            metrics: Show its state.
            seen: The file; it exists once this machine was synchronised.
            changed: Called when the doubt begins or ends.
        """
        self._clock, self._pipeline, self._seen, self._changed = clock, pipeline, seen, changed
        self._known = seen.exists()
        self._doubtful = False
        self._since_us = 0
        self._turns = clock.turns
        if self._known:
            clock.await_synchronisation()
        metrics.watch_gauges(
            "nexus_gateway_clock_doubtful",
            "1 while samples are UNCERTAIN clock_unsynchronised.",
            (),
            lambda: {(): float(self._doubtful)},
        )
        metrics.watch_gauges(
            "nexus_gateway_clock_ahead_seconds",
            "Gateway time ahead of the machine's clock.",
            (),
            lambda: {(): clock.ahead_us / 1e6},
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Run `look` once a second until stopped."""
        if not self._clock.doubt and self._clock.kernel.synchronised is False:
            event(_log, "the operating system does not call its clock synchronised; no sample is marked for that alone")
        while not stop.is_set():
            self.look()
            await wait_for(stop, timeout_s=PERIOD_S)

    def look(self) -> None:
        """Check the clock now, and do what is due."""
        doubt = self._clock.doubt
        set_back = self._clock.turns != self._turns
        if bool(doubt) != self._doubtful or set_back:
            self._turn(doubt, set_back=set_back)
        if not self._known and self._clock.kernel.synchronised:
            self._remember()
        self._pipeline.repeat_calculated()
        self._pipeline.judge_quality()

    def facts(self) -> ClockHealth:
        """For health: the clock's facts, and since when its time is doubtful (µs since 1970 UTC; 0: it is not)."""
        return ClockHealth(**self._clock.facts(), doubtful_since=self._since_us)

    def _turn(self, doubt: str, *, set_back: bool) -> None:
        now_us = self._clock.now_us()
        self._doubtful, self._turns = bool(doubt), self._clock.turns
        self._since_us = (self._since_us or now_us) if doubt else 0
        self._pipeline.doubt(self._doubtful, set_back=set_back)
        if set_back:
            event(_log, "our time was far ahead and was set back to the clock of this machine", level=logging.WARNING)
        if doubt:
            event(_log, "the time of samples is doubtful: they are UNCERTAIN", level=logging.WARNING, detail=doubt)
        else:
            event(_log, "the time of samples is right again", level=logging.WARNING)
        self._changed()

    def _remember(self) -> None:
        self._known = True
        with contextlib.suppress(OSError):  # a full or read-only disk: the next process tries again
            self._seen.parent.mkdir(parents=True, exist_ok=True)
            self._seen.touch()
