"""Detects stalls: work waits, and none of it is done. Pure but for the loop that looks every second.

A part may hang although everything looks well: connected, ready, no error. The sign is that something waits and a
counter does not move. Each role names its activities here; one that stalls for longer than its limit makes the
role not ready, with a sentence, until it moves again. Where nothing waits, nothing is expected: an idle site is well.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.runtime.logging import event
from nexus_cli.runtime.metrics import Metrics

LOOK_S = 1.0
_log = logging.getLogger("nexus.progress")


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """The state of one activity at this moment.

    Attributes:
        waits: True while there is something to do.
        moved: Anything that differs once some of it was done.
        limit_s: Longest time without a difference while something waits.
        problem: What to say then, without the time: "no receipt comes for 12 frames".
    """

    waits: bool
    moved: Hashable
    limit_s: float
    problem: str


Look = Callable[[], Mapping[str, Activity]]
"""Gives the activities of one part, by name. Names may come and go with configurations."""


class Progress:
    """The activities of one role.

    Attributes:
        stalled: The stalled activities by name, as sentences.
    """

    def __init__(
        self, *, clock: Clock, metrics: Metrics | None = None, changed: Callable[[], None] = lambda: None
    ) -> None:
        """Watch nothing yet.

        Args:
            clock: Measures how long nothing moved.
            metrics: Gets the gauge `nexus_stalled`.
            changed: Called when something stalls or moves again.
        """
        self.stalled: dict[str, str] = {}
        self._clock, self._changed = clock, changed
        self._looks: list[Look] = []
        self._moved: dict[str, tuple[Hashable, float]] = {}
        if metrics is not None:
            show(metrics, lambda: self.stalled)

    def watch(self, look: Look) -> None:
        """Add a part."""
        self._looks.append(look)

    def still_s(self, name: str) -> float:
        """For how long an activity has had work and has not moved, in seconds."""
        found = self._moved.get(name)
        return 0.0 if found is None else self._clock.monotonic_s() - found[1]

    def ready(self) -> tuple[bool, str]:
        """False, and why, when an activity is stalled."""
        return not self.stalled, "; ".join(self.stalled.values())

    def look(self) -> None:
        """Look at everything once."""
        now_s = self._clock.monotonic_s()
        seen: dict[str, tuple[Hashable, float]] = {}
        stalled: dict[str, str] = {}
        for name, activity in ((name, one) for look in self._looks for name, one in look().items()):
            if not activity.waits:
                continue
            moved, since_s = self._moved.get(name, (None, now_s))
            if moved != activity.moved:
                since_s = now_s
            seen[name] = (activity.moved, since_s)
            if now_s - since_s >= activity.limit_s:
                stalled[name] = f"{activity.problem} (for {_span(now_s - since_s)})"
        self._moved = seen
        self._report(stalled)

    async def run(self, stop: asyncio.Event) -> None:
        """Look every second until stopped."""
        while not await wait_for(stop, timeout_s=LOOK_S):
            self.look()

    def _report(self, stalled: dict[str, str]) -> None:
        before, self.stalled = self.stalled, stalled
        for name in stalled.keys() - before.keys():
            event(_log, "nothing moves", level=logging.WARNING, activity=name, detail=stalled[name])
        for name in before.keys() - stalled.keys():
            event(_log, "it moves again", activity=name)
        if stalled.keys() != before.keys():
            self._changed()


def show(metrics: Metrics, stalled: Callable[[], Mapping[str, str]]) -> None:
    """Export the stalled activities as the gauge `nexus_stalled`; `stalled` gives it by name."""
    metrics.watch_gauges(
        "nexus_stalled",
        "1 for each activity that has work and does none of it.",
        ("activity",),
        lambda: {(name,): 1.0 for name in stalled()},
    )


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
