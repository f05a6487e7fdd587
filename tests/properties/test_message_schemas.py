"""Whether a payload can fit: what the check calls impossible is so for every value that is tried."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_cli.model.message_schema import fault, problem
from tests.examples import examples

ENDS = st.one_of(st.integers(-3, 3), st.sampled_from([-0.5, 0.2, 0.75, 1.5]))
BOUNDS = st.fixed_dictionaries(
    {"type": st.sampled_from(["number", "integer"])},
    optional={
        **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), ENDS),
        "multipleOf": st.sampled_from([0.5, 2, 3, 5]),
    },
)
TRIED = [*range(-6, 7), *(quarter / 4 for quarter in range(-24, 25)), 0.2, 0.1, 0.201, 1.49, -0.49]


def of(part: Any, **more: Any) -> dict[str, Any]:
    return {"type": "object", "required": ["x"], "properties": {"x": part}, **more}


@settings(max_examples=examples(60), deadline=None)
@given(BOUNDS, BOUNDS, st.booleans())
def test_bounds_that_leave_nothing_fit_no_number(one: dict[str, Any], other: dict[str, Any], joined: bool) -> None:
    schema = {"allOf": [one, other]} if joined else one
    fitting = [value for value in TRIED if not problem(schema, value)]
    why = fault(of(schema))
    assert not (why and fitting), (why, fitting)
    if not why:
        assert fitting or "multipleOf" in one or "multipleOf" in other or not joined


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"type": "number", "minimum": 5, "exclusiveMaximum": 5}, "leave nothing between them"),
        ({"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 2}, "no whole number"),
        ({"type": "integer", "minimum": 1, "maximum": 9, "multipleOf": 10}, "no multiple of 10"),
        ({"allOf": [{"type": "number", "minimum": 5}, {"maximum": 4}]}, "leave nothing between them"),
        ({"type": "number", "const": 50, "maximum": 10}, "its const does not fit"),
        ({"type": "string", "const": "abc", "maxLength": 2}, "its const does not fit"),
        ({"not": {}}, "forbids every value"),
        ({"type": "array", "items": False, "minItems": 1}, "items: false forbids them"),
        ({"anyOf": [{"type": "number", "minimum": 2, "maximum": 1}] * 2}, "leave nothing|no part of its anyOf"),
        ({"minLength": 3, "maxLength": 2}, "minLength 3 is more than maxLength 2"),
    ],
)
def test_what_no_value_fits_is_found(part: dict[str, Any], words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        assert not fault(of(part)), fault(of(part))


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "object", "required": ["c"], "properties": {"c": {"$ref": "#"}}}, "hold itself again"),
        ({"type": "object", "required": ["a", "b"], "maxProperties": 1}, "2 fields are required"),
        ({"type": "object", "required": ["a"], "propertyNames": {"pattern": "^b"}}, "propertyNames forbids it"),
        (
            {"type": "object", "minProperties": 3, "properties": {"a": {}, "b": {}}, "additionalProperties": False},
            "only 2 fields",
        ),
    ],
)
def test_an_object_that_can_not_be_made_is_found(schema: dict[str, Any], words: str) -> None:
    assert words in fault(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"c": {"$ref": "#"}}},  # a tree ends where there is no child
        of({"type": "integer", "minimum": 0, "maximum": 0}),
        of({"type": "number", "exclusiveMinimum": 0, "maximum": 0.1}),
        of({"type": "string", "enum": ["a", "b"], "maxLength": 1}),
        of({"anyOf": [{"type": "number", "minimum": 1}, {"type": "string"}]}),
        of({"type": ["string", "null"], "minLength": 1}),
        {"type": "object", "required": ["a"], "propertyNames": {"pattern": "^[a-z]+$"}, "maxProperties": 1},
    ],
)
def test_what_can_be_fitted_is_no_finding(schema: dict[str, Any]) -> None:
    assert not fault(schema)
