"""Whether any value can fit a part of a message's schema: bounds, lengths and counts of all its layers together.

It finds mistakes, and reports nothing where it is not certain. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from nexus_cli.json_value import is_number

Layer = Mapping[str, Any]
Problem = Callable[[Layer, Any], str]
"""Why a value does not fit a schema, "" when it fits."""
MOST_MULTIPLES = 1_000_000
"""Multiples between two bounds beyond which there is no need to look at them."""


def nothing_between(layers: Sequence[Layer], kinds: frozenset[str], *, exact: Callable[[Any], Fraction]) -> str:
    """Why the bounds of a kind of value that is taken leave none, over all layers; "" when they leave some.

    Args:
        layers: The schema, its reference and the parts of its `allOf`.
        kinds: JSON types that they take together; `number` holds `integer` too.
        exact: A number as the decimal that was written.
    """
    numeric = not kinds.isdisjoint(("number", "integer"))
    if numeric and (why := _numbers(layers, whole="number" not in kinds, exact=exact)):
        return why
    for kind, low, high in (
        ("string", "minLength", "maxLength"),
        ("array", "minItems", "maxItems"),
        ("object", "minProperties", "maxProperties"),
    ):
        if kind in kinds and (why := _crossed(layers, low, high) or (_items(layers) if kind == "array" else "")):
            return why
    return ""


def wrong_names(layers: Sequence[Layer], problem: Problem) -> Iterator[str]:
    """Why no object can have the fields that it must have: too many for it, or of names that it does not take."""
    required = {str(name) for layer in layers for name in layer.get("required") or ()}
    most = min((layer["maxProperties"] for layer in layers if is_number(layer.get("maxProperties"))), default=None)
    if most is not None and len(required) > most:
        yield f"{len(required)} fields are required, and maxProperties is {most}"
    for layer in layers:
        known = layer.get("properties") or {}
        least = max((one["minProperties"] for one in layers if is_number(one.get("minProperties"))), default=0)
        if layer.get("additionalProperties") is False and not layer.get("patternProperties") and least > len(known):
            yield f"minProperties is {least}, and only {len(known)} fields are permitted"
        names = layer.get("propertyNames")
        for name in sorted(required) if names is not None else ():
            if names is False or (isinstance(names, Mapping) and problem(names, name)):
                yield f"'{name}' is required, and propertyNames forbids it"


def _numbers(layers: Sequence[Layer], *, whole: bool, exact: Callable[[Any], Fraction]) -> str:
    lows = [*_bounds(layers, "minimum", exact), *_bounds(layers, "exclusiveMinimum", exact)]
    highs = [*_bounds(layers, "maximum", exact), *_bounds(layers, "exclusiveMaximum", exact)]
    steps = [step for step, _, _ in _bounds(layers, "multipleOf", exact) if step > 0]
    if not lows or not highs:
        return ""
    low, low_open, low_word = max(lows)
    # The narrower of two equal ends is the one that leaves itself out.
    high, high_open, high_word = min(highs, key=lambda end: (end[0], not end[1]))
    words = f"{low_word} {float(low):g} and {high_word} {float(high):g}"
    if low > high or (low == high and (low_open or high_open)):
        return f"{words} leave nothing between them"
    step = _common([*steps, *((Fraction(1),) if whole else ())])
    if step is None or (high - low) / step > MOST_MULTIPLES:
        return ""
    first = math.ceil(low / step) * step
    if low_open and first == low:
        first += step
    if first > high or (high_open and first == high):
        what = f"multiple of {float(step):g}" if steps else "whole number"
        return f"{words} have no {what} between them"
    return ""


def _bounds(
    layers: Iterable[Layer], word: str, exact: Callable[[Any], Fraction]
) -> Iterator[tuple[Fraction, bool, str]]:
    for layer in layers:
        if is_number(layer.get(word)):
            yield exact(layer[word]), word.startswith("exclusive"), word


def _common(steps: Sequence[Fraction]) -> Fraction | None:
    """The least number that is a multiple of all steps."""
    found: Fraction | None = None
    for step in steps:
        found = (
            step
            if found is None
            else Fraction(math.lcm(found.numerator * step.denominator, step.numerator * found.denominator))
            / (found.denominator * step.denominator)
        )
    return found


def _crossed(layers: Sequence[Layer], low: str, high: str) -> str:
    least = max((layer[low] for layer in layers if is_number(layer.get(low))), default=None)
    most = min((layer[high] for layer in layers if is_number(layer.get(high))), default=None)
    return (
        f"{low} {least} is more than {high} {most}" if least is not None and most is not None and least > most else ""
    )


def _items(layers: Sequence[Layer]) -> str:
    least = max((layer["minItems"] for layer in layers if is_number(layer.get("minItems"))), default=0)
    if least and any(layer.get("items") is False and not layer.get("prefixItems") for layer in layers):
        return f"minItems is {least}, and items: false forbids them"
    return ""
