"""Parameters of sequences: what fits them, and the sequence with the values in their places."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.datatype import DataType
from nexus_cli.model.expression import compile_expression
from nexus_cli.model.parameters import (
    ParameterError,
    arguments,
    bound,
    literal,
    rehearsals,
    samples,
    typed_argument,
)
from nexus_cli.model.procedure_config import ParameterConfig, SequenceConfig, StepConfig
from nexus_cli.runtime.control.sequences.live_values import paths_in
from nexus_cli.runtime.control.sequences.sequencing import with_arguments

AMOUNT = ParameterConfig(type="float64", range=(0, 90), default=40)
CONFIG = SequenceConfig(
    parameters={
        "amount": AMOUNT,
        "count": ParameterConfig(type="uint8"),
        "mode": ParameterConfig(values=["auto", "hand"], default="auto"),
        "go": ParameterConfig(type="bool", default=False),
    },
    requires=["{a/l/d/t} < ${param:amount} and {a/l/d/m} == ${param:mode}"],
    steps=[
        StepConfig(do="write", subject="a/l/d/s", value="${param:amount}", expect="${param:count}", expects=True),
        StepConfig(do="publish", subject="m", fields={"n": "${param:count}", "deep": [{"text": "no ${param:count}!"}]}),
        StepConfig(do="until", subject="{a/l/d/t} > ${param:amount}"),
    ],
    on_abort=[StepConfig(do="write", subject="a/l/d/g", value="${param:go}")],
)


def test_values_stand_in_their_places_with_their_types() -> None:
    values = arguments(CONFIG, {"count": 3, "amount": 35})
    assert values == {"amount": 35.0, "count": 3, "mode": "auto", "go": False}
    made = bound(CONFIG, values)
    assert made.requires == ["{a/l/d/t} < 35.0 and {a/l/d/m} == 'auto'"]
    assert (made.steps[0].value, made.steps[0].expect) == (35.0, 3)
    assert made.steps[1].fields == {"n": 3, "deep": [{"text": "no 3!"}]}
    assert made.steps[2].subject == "{a/l/d/t} > 35.0"
    assert made.on_abort[0].value is False and made.parameters == {}


@pytest.mark.parametrize(
    ("given_", "words", "hint"),
    [
        ({}, "the parameter 'count' has no value", "--set count=…"),
        ({"count": 3, "amonut": 1}, "there is no parameter 'amonut'", "did you mean 'amount'"),
        ({"count": 256}, "'count' is of type uint8", ""),
        ({"count": 1.5}, "'count' is of type uint8", ""),
        ({"count": 10**400}, "'count' is of type uint8", ""),
        ({"count": 3, "amount": 10**400}, "'amount' is of type float64", ""),
        ({"count": True}, "'count' is of type uint8", ""),
        ({"count": 3, "amount": 90.5}, "'amount' = 90.5 is out of range", "0 to 90"),
        ({"count": 3, "amount": float("nan")}, "'amount' is of type float64", ""),
        ({"count": 3, "amount": float("inf")}, "'amount' is of type float64", ""),
        ({"count": 3, "amount": "35"}, "'amount' is of type float64", ""),
        ({"count": 3, "mode": "off"}, "'mode' can't be 'off'", "auto, hand"),
        ({"count": 3, "go": 1}, "'go' is of type bool", ""),
    ],
)
def test_what_does_not_fit_is_said_before_anything_starts(given_: dict[str, Any], words: str, hint: str) -> None:
    with pytest.raises(NexusError) as refused:
        with_arguments("fill", CONFIG, given_)
    assert refused.value.code == "NX6837" and refused.value.exit_code == 1
    assert words in refused.value.message and hint in refused.value.hint


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("float64", "35", 35.0),
        ("float64", "1e3", 1000.0),
        ("int16", "0x10", 16),
        ("int16", "007", 7.0),
        ("int64", str(2**53 + 1), 2**53 + 1),
        ("bool", "On", True),
        ("string", " as it is ", " as it is "),
        ("string", "42", "42"),
    ],
)
def test_a_value_as_a_person_types_it(kind: str, text: str, expected: object) -> None:
    found = typed_argument("x", ParameterConfig(type=kind), text)
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize(
    ("kind", "text", "hint"),
    [("float64", "42,5", "write 42.5"), ("int16", "4,5", "4.5"), ("float64", "42 degC", ""), ("bool", "yes", "x=true")],
)
def test_a_slip_of_the_keyboard_is_told(kind: str, text: str, hint: str) -> None:
    with pytest.raises(ParameterError) as refused:
        typed_argument("x", ParameterConfig(type=kind), text)
    assert hint in refused.value.hint


@given(st.one_of(st.booleans(), st.integers(-(2**63), 2**63), st.floats(-1e200, 1e200), st.text(max_size=20)))
def test_a_literal_is_its_value_and_nothing_else(value: Any) -> None:
    """No text gets out of its quotes into the condition."""
    try:
        text = literal(value)
    except ParameterError:
        assert isinstance(value, str)
        return
    if isinstance(value, str):
        assert text[0] == text[-1] and text[0] not in text[1:-1] and "\\" not in text
        return
    made = compile_expression(f"{text} == {text}", types={}, result=DataType("bool"))
    assert made.value is not None and made.value.evaluate({}) is True


def test_samples_are_what_a_run_may_give() -> None:
    assert samples(AMOUNT) == [40.0, 0.0, 90.0]
    assert samples(ParameterConfig(type="int16", default=700, range=(0, 9))) == [0, 9], "a wrong default is none"
    assert samples(ParameterConfig(type="string")) == [] and samples(ParameterConfig(type="bool")) == [True, False]
    assert rehearsals(CONFIG.parameters, []) == [{}]
    assert rehearsals(CONFIG.parameters, ["amount", "mode"]) == [
        {"amount": 40.0, "mode": "auto"},
        {"amount": 0.0, "mode": "hand"},
        {"amount": 90.0, "mode": "auto"},
    ]
    assert rehearsals(CONFIG.parameters, ["amount", "count"]) == [] == rehearsals(CONFIG.parameters, ["unknown"])


def test_control_watches_the_tags_of_conditions_that_have_parameters() -> None:
    assert paths_in(CONFIG.conditions()) == {"a/l/d/t", "a/l/d/m"}
