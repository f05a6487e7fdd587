"""Laws of the model: whatever is edited into a site, there are findings with places and never a traceback."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nexus_cli.checks import check
from nexus_cli.diagnostics.outcome import has_errors
from nexus_cli.drivers.registry import kinds
from nexus_cli.model.bind import bind
from nexus_cli.model.config import device_from_json, digest, to_json
from nexus_cli.model.datatype import parse_type
from nexus_cli.model.expression import Expression, ExpressionError, compile_expression
from nexus_cli.model.quantities import UnitError, conversion, known
from nexus_cli.model.resolve import snapshot_of
from nexus_cli.model.site import Inherited
from nexus_cli.model.units import UNITS
from tests.examples import examples
from tests.mutation import mutations
from tests.sources import load_site

DEMO = Path(__file__).parents[2] / "sites" / "demo" / "site.yaml"
TREE = load_site(DEMO, inherited=frozenset(Inherited.model_fields)).unwrap()

ODD: list[Any] = [
    *(None, True, False, 0, 1, -1, 5, 0.5, -0.0, 2**63, 2**64, -(2**70), 10**40, float("inf"), float("nan"), 1e308),
    *("", " ", "x", "0", "1s", "0s", "-1s", "9" * 30 + "d", "2%", "200%", "#", "+", "/", "a/b", "**", "*/+", "_x"),
    *("float32", "int8", "string[0]", "string[5][2]", "bool[3]", "json", "datetime", "float32[99999999]", "uint64"),
    *("holding:1", "holding:99999999", "coil:1", "1!400101.4", "4x00101:UINT[10]", "ns=2;i=1", "nsu=;s=", "ns=;s=x"),
    *("modbus", "opcua", "s7", "ads", "external", "poll", "subscribe", "cyclic", "degC", "bar", "9**9**9", "m**m"),
    *("temperature + 1", "{", "}", "{a/b/c/d}", "((((", "x if", "__import__('os')", "${env:X}", "${param:x}"),
    *("protocol:modbus", "area:", "label:a=b", "link:x", "\x00", "日本", "é" * 50, "x" * 300),
    *([], [1], [1, 2], [2, 1], [None, None], ["x"], [[]], [1, 2, 3], [True, False], {}, {"x": 1}, {1: 2}, {None: 3}),
    *({"type": "bool"}, {"": {}}, {"a": {"b": {"c": []}}}, {"signal": "csv"}, {True: "x"}, {2**70: "x"}),
]
KEYS: list[Any] = [
    *("poll", "mode", "type", "unit", "publish_unit", "scale", "offset", "range", "deadband", "values", "heartbeat"),
    *("protocol", "tags", "calculated", "connection", "labels", "simulate", "address", "node", "expr", "writable"),
    *("topics", "max_series", "enabled", "retention", "select", "read", "write", "role", "roles", "above", "below"),
    *("for", "from", "to", "equals", "order", "bit", "unit_id", "x", "", "_x", "A B", 1, None, True),
]


def plain(node: Any) -> Any:
    """A copy as ordinary dicts and lists, each node its own."""
    if isinstance(node, dict):
        return {key: plain(value) for key, value in node.items()}
    return [plain(item) for item in node] if isinstance(node, list) else node


ROOT = plain(TREE.root)


def containers(node: Any, found: list[Any]) -> list[Any]:
    if isinstance(node, (dict, list)) and node:
        found.append(node)
        for child in node.values() if isinstance(node, dict) else node:
            containers(child, found)
    return found


def mutated(seed: int) -> Any:
    """The demo with one to four random edits."""
    dice = random.Random(seed)
    root = copy.deepcopy(ROOT)
    for _ in range(dice.randint(1, 4)):
        node = dice.choice(containers(root, []) or [root])
        if isinstance(node, list):
            node[dice.randrange(len(node))] = copy.deepcopy(dice.choice(ODD))
            continue
        key = dice.choice(list(node))
        edit = dice.randrange(5)
        if edit == 0:
            del node[key]
        elif edit == 1:
            node[dice.choice(KEYS)] = copy.deepcopy(dice.choice(ODD))
        elif edit == 2:
            node[dice.choice([str(key) + "x", str(key).upper(), "a/b", "#"])] = node.pop(key)
        elif edit == 3:
            node[key] = copy.deepcopy(node[dice.choice(list(node))])
        else:
            node[key] = copy.deepcopy(dice.choice(ODD))
    return root


def examined(root: Any) -> None:
    """Bind, check and resolve; every finding can be placed."""
    outcome = bind(root, kinds())
    findings = list(outcome.findings)
    if outcome.value is not None:
        findings.extend(check(outcome.value))
        if not has_errors(findings):
            snapshot = snapshot_of(outcome.value)
            assert snapshot.digest == snapshot_of(outcome.value).digest
    else:
        assert findings
    for item in findings:
        assert item.message
        assert all(
            isinstance(step, (str, int)) or step is None or isinstance(step, (bool, float)) for step in item.where
        )
    settled = TREE.report(findings)
    assert all(item.place is not None for item in settled)


@pytest.mark.parametrize("chunk", range(20))
def test_mutated_sites_give_findings_and_no_traceback(chunk: int) -> None:
    for seed in range(chunk, mutations(2_000), 20):
        root = mutated(seed)
        try:
            examined(root)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}") from error


trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children, max_size=4),
    max_leaves=20,
)


@given(trees)
@example({"²": {}, "--5": {}, "areas": {"²": {"lines": {"--5": 3}}}})
@settings(max_examples=examples(200), deadline=None)
def test_any_tree_at_all(root: Any) -> None:
    examined(root)
    examined({**ROOT, "areas": root})
    examined({**ROOT, "alerts": root, "moved": root, "gateways": root, "retention": root, "access": root})


TYPES = {"a": parse_type("float64"), "n": parse_type("int32"), "b": parse_type("bool"), "s": parse_type("string")}
words = st.sampled_from(
    [
        "a",
        "n",
        "b",
        "s",
        "1",
        "2.5",
        "0",
        "'x'",
        "true",
        "(",
        ")",
        "+",
        "-",
        "*",
        "/",
        "//",
        "%",
        "**",
        "<",
        "<=",
        "==",
        "!=",
        "and",
        "or",
        "not",
        "if",
        "else",
        ",",
        "min(",
        "max(",
        "round(",
        "sqrt(",
        "log(",
        "floor(",
        "{a}",
        "1e300",
    ]
)


@given(st.lists(words, max_size=25).map(" ".join) | st.text(max_size=60))
@settings(max_examples=examples(600), deadline=None)
def test_an_expression_compiles_or_says_why(text: str) -> None:
    outcome = compile_expression(text, types=TYPES)
    assert (outcome.value is None) == bool(outcome.findings)
    if outcome.value is not None:
        for values in ({"a": 1.5, "n": 3, "b": True, "s": "x"}, {"a": -1e300, "n": 0, "b": False, "s": ""}):
            total(outcome.value, values)


def total(expression: Expression, values: dict[str, Any]) -> None:
    try:
        result = expression.evaluate(values)
    except ExpressionError:
        return
    assert type(result) is {"bool": bool, "int64": int, "float64": float, "string": str}[str(expression.type)]


@given(st.sampled_from(sorted(UNITS)), st.sampled_from(sorted(UNITS)), st.floats(-1e6, 1e6))
def test_conversions_have_inverses(unit: str, other: str, value: float) -> None:
    try:
        factor, shift = conversion(unit, other)
    except UnitError:
        return
    back_factor, back_shift = conversion(other, unit)
    there = value * factor + shift
    assert there * back_factor + back_shift == pytest.approx(value, rel=1e-9, abs=1e-6)


@given(st.text(alphabet="mskgVAWhdegC°%²³·*/^() 0123456789.-_", max_size=20) | st.text(max_size=20))
@settings(max_examples=examples(300), deadline=None)
def test_any_text_is_a_unit_or_is_not(text: str) -> None:
    assert known(text) in (True, False)


def test_the_snapshot_is_the_same_from_equal_trees() -> None:
    first = snapshot_of(bind(ROOT, kinds()).unwrap())
    second = snapshot_of(bind(copy.deepcopy(ROOT), kinds()).unwrap())
    assert first.digest == second.digest
    for _, attributes in first.of_kind("device"):
        assert digest(to_json(device_from_json(attributes))) == digest(attributes)
