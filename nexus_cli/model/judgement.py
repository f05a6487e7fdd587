"""Rules of quality, worked out value by value: the same for a gateway's tags and for those of others. Pure; time is given.

See docs/decisions/0093.
"""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

from nexus_cli.model.chain import Bounds, above
from nexus_cli.model.config import QualityConfig

FLAG, REJECT, ALARM = "flag", "reject", "alarm"
MOST_KEPT = 64
"""Values of the last `per` that a new one is compared with; of more, the oldest are left out."""
_WORKED_OUT = (FLAG, REJECT)


class Verdict(NamedTuple):
    """What a rule says of a value.

    Attributes:
        rule: `range`, `rate`, `flat` or `missing`.
        do: `flag` or `reject`.
        detail: Why, for people.
    """

    rule: str
    do: str
    detail: str


def is_worked_out(rules: QualityConfig) -> bool:
    """Whether a gateway or historian has to look at the values: an alarm is raised by control, and a range flags without a rule."""
    return rules.range == REJECT or any(one in _WORKED_OUT for one in (rules.rate, rules.flat, rules.missing))


class Judge:
    """The rules of one tag, and what they need to know of its last values.

    Attributes:
        bounds: Its range.
        came_us: Time of the last value that was not rejected, µs; 0 before the first.
        moved_us: When the value last differed from the one before.
    """

    __slots__ = ("_held_us", "_kept", "_last", "_rules", "_sound", "bounds", "came_us", "moved_us")

    def __init__(self, rules: QualityConfig, bounds: Bounds, *, held_us: int = 0) -> None:
        """Know nothing of the tag yet.

        Args:
            rules: Its rules.
            bounds: Its range.
            held_us: Of a tag that comes only when it moves: until so long before a value came, the last one held, in µs. 0: every value comes.
        """
        self._rules, self.bounds, self._held_us = rules, bounds, held_us
        self._last: Any = None
        self._sound = False
        self._kept: deque[tuple[int, float]] = deque(maxlen=MOST_KEPT)
        self.came_us = self.moved_us = 0

    def forget(self) -> None:
        """The tag was BAD: earlier values say nothing of how fast the next one came about, or for how long it is the same."""
        self._kept.clear()
        self._last, self._sound, self.moved_us = None, False, 0

    def judge(self, value: Any, now_us: int) -> Verdict | None:
        """The rule that a new value breaks, None when it breaks none; rejecting rules come first. It is remembered unless it is rejected."""
        if self._sound and value == self._last and type(value) is type(self._last):
            return self._again(value, now_us)
        if self._held_us and self._kept:
            at_us, held = self._kept[-1]
            self._kept[-1] = max(at_us, now_us - self._held_us), held
        found = self._judged(value, now_us)
        if found is None or found.do != REJECT:
            self._remember(value, now_us)
            self._sound = found is None or found.rule == "flat"
        return found

    def _again(self, value: Any, now_us: int) -> Verdict | None:
        """The last value once more, which broke neither range nor rate: it can't now, as a longer time allows more."""
        self.came_us = now_us
        kept = self._kept
        if len(kept) > 1 and kept[-2][1] == value:  # of a run of equal values the first and the last time matter
            kept[-1] = now_us, value
        elif kept and isinstance(value, (int, float)):
            kept.append((now_us, value))
        if self._rules.flat == FLAG and self.is_flat(now_us):
            return self._flat(value, now_us)
        return None

    def _flat(self, value: Any, now_us: int) -> Verdict:
        return Verdict("flat", FLAG, f"it is {value!r} for {(now_us - self.moved_us) / 1e6:g} s"[:200])

    def _judged(self, value: Any, now_us: int) -> Verdict | None:
        rules, found = self._rules, None
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if rules.range in _WORKED_OUT and number and not self.bounds.hold(value):
            found = Verdict(
                "range", rules.range, f"{value:g} is outside [{_end(self.bounds.low)}, {_end(self.bounds.high)}]"
            )
            if found.do == REJECT:
                return found
        if rules.rate in _WORKED_OUT and number and (away := self._too_far(value, now_us)):
            found = Verdict("rate", rules.rate, away) if rules.rate == REJECT or found is None else found
        if found is None and rules.flat == FLAG and self._same(value) and self.is_flat(now_us):
            found = self._flat(value, now_us)
        return found

    def _same(self, value: Any) -> bool:
        return bool(self._last == value)

    def is_flat(self, now_us: int) -> bool:
        """Whether the last value stands for too long, and the rule flags that."""
        return bool(self._rules.flat == FLAG and self.moved_us and now_us - self.moved_us >= self._rules.flat_ms * 1000)

    def is_missing(self, now_us: int) -> bool:
        """Whether no value came for too long, and the rule flags that."""
        late_us = self._rules.missing_ms * 1000
        return bool(self._rules.missing == FLAG and self.came_us and now_us - self.came_us >= late_us)

    def _too_far(self, value: float, now_us: int) -> str:
        """How far a value is from one of the last; "" when the process can have moved so far."""
        per_us = self._rules.rate_ms * 1000
        for at_us, before in reversed(self._kept):
            allowed = self._rules.rate_above * max(1.0, (now_us - at_us) / per_us)
            if above(abs(value - before), allowed):
                return f"{before:g} became {value:g} in {(now_us - at_us) / 1e6:g} s"
            if now_us - at_us > per_us:  # older ones allow more than the window does
                break
        return ""

    def _remember(self, value: Any, now_us: int) -> None:
        self.came_us = now_us
        if not self.moved_us or not self._same(value):
            self.moved_us = now_us
        if self._rules.rate in _WORKED_OUT and isinstance(value, (int, float)):
            self._kept.append((now_us, value))
            oldest_us = now_us - self._rules.rate_ms * 1000
            while len(self._kept) > 1 and self._kept[1][0] < oldest_us:
                self._kept.popleft()
        self._last = value


def _end(bound: float | None) -> str:
    return "open" if bound is None else f"{bound:g}"
