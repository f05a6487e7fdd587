"""What is done to a raw value of a tag before it is published. Tags that are configured alike share one chain."""

from __future__ import annotations

import math
from typing import Any

from nexus_cli.model.chain import Convert, bounds_of, cleaner, converter, line_of, tidy
from nexus_cli.model.chain_columns import column_converter
from nexus_cli.model.config import QualityConfig, TagConfig
from nexus_cli.model.datatype import FLOATS, INTEGER_BOUNDS, parse_type
from nexus_cli.model.judgement import is_worked_out

NONE, FLOAT, WHOLE, TRUTH, OTHER = KINDS = range(5)
"""Of a published value: none, a float, an integer that a double holds, a boolean, and anything else."""
MOST_CHAINS = 10_000
"""Chains that are kept for other tags; ranges and dead bands that differ in every tag do not fill the memory."""


class TagChain:
    """The compiled chain of tags that are configured alike.

    Attributes:
        convert: From a raw value to the published one; None where they are the same. Raises ArithmeticError, TypeError,
            ValueError or AttributeError for a value that it can't convert.
        convert_result: From the result of an expression to the published value; None where they are the same.
        low, high: Least and greatest published value inside the range; None is open.
        deadband: In the published unit; 0 for none.
        heartbeat_us: Longest time without a sample, in µs; 0 for none.
        kind: Kind of a published number, see `KINDS`; `NONE` where the values are not numbers that a double holds.
        by_column: As `convert`, for many numbers at once; only where there is a kind.
        plain: A float is published as it is: no conversion, range, deadband or heartbeat.
        reads_floats: The raw values are single floats.
        simple: No range and no deadband: the converted value is published.
        rules: Rules of quality that the gateway works out; None where there is none.
    """

    __slots__ = (
        "by_column",
        "convert",
        "convert_result",
        "deadband",
        "heartbeat_us",
        "high",
        "kind",
        "low",
        "plain",
        "reads_floats",
        "rules",
        "simple",
    )

    def __init__(self, config: TagConfig) -> None:
        """Compile the chain of a tag."""
        self.convert = _converter(config)
        self.convert_result = _calculated(config)
        self.kind = _kind(config)
        self.reads_floats = self.kind == FLOAT and parse_type(config.type).base in FLOATS
        self.by_column = column_converter(config) if self.kind else None
        self.low, self.high = bounds_of(config)
        self.deadband = config.deadband
        self.heartbeat_us = config.heartbeat_ms * 1000
        self.simple = self.low is None and self.high is None and not self.deadband
        self.plain = self.simple and self.convert is None and not self.heartbeat_us
        self.rules: QualityConfig | None = None

    def holds(self, value: Any) -> bool:
        """Whether a published value is inside the range, the ends included."""
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


class RuledChain(TagChain):
    """The chain of a tag with rules of quality: nothing is inside its limits, so that each value is looked at by itself.

    Attributes:
        limits: The real range.
    """

    __slots__ = ("limits",)

    def __init__(self, config: TagConfig, rules: QualityConfig) -> None:
        """Compile the chain of a tag with rules that the gateway works out."""
        super().__init__(config)
        self.rules = rules
        self.limits = bounds_of(config)
        self.low, self.high = math.inf, -math.inf
        self.simple = self.plain = False

    def holds(self, value: Any) -> bool:
        """Never: see `limits`."""
        return False


_known: dict[tuple[object, ...], TagChain] = {}


def chain_of(config: TagConfig) -> TagChain:
    """The chain of a tag; the same object for tags that are configured alike."""
    key = (
        config.type,
        config.scale,
        config.offset,
        config.unit,
        config.publish_unit,
        config.unit_factor,
        config.unit_shift,
        config.range,
        config.deadband,
        config.heartbeat_ms,
        bool(config.expr),
        config.quality,
    )
    found = _known.get(key)
    if found is None:
        if len(_known) >= MOST_CHAINS:
            _known.clear()
        rules = config.quality
        found = _known[key] = (
            RuledChain(config, rules) if rules is not None and is_worked_out(rules) else TagChain(config)
        )
    return found


def is_unicode(text: str) -> bool:
    """Whether UTF-8 can say it: a lone surrogate can't be sent."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _kind(config: TagConfig) -> int:
    """What the published numbers of a tag are; `NONE` where they are not numbers that a double holds."""
    datatype = parse_type(config.type)
    if datatype.count or datatype.exact64 or config.expr:
        return NONE
    if datatype.base == "bool":
        return TRUTH
    if datatype.base in INTEGER_BOUNDS:
        return WHOLE if line_of(config).plain else FLOAT
    return FLOAT if datatype.base in FLOATS else NONE


def _converter(config: TagConfig) -> Convert | None:
    """The conversion from raw to published value; None when they are the same."""
    if config.expr:
        return None
    datatype = parse_type(config.type)
    one = converter(config)
    if one is not None:
        return _each(one) if datatype.count else one
    if datatype.base in ("string", "datetime") and not datatype.count:
        return _text
    if datatype.numeric:
        return _number if config.range is not None or config.deadband else None
    return None


def _each(one: Convert) -> Convert:
    return lambda raw: [None if item is None else one(item) for item in raw]


def _calculated(config: TagConfig) -> Convert | None:
    """The conversion of an expression's result to the published value: removes arithmetic noise, rounds to the tag's
    type."""
    base = parse_type(config.type).base
    if not config.expr or base not in ("float16", "float32", "float64", "duration"):
        return None
    clean = cleaner(base)
    return tidy if clean is None else clean


def _number(raw: Any) -> Any:
    if not isinstance(raw, (int, float)):
        raise TypeError("not a number")
    return raw


def _text(raw: Any) -> str:
    if not isinstance(raw, str):
        raise TypeError("not a text")
    return raw if is_unicode(raw) else raw.encode("utf-8", "replace").decode()
