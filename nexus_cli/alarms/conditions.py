"""What an alert can watch for. A condition takes readings and says whether it holds; time is an argument.

`verdict` gives True (it holds), False (it is over) or None (neither: the state of the alert stays). Where time alone can change the
verdict, `due_s` says when to ask again. Times are monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from nexus_cli.alarms.silence import NoData, Unchanged
from nexus_cli.alarms.speed import Rate
from nexus_cli.alarms.values import UNUSABLE, Reading, number_of
from nexus_cli.model.chain import above, same
from nexus_cli.model.config import TagConfig
from nexus_cli.model.datatype import DataType, parse_type
from nexus_cli.model.expression import Expression, ExpressionError, compile_expression
from nexus_cli.model.expression_values import typed
from nexus_cli.model.instant import same_instant
from nexus_cli.model.resources import AlertConfig
from nexus_cli.wire.reading import is_integer
from nexus_cli.wire.sample import Value

MOST_EXACT = 2**53
"""Beyond it a 64-bit integer is published as text; to it every one is a number."""


class Condition(Protocol):
    """One condition.

    Attributes:
        value: What the alert shows as the value that made it active.
    """

    value: Value

    def take(self, reading: Reading, *, path: str, at_s: float, fresh: bool) -> None:
        """Take the newest value of a tag; `fresh` is False for one that was published before anybody listened."""
        ...

    def verdict(self, *, active: bool, at_s: float) -> bool | None:
        """Whether it holds; `active` chooses the side of the hysteresis."""
        ...

    def due_s(self, *, active: bool) -> float | None:
        """When time alone may change the verdict; None is never."""
        ...


class Level:
    """`above`, `below`, `outside` and `equals`: the newest value beside limits."""

    def __init__(self, config: AlertConfig) -> None:
        """Take the limits."""
        self._config = config
        low, high = config.outside or (None, None)
        self._above = config.above if config.above is not None else high
        self._below = config.below if config.below is not None else low
        self._reading: Reading | None = None
        self.value: Value = None

    def take(self, reading: Reading, *, path: str, at_s: float, fresh: bool) -> None:
        """Keep the newest value."""
        by_label = isinstance(self._config.equals, str) and isinstance(reading.label, str)
        self._reading = reading._replace(value=reading.label) if by_label else reading  # type: ignore[arg-type]
        self.value = self._reading.value

    def verdict(self, *, active: bool, at_s: float) -> bool | None:
        """A value at its limit is not beyond it: 0.30000000000000004, as an external device may publish it, is not above 0.3."""
        if self._reading is None:
            return None
        if not self._reading.usable:
            return UNUSABLE.get(self._config.on_bad)
        value, wanted = self._reading.value, self._config.equals
        if self._config.instant and isinstance(wanted, str) and isinstance(value, str):
            return same_instant(wanted, value)
        if wanted is not None:
            return _equal(value, wanted)
        number = number_of(value)
        if number is None:
            return None
        if (self._above is not None and above(number, self._above)) or (
            self._below is not None and above(self._below, number)
        ):
            return True
        return active and not self._released(number)

    def due_s(self, *, active: bool) -> float | None:
        """Never."""
        return None

    def _released(self, number: float) -> bool:
        """Whether the value is back beyond the hysteresis."""
        below, over = self._config.clear_below, self._config.clear_above
        low_enough = self._above is None or below is None or above(below, number)
        high_enough = self._below is None or over is None or above(number, over)
        return low_enough and high_enough


class Holds:
    """`expr`: an expression on the newest values of several tags."""

    def __init__(self, config: AlertConfig, tags: Mapping[str, TagConfig]) -> None:
        """Compile it; without the tags that it reads it never has a verdict (`problem` says why)."""
        self._config = config
        self._readings: dict[str, Reading] = {}
        self._types: dict[str, DataType] = {}
        self._expression: Expression | None = None
        self.problem = ""
        self.value: Value = None
        self._compile(tags)

    def _compile(self, tags: Mapping[str, TagConfig]) -> None:
        names = [path for path in self._config.paths() if path in tags]
        self._types = {path: parse_type(tags[path].published_type or tags[path].type) for path in names}
        labels = {
            path: {int(code): name for code, name in tags[path].values.items()} for path in names if tags[path].values
        }
        made = compile_expression(self._config.expr, types=self._types, labels=labels, result=DataType("bool"))
        self._expression = made.value
        if made.value is None:
            self.problem = made.findings[0].message if made.findings else "the expression does not compile"

    def take(self, reading: Reading, *, path: str, at_s: float, fresh: bool) -> None:
        """Keep the newest value of each tag."""
        self._readings[path] = reading
        if path == self._config.tag:
            self.value = reading.value

    def verdict(self, *, active: bool, at_s: float) -> bool | None:
        """Whether it holds with the newest values. One that is missing, or an expression without a result, decides nothing."""
        if self._expression is None:
            return None
        values: dict[str, Value] = {}
        for name in self._expression.names:
            reading = self._readings.get(name)
            if reading is None:
                return None
            if not reading.usable:
                return UNUSABLE.get(self._config.on_bad)
            values[name] = typed(reading.value, self._types[name])
        try:
            holds = bool(self._expression.evaluate(values))
        except ExpressionError:
            return None
        if not self._config.tag:
            self.value = holds
        return holds

    def due_s(self, *, active: bool) -> float | None:
        """Never."""
        return None


def condition_of(config: AlertConfig, tags: Mapping[str, TagConfig], *, at_s: float) -> Condition:
    """The condition that an alert declares.

    Args:
        config: The alert.
        tags: Of an `expr`, the tags that it reads, by path.
        at_s: Now: silence counts from here.
    """
    if config.expr:
        return Holds(config, tags)
    if config.no_data_for_ms is not None:
        return NoData(config, at_s=at_s)
    if config.unchanged_for_ms is not None:
        return Unchanged(config)
    if config.rate_above is not None or config.rate_below is not None:
        return Rate(config)
    return Level(config)


class Words(NamedTuple):
    """A condition for people: its word (`above`) and the whole of it (`above 240, clears below 230`)."""

    word: str
    text: str


def words_of(config: AlertConfig) -> Words:
    """What an alert watches for, in the words of the site file."""
    if config.expr:
        return Words("expr", config.expr)
    if config.no_data_for_ms is not None:
        return Words("no_data_for", f"no data for {config.no_data_for_ms / 1000:g} s")
    if config.unchanged_for_ms is not None:
        return Words("unchanged_for", f"unchanged for {config.unchanged_for_ms / 1000:g} s")
    if config.rate_above is not None or config.rate_below is not None:
        limits = [f"more than {config.rate_above:g}"] if config.rate_above is not None else []
        limits += [f"less than {config.rate_below:g}"] if config.rate_below is not None else []
        return Words("rate", f"moves by {' or '.join(limits)} in {config.rate_per_ms / 1000:g} s")
    if config.equals is not None:
        return Words("equals", f"equals {config.equals}")
    if config.outside is not None:
        return Words("outside", f"outside {config.outside[0]:g} to {config.outside[1]:g}" + _hysteresis(config))
    if config.above is not None and config.below is not None:
        return Words("above", f"above {config.above:g} or below {config.below:g}" + _hysteresis(config))
    if config.above is not None:
        return Words("above", f"above {config.above:g}" + _hysteresis(config))
    return Words("below", f"below {config.below:g}" + _hysteresis(config) if config.below is not None else "nothing")


def _hysteresis(config: AlertConfig) -> str:
    found = [f"clears below {config.clear_below:g}"] if config.clear_below is not None else []
    found += [f"clears above {config.clear_above:g}"] if config.clear_above is not None else []
    return "".join(f", {one}" for one in found)


def _equal(value: Value, wanted: bool | int | float | str) -> bool:
    if isinstance(value, str) and not isinstance(wanted, str) and is_integer(value) and abs(int(value)) > MOST_EXACT:
        value = int(value)
    if isinstance(value, bool) or isinstance(wanted, bool):
        return isinstance(value, (bool, int)) and isinstance(wanted, (bool, int)) and bool(value) == bool(wanted)
    if isinstance(value, (int, float)) and isinstance(wanted, (int, float)):
        return same(value, wanted)
    return value == wanted
