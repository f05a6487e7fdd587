"""The newest live values for the conditions of sequences, and the conditions, compiled for their tags.

A value counts when it is GOOD and fresh. A gateway publishes changes, so an unchanged value is as fresh as the last
health message of its gateway. An external value has the age of its own time or, without one, of its arrival; a retained
one without a time is of unknown age.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from nexus_cli.model.config import TagConfig
from nexus_cli.model.datatype import DataType, parse_type
from nexus_cli.model.expression import Expression, ExpressionError, compile_expression
from nexus_cli.model.expression_text import ExpressionSyntaxError, names_in
from nexus_cli.model.expression_values import typed
from nexus_cli.model.parameters import REFERENCE
from nexus_cli.model.procedure_config import SequenceConfig
from nexus_cli.runtime.clock import Clock
from nexus_cli.wire.reading import PayloadError, parse_payload
from nexus_cli.wire.sample import Quality, Value
from nexus_cli.wire.topic import Topics

READ_AGE_S = 15.0
"""Default `max_age` of a gateway's values, in seconds: its health comes every 10 s (`health.PERIOD_S`)."""
OTHERS_AGE_S = 60.0
"""Default `max_age` of external values, in seconds."""


class LiveValue(NamedTuple):
    """The newest message of a tag.

    Attributes:
        value: None when it is BAD.
        time_us: Its own time; None when it has none.
        received_s: Its arrival, monotonic seconds; None for a retained message.
    """

    value: Value
    quality: Quality
    reason: str
    unit: str
    time_us: int | None
    received_s: float | None


class ValuePolicy(NamedTuple):
    """The values that a sequence accepts.

    Attributes:
        max_age_s: None for the defaults above; infinity accepts any age.
        uncertain: Whether an UNCERTAIN value counts.
    """

    max_age_s: float | None = None
    uncertain: bool = False


def policy_of(config: SequenceConfig) -> ValuePolicy:
    """The policy that a sequence declares."""
    return ValuePolicy(None if config.max_age_ms is None else config.max_age_ms / 1000, config.uncertain)


class LiveValues:
    """The newest values of the wanted tags, by path.

    Attributes:
        gateways: Recorded gateway by device path; external devices have none.
    """

    def __init__(self, topics: Topics, *, clock: Clock) -> None:
        """Start empty."""
        self._topics, self._clock = topics, clock
        self._wanted: set[str] = set()
        self._held: dict[str, LiveValue] = {}
        self._alive_s: dict[str, float] = {}
        self._changed = asyncio.Event()
        self.gateways: Mapping[str, str] = {}

    def want(self, paths: Iterable[str]) -> None:
        """Keep the values of these tags from now on."""
        self._wanted = set(paths)
        self._held = {path: held for path, held in self._held.items() if path in self._wanted}

    def filters(self) -> list[str]:
        """Topics to subscribe, sorted."""
        return sorted(self._topics.tag(path) for path in self._wanted)

    def receive(self, topic: str, payload: bytes, *, retained: bool = False) -> None:
        """Take a live message; unreadable and cleared ones remove the value."""
        path = self._topics.path(topic)
        if path is None or path not in self._wanted:
            return
        try:
            # A gateway's own time is not used here, so a wrong clock of a gateway does no harm.
            found = parse_payload(payload, now_us=None if self._gateway(path) else self._clock.now_us())
            received_s = None if retained else self._clock.monotonic_s()
            self._held[path] = LiveValue(found.value, found.state, found.reason, found.unit, found.time_us, received_s)
        except PayloadError:
            self._held.pop(path, None)
        self._changed.set()

    def alive(self, gateway: str) -> None:
        """A gateway published its health: its last published values are current."""
        self._alive_s[gateway] = self._clock.monotonic_s()
        self._changed.set()

    def of(self, names: Iterable[str], terms: ValuePolicy) -> dict[str, Value] | None:
        """The values of some tags; None when one of them does not count."""
        found: dict[str, Value] = {}
        for name in names:
            if self.objection(name, terms):
                return None
            found[name] = self._held[name].value
        return found

    def objection(self, path: str, terms: ValuePolicy) -> str:
        """Why the value of a tag does not count; "" when it does."""
        held = self._held.get(path)
        if held is None:
            return f"{path} has no value"
        if held.quality is Quality.BAD or (held.quality is Quality.UNCERTAIN and not terms.uncertain):
            return f"{path} is {held.quality.name}" + (f" ({held.reason})" if held.reason else "")
        if held.value is None:
            return f"{path} has no value"
        age_s, limit_s = self._age_s(path, held), self._limit_s(path, terms)
        if age_s <= limit_s:
            return ""
        old = "of unknown age" if age_s == float("inf") else f"{age_s:.0f} s old"
        return f"{path} is {old}, and may be {limit_s:g} s"

    def in_unit(self, path: str, unit: str) -> bool:
        """False when the value is in another unit, from before or after a deployment."""
        held = self._held.get(path)
        return held is None or held.value is None or not self._gateway(path) or held.unit == unit

    def too_old(self, path: str, terms: ValuePolicy) -> bool:
        """True when there is a value that is only too old, so that a health message would make it count."""
        held = self._held.get(path)
        return held is not None and held.value is not None and self._age_s(path, held) > self._limit_s(path, terms)

    def _gateway(self, path: str) -> str:
        return self.gateways.get(path.rpartition("/")[0], "")

    def _limit_s(self, path: str, terms: ValuePolicy) -> float:
        if terms.max_age_s is not None:
            return terms.max_age_s
        return READ_AGE_S if self._gateway(path) else OTHERS_AGE_S

    def _age_s(self, path: str, held: LiveValue) -> float:
        gateway, now_s = self._gateway(path), self._clock.monotonic_s()
        if not gateway and held.time_us is not None:
            return (self._clock.now_us() - held.time_us) / 1e6
        known = [
            at_s for at_s in (held.received_s, self._alive_s.get(gateway) if gateway else None) if at_s is not None
        ]
        return now_s - max(known) if known else float("inf")

    async def change(self, *, timeout_s: float) -> None:
        """Wait for a change, at most `timeout_s`."""
        self._changed.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return


class Condition:
    """A condition and its tags."""

    def __init__(self, text: str, tags: Mapping[str, TagConfig]) -> None:
        """Compile it.

        Args:
            text: The expression.
            tags: By path; all tags of the condition are required.

        Raises:
            ExpressionError: It does not compile.
        """
        self.text = text
        types = {path: parse_type(tag.published_type or tag.type) for path, tag in tags.items()}
        labels = {
            path: {int(code): name for code, name in tag.values.items()} for path, tag in tags.items() if tag.values
        }
        self._types = types
        self._units = {path: tag.publish_unit or tag.unit for path, tag in tags.items()}
        made = compile_expression(text, types=types, labels=labels, result=DataType("bool"))
        if made.value is None:
            raise ExpressionError(made.findings[0].message if made.findings else "it does not compile")
        self._expression: Expression = made.value
        self.names = made.value.names

    def holds(self, values: LiveValues, terms: ValuePolicy) -> bool | None:
        """Whether it holds; None when a value is missing or does not count, or the expression has no result."""
        found = values.of(self.names, terms)
        if found is None or not all(values.in_unit(name, self._units[name]) for name in self.names):
            return None
        try:
            return self.with_values(found)
        except ExpressionError:
            return None

    def with_values(self, found: Mapping[str, Value]) -> bool:
        """Whether it holds with these values. Raises ExpressionError: one is not of its type, or there is no result."""
        usable = {name: typed(value, self._types[name]) for name, value in found.items()}
        return bool(self._expression.evaluate(usable))

    def objection(self, values: LiveValues, terms: ValuePolicy) -> str:
        """Why it can't be evaluated; "" when it can."""
        for name in self.names:
            if missing := values.objection(name, terms):
                return missing
            if not values.in_unit(name, self._units[name]):
                return f"{name} is not in {self._units[name] or 'its own unit'} yet"
        return "it has no result"


def paths_in(conditions: Iterable[str]) -> set[str]:
    """The tags in these expressions, by full path; parameters are not tags."""
    found: set[str] = set()
    for text in conditions:
        try:
            found.update(name for name in names_in(REFERENCE.sub("0", text)) if name.count("/") == 3)
        except ExpressionSyntaxError:
            continue
    return found
