"""Expressions: what they compute, what they refuse, and where they say so."""

from __future__ import annotations

import pytest

from nexus_cli.model.config import TagConfig
from nexus_cli.model.datatype import DataType, parse_type
from nexus_cli.model.expression import Expression, ExpressionError, compile_expression, expression_of

TYPES = {
    name: parse_type(text)
    for name, text in {
        "t": "float64",
        "n": "int32",
        "b": "bool",
        "s": "string",
        "state": "int16",
        "voltage-l1": "float32",
        "p/l/d/energy": "float64",
        "list": "float32[5]",
    }.items()
}
LABELS = {"state": {0: "stopped", 1: "running", 2: "stopped"}}
VALUES = {"t": 20.5, "n": 7, "b": True, "s": "cola", "state": 1, "voltage-l1": 230.0, "p/l/d/energy": 3.5}


def compiled(text: str, result: str | None = None) -> Expression:
    outcome = compile_expression(text, types=TYPES, labels=LABELS, result=parse_type(result) if result else None)
    assert outcome.value is not None, outcome.findings
    return outcome.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("t + n * 2", 34.5),
        ("n // 2", 3),
        ("n % 4", 3),
        ("-n", -7),
        ("n / 2", 3.5),
        ("2 ** 3", 8.0),
        ("{voltage-l1} * 2", 460.0),
        ("{p/l/d/energy} - 0.5", 3.0),
        ("t > 20 and state == 'running'", True),
        ("state == 'stopped'", False),
        ("'stopped' != state", True),
        ("state == 1", True),
        ("s == 'cola'", True),
        ("not b or false", False),
        ("0 < n < 5", False),
        ("5 <= n <= 7 and true", True),
        ("t if b else n", 20.5),
        ("min(n, 3, 5)", 3),
        ("max(n, t)", 20.5),
        ("abs(-t)", 20.5),
        ("round(t)", 20),
        ("round(t / 3, 2)", 6.83),
        ("floor(t) + ceil(t)", 41),
        ("clamp(n, 0, 5)", 5),
        ("sqrt(16)", 4.0),
        ("log(exp(2))", 2.0),
        ("log(8, 2)", 3.0),
        ("'{' == s", False),
        ("  t  +  1 ", 21.5),
        ("t\n + 1", 21.5),
    ],
)
def test_values(text: str, expected: object) -> None:
    result = compiled(text).evaluate(VALUES)
    assert result == pytest.approx(expected) if isinstance(expected, float) else result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("text", "code", "column"),
    [
        ("t +", "NX2401", "column 4"),
        ("", "NX2401", "column 1"),
        ("(" * 300, "NX2401", "column"),
        ("t = 1", "NX2401", "column"),
        ("{a b} + 1", "NX2401", "column 1"),
        ("t \\ 1", "NX2401", "column 3"),
        ("t.real", "NX2402", "column 1"),
        ("n[0]", "NX2402", "column 1"),
        ("[1, 2]", "NX2402", "column 1"),
        ("lambda: 1", "NX2402", "column 1"),
        ("f'{t}'", "NX2402", "column 1"),
        ("open(n)", "NX2403", "'open'"),
        ("n << 2", "NX2402", "column 1"),
        ("~n", "NX2402", "column 1"),
        ("n in n", "NX2402", "column 1"),
        ("max(n, key=1)", "NX2402", "column 8"),
        ("(x := 1)", "NX2402", "column"),
        ("temp > 1", "NX2403", "'temp'"),
        ("min + 1", "NX2404", "column 1"),
        ("t + s", "NX2404", "column 5"),
        ("t and b", "NX2404", "column 1"),
        ("b > b", "NX2404", "column 5"),
        ("s > 'a'", "NX2404", "column 5"),
        ("n == 'x'", "NX2404", "column 6"),
        ("t if n else 1", "NX2404", "column 6"),
        ("t if b else 'x'", "NX2404", "column 13"),
        ("list + 1", "NX2404", "column 1"),
        ("round(t, n)", "NX2404", "column 10"),
        ("clamp(n, 1)", "NX2404", "column 1"),
        ("9" * 30, "NX2404", "column 1"),
        ("1e999", "NX2404", "column 1"),
        ("state == 'runing'", "NX2408", "column 10"),
        ("-" * 100 + "n", "NX2409", "column"),
        ("x" * 2000, "NX2401", "1000 characters"),
    ],
)
def test_refusals(text: str, code: str, column: str) -> None:
    outcome = compile_expression(text, types=TYPES, labels=LABELS)
    assert outcome.value is None
    assert outcome.findings[0].code == code
    assert column in outcome.findings[0].message


def test_all_unknown_names_are_told() -> None:
    outcome = compile_expression("x + y", types=TYPES)
    assert [item.message.split("'")[1] for item in outcome.findings] == ["x", "y"]


@pytest.mark.parametrize(
    ("text", "result", "ok"),
    [
        ("n", "float32", True),
        ("n", "uint8", True),
        ("t", "int32", False),
        ("t > 1", "bool", True),
        ("t", "bool", False),
        ("s", "string[20]", True),
        ("n", "string", False),
        ("t", "json", False),
        ("t", "duration", True),
    ],
)
def test_the_result_must_fit(text: str, result: str, ok: bool) -> None:
    outcome = compile_expression(text, types=TYPES, result=parse_type(result))
    assert (outcome.value is not None) is ok
    if not ok:
        assert outcome.findings[0].code == "NX2407"


@pytest.mark.parametrize(
    ("text", "result", "values"),
    [
        ("t / n", None, {"t": 1.0, "n": 0}),
        ("n % n", None, {"n": 0}),
        ("sqrt(t)", None, {"t": -1.0}),
        ("log(t)", None, {"t": 0.0}),
        ("t ** n", None, {"t": 10.0, "n": 5000}),
        ("n ** n", None, {"n": 2**31 - 1}),
        ("t ** 0.5", None, {"t": -4.0}),
        ("t * 1e300", None, {"t": 1e300}),
        ("n * n", "int32", {"n": 2**30}),
        ("n - 10", "uint8", {"n": 7}),
        ("exp(t)", None, {"t": 1e6}),
        ("t + 1", None, {"t": None}),
        ("t + 1", None, {"t": "text"}),
        ("t + 1", None, {}),
        ("floor(t * 1e308 * 10)", None, {"t": 1.0}),
    ],
)
def test_no_result_is_an_error_never_a_traceback(text: str, result: str | None, values: dict[str, object]) -> None:
    with pytest.raises(ExpressionError):
        compiled(text, result).evaluate(values)  # type: ignore[arg-type]


def test_names_are_in_order_of_use() -> None:
    expression = compiled("{voltage-l1} * n + max(t, n) + 1e3")
    assert expression.names == ("voltage-l1", "n", "t")
    assert expression.type == DataType("float64")


def test_a_gateway_compiles_from_the_normal_form() -> None:
    tags = {
        "a/l/d/t": TagConfig(type="int16", published_type="float64"),
        "a/l/d/state": TagConfig(type="int16", published_type="int16", values={"1": "running"}),
    }
    tag = TagConfig(
        type="bool",
        expr="{t} > 1.5 and state == 'running'",
        inputs={"t": "a/l/d/t", "state": "a/l/d/state"},
    )
    expression = expression_of(tag, tags)
    assert expression.evaluate({"t": 2.0, "state": 1}) is True
    with pytest.raises(ExpressionError, match="'state'"):
        expression_of(tag, {"a/l/d/t": tags["a/l/d/t"]})


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("1 ** 2000", 1.0),
        ("(-1) ** 1025", -1.0),
        ("2 ** 513", 2.0**513),
        ("2 ** 1023", 2.0**1023),
        ("10 ** 300", 1e300),
        ("0 ** 5000", 0.0),
        ("2 ** -2000", 0.0),
        ("10 ** -3", 0.001),
        ("-(10 ** 300)", -1e300),
    ],
)
def test_a_power_is_bounded_by_its_result(text: str, result: float) -> None:
    made = compile_expression(text, types={}).value
    assert made is not None
    assert made.evaluate({}) == result


@pytest.mark.parametrize("text", ["2 ** 1024", "10 ** 309", "(-3) ** 900", "2 ** (2 ** 62)"])
def test_a_power_beyond_a_double_is_found_before_it_is_worked_out(text: str) -> None:
    outcome = compile_expression(text, types={})
    assert [one.code for one in outcome.findings] == ["NX2407"]


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("'abcdef'", DataType("string", length=3)),
        ("2.5e30", DataType("float16")),
        ("1e39", DataType("float32")),
        ("300", DataType("uint8")),
        ("'soon'", DataType("datetime")),
        ("1 / 0", DataType("float64")),
    ],
)
def test_a_constant_that_its_type_can_not_hold_is_a_finding(text: str, result: DataType) -> None:
    outcome = compile_expression(text, types={}, result=result)
    assert [one.code for one in outcome.findings] == ["NX2407"]


@pytest.mark.parametrize(
    ("result", "kind", "good", "beyond"),
    [
        (DataType("string", length=3), DataType("string"), "abc", "abcd"),
        (DataType("float16"), DataType("float64"), 65504.0, 70000.0),
        (DataType("float32"), DataType("float64"), 3e38, 4e38),
        (DataType("uint8"), DataType("int64"), 255, 256),
        (DataType("datetime"), DataType("string"), "2026-03-04", "4 March"),
    ],
)
def test_a_result_is_checked_against_the_declared_type(
    result: DataType, kind: DataType, good: object, beyond: object
) -> None:
    made = compile_expression("x", types={"x": kind}, result=result).value
    assert made is not None
    assert made.evaluate({"x": good}) == good  # type: ignore[dict-item]
    with pytest.raises(ExpressionError):
        made.evaluate({"x": beyond})  # type: ignore[dict-item]


def test_names_in_braces_stand_beside_words() -> None:
    types = {"a": DataType("int16"), "f": DataType("bool"), "u-1": DataType("int16")}
    made = compile_expression("{a}if{f}and{f}else{u-1}", types=types).value
    assert made is not None
    assert made.names == ("a", "f", "u-1")
    assert made.evaluate({"a": 1, "f": False, "u-1": 2}) == 2


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("{f}and{f}and{n}", "NX2404", ("column 13", "a whole number")),
        ("{f}and{nothing}", "NX2403", ("'nothing'",)),
        ("'ä' == {t} and {n}", "NX2404", ("column 16",)),
        ("  {n} + {t}", "NX2404", ("column 9",)),
        ("{f}{f}", "NX2401", ("column 4",)),
        ("2{n}", "NX2401", ()),
        ("\ufb01 + {n}", "NX2401", ("column 1",)),
        ("{n} + größe", "NX2401", ("column 9", "'ö'")),
    ],
)
def test_messages_speak_of_what_was_written(text: str, code: str, words: tuple[str, ...]) -> None:
    types = {"f": DataType("bool"), "n": DataType("int16"), "t": DataType("string")}
    (found,) = compile_expression(text, types=types).findings
    assert found.code == code
    assert "__" not in found.message
    for word in words:
        assert word in found.message


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("a + b == 0.3", True),
        ("a + b > 0.3", False),
        ("a + b >= 0.3", True),
        ("a + b <= 0.3", True),
        ("a + b != 0.3", False),
        ("a < 0.1001", True),
        ("0.1 <= a <= 0.1", True),
        ("n == n + 1", False),
        ("1e308 * n > 1", True),
        ("-1e308 * n < 1", True),
        ("1e308 * n == 1", False),
    ],
)
def test_fractions_are_compared_without_the_noise_of_arithmetic(text: str, holds: bool) -> None:
    types = {"a": DataType("float64"), "b": DataType("float64"), "n": DataType("int64")}
    made = compile_expression(text, types=types).value
    assert made is not None
    assert made.evaluate({"a": 0.1, "b": 0.2, "n": 2**62}) is holds
