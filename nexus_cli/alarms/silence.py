"""`unchanged_for` and `no_data_for`: conditions that time brings about.

Both remember since when there is silence, and it is stored once it lasted `MARK_S`: a tag that moves costs no write.
"""

from __future__ import annotations

from nexus_cli.alarms.values import UNUSABLE, Reading
from nexus_cli.model.resources import AlertConfig
from nexus_cli.wire.sample import Value

MARK_S = 20.0
"""Silence that is shorter than this is not stored, in seconds: after a restart it counts from the restart. Longer than the time
between two health messages of a gateway."""


class Silence:
    """Since when nothing came.

    Attributes:
        since_s: Monotonic seconds; None before the first value.
        marked: Whether it is stored (or is to be).
    """

    def __init__(self, *, limit_ms: int, on_bad: str, since_s: float | None) -> None:
        """Begin at a moment."""
        self.limit_s = limit_ms / 1000
        self._on_bad = on_bad
        self._usable = True
        self.since_s = since_s
        self.marked = False
        self.value: Value = None

    def begin(self, at_s: float) -> None:
        """Something came: silence begins again."""
        self.since_s, self.marked = at_s, False

    def restore(self, since_s: float, value: Value) -> None:
        """Continue a silence that was stored."""
        self.since_s, self.marked, self.value = since_s, True, value

    def mark(self, at_s: float) -> bool:
        """Whether it has lasted long enough to be stored, and was not yet."""
        if self.marked or self.since_s is None or self.limit_s <= MARK_S or at_s - self.since_s < MARK_S:
            return False
        self.marked = True
        return True

    def verdict(self, *, active: bool, at_s: float) -> bool | None:
        """Whether it lasted for the limit. A BAD value decides by `on_bad`."""
        if not self._usable and self._on_bad in UNUSABLE:
            return UNUSABLE[self._on_bad]
        return None if self.since_s is None else at_s - self.since_s >= self.limit_s

    def due_s(self, *, active: bool) -> float | None:
        """When it has lasted for the limit, or long enough to be stored."""
        if self.since_s is None or active:
            return None
        marks = not self.marked and self.limit_s > MARK_S
        return self.since_s + (MARK_S if marks else self.limit_s)


class Unchanged(Silence):
    """A value that does not change. While it is BAD nothing is decided."""

    def __init__(self, config: AlertConfig) -> None:
        """Begin with the first value."""
        super().__init__(limit_ms=config.unchanged_for_ms or 0, on_bad=config.on_bad, since_s=None)

    def take(self, reading: Reading, *, path: str, at_s: float, fresh: bool) -> None:
        """Compare a value with the one before."""
        self._usable = reading.usable
        if not reading.usable:
            return
        if self.since_s is None or reading.value != self.value:
            self.value = reading.value
            self.begin(at_s)

    def verdict(self, *, active: bool, at_s: float) -> bool | None:
        """As of any silence; None while the value is BAD and `on_bad` is hold."""
        if not self._usable and self._on_bad not in UNUSABLE:
            return None
        return super().verdict(active=active, at_s=at_s)


class NoData(Silence):
    """No usable value. A tag of a gateway is published when it changes: there the gateway's health counts as data (`alive`)."""

    def __init__(self, config: AlertConfig, *, at_s: float) -> None:
        """Begin now."""
        super().__init__(limit_ms=config.no_data_for_ms or 0, on_bad=config.on_bad, since_s=at_s)
        self._heard_usable = False

    def take(self, reading: Reading, *, path: str, at_s: float, fresh: bool) -> None:
        """A usable value ends the silence; one that the broker only kept does not."""
        self._usable = self._heard_usable = reading.usable
        if reading.usable:
            self.value = reading.value
            if fresh:
                self.begin(at_s)

    def alive(self, at_s: float) -> None:
        """Its gateway said at this time that it runs: the newest value, when it is usable, is as fresh."""
        if self._heard_usable and (self.since_s is None or at_s > self.since_s):
            self.begin(at_s)
