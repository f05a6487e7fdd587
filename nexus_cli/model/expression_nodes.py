"""From a parsed expression to typed closures: what each node may hold, and what it computes.

See docs/decisions/0040.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.model.chain import above, same
from nexus_cli.model.datatype import DataType
from nexus_cli.model.expression_text import FUNCTIONS

MAX_DEPTH = 40
MAX_POWER_BITS = 1024
"""Powers stay below 2^1024, the range of a double: the size of the result counts, not that of the operands."""

Run = Callable[[Mapping[str, Any]], Any]


class Kind(Enum):
    """The type of a part of an expression."""

    BOOL = "true or false"
    INTEGER = "a whole number"
    FLOAT = "a number"
    TEXT = "text"


NUMERIC = (Kind.INTEGER, Kind.FLOAT)


class TypeFault(ValueError):
    """A part of the expression that can't be: with its column, code and hint."""

    def __init__(self, message: str, *, column: int, code: str = "NX2404", hint: str = "") -> None:
        super().__init__(message)
        self.column = column
        self.code = code
        self.hint = hint


class Node(NamedTuple):
    """A compiled part.

    Attributes:
        labels: Value names when it is an enumeration.
        text: The text when it is a literal text.
    """

    kind: Kind
    run: Run
    labels: Mapping[int, str] | None = None
    text: str | None = None


_ALLOWED = (
    *(ast.Constant, ast.Name, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Call),
    *(ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context),
)


def refuse_others(tree: ast.expr) -> None:
    """Raise TypeFault at the first part of a tree that the language does not have."""
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED):
            dotted = isinstance(node, ast.Attribute)
            raise TypeFault(
                "this is not allowed in an expression",
                column=getattr(node, "col_offset", 0) + 1,
                code="NX2402",
                hint="a name with a dot needs braces: {motor.speed}" if dotted else _LANGUAGE,
            )


_LANGUAGE = "names, numbers, 'text', + - * / // % **, comparisons, and or not, x if c else y, and functions"


def kind_of(datatype: DataType) -> Kind | None:
    """The type of a tag's value in an expression; None for arrays, structures and other types."""
    if datatype.count:
        return None
    if datatype.base == "bool":
        return Kind.BOOL
    if datatype.integer:
        return Kind.INTEGER
    if datatype.numeric or datatype.base == "duration":
        return Kind.FLOAT
    return Kind.TEXT if datatype.base in ("string", "datetime") else None


_ARITHMETIC: dict[type[ast.operator], tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("-", operator.sub),
    ast.Mult: ("*", operator.mul),
    ast.Div: ("/", operator.truediv),
    ast.FloorDiv: ("//", operator.floordiv),
    ast.Mod: ("%", operator.mod),
}
_COMPARISON: dict[type[ast.cmpop], tuple[str, Callable[[Any, Any], bool]]] = {
    ast.Eq: ("==", operator.eq),
    ast.NotEq: ("!=", operator.ne),
    ast.Lt: ("<", operator.lt),
    ast.LtE: ("<=", operator.le),
    ast.Gt: (">", operator.gt),
    ast.GtE: (">=", operator.ge),
}


# Between numbers of which one may be a fraction: 0.1 + 0.2 equals 0.3, and is not above it.
_TOLERANT: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: same,
    ast.NotEq: lambda left, right: not same(left, right),
    ast.Lt: lambda left, right: above(right, left),
    ast.LtE: lambda left, right: not above(left, right),
    ast.Gt: above,
    ast.GtE: lambda left, right: not above(right, left),
}


def _power(base: Any, exponent: Any) -> Any:
    if isinstance(base, int) and isinstance(exponent, int):
        if abs(base) > 1 and exponent * math.log2(abs(base)) > MAX_POWER_BITS:
            raise OverflowError("the power is too large")
        return base**exponent if exponent >= 0 else float(base) ** exponent
    result = float(base) ** float(exponent)
    if isinstance(result, complex):
        raise ValueError("a root of a negative number")
    return result


@dataclass(frozen=True, slots=True)
class Compiler:
    """Compiles one expression.

    Attributes:
        identifiers: Tag name by its identifier in the parsed text.
        types: Type by tag name.
        labels: Value names by tag name.
    """

    identifiers: Mapping[str, str]
    types: Mapping[str, DataType]
    labels: Mapping[str, Mapping[int, str]]

    def compile(self, node: ast.expr, depth: int = 0) -> Node:
        """Compile a node. Raises TypeFault."""
        column = node.col_offset + 1
        if depth > MAX_DEPTH:
            raise TypeFault("the expression is nested too deeply", column=column, code="NX2409")
        if isinstance(node, ast.Constant):
            return self._constant(node.value, column)
        if isinstance(node, ast.Name):
            return self._name(node.id, column)
        if isinstance(node, ast.BinOp):
            return self._arithmetic(node, depth)
        if isinstance(node, ast.UnaryOp):
            return self._unary(node, depth)
        if isinstance(node, ast.BoolOp):
            return self._logic(node, depth)
        if isinstance(node, ast.Compare):
            return self._comparison(node, depth)
        if isinstance(node, ast.IfExp):
            return self._choice(node, depth)
        if isinstance(node, ast.Call):
            return self._call(node, depth)
        raise TypeFault("this is not allowed in an expression", column=column, code="NX2402", hint=_LANGUAGE)

    def _constant(self, value: object, column: int) -> Node:
        if isinstance(value, bool):
            return Node(Kind.BOOL, lambda _: value)
        if isinstance(value, int):
            if abs(value) >= 2**64:
                raise TypeFault("the number is too large", column=column)
            return Node(Kind.INTEGER, lambda _: value)
        if isinstance(value, float):
            if not math.isfinite(value):
                raise TypeFault("the number is too large", column=column)
            return Node(Kind.FLOAT, lambda _: value)
        if isinstance(value, str):
            return Node(Kind.TEXT, lambda _: value, text=value)
        raise TypeFault("this is not allowed in an expression", column=column, code="NX2402")

    def _name(self, identifier: str, column: int) -> Node:
        if identifier in ("true", "false"):
            truth = identifier == "true"
            return Node(Kind.BOOL, lambda _: truth)
        name = self.identifiers.get(identifier, identifier)
        if identifier in FUNCTIONS:
            hint = f"write {name}(…), or {{{name}}} for the tag"
            raise TypeFault(f"'{name}' is a function", column=column, code="NX2404", hint=hint)
        datatype = self.types.get(name)
        if datatype is None:
            raise TypeFault(f"'{name}' is not a tag", column=column, code="NX2403", hint=did_you_mean(name, self.types))
        kind = kind_of(datatype)
        if kind is None:
            raise TypeFault(f"'{name}' is {datatype}, which can't be calculated with", column=column)
        labels = self.labels.get(name) if kind is Kind.INTEGER else None
        return Node(kind, _reader(name, kind), labels=labels)

    def _arithmetic(self, node: ast.BinOp, depth: int) -> Node:
        left, right = self.compile(node.left, depth + 1), self.compile(node.right, depth + 1)
        power = isinstance(node.op, ast.Pow)
        sign, apply = ("**", _power) if power else _ARITHMETIC.get(type(node.op), ("", operator.add))
        if not sign:
            raise TypeFault("this operator is not allowed", column=node.col_offset + 1, code="NX2402")
        for side, part in ((left, node.left), (right, node.right)):
            if side.kind not in NUMERIC:
                raise TypeFault(f"{sign} needs numbers, and this is {side.kind.value}", column=part.col_offset + 1)
        a, b = left.run, right.run
        whole = left.kind is right.kind is Kind.INTEGER and not isinstance(node.op, ast.Div) and not power
        return Node(
            Kind.INTEGER if whole else Kind.FLOAT,
            (lambda values: float(apply(a(values), b(values))))
            if power
            else (lambda values: apply(a(values), b(values))),
        )

    def _unary(self, node: ast.UnaryOp, depth: int) -> Node:
        part = self.compile(node.operand, depth + 1)
        run, column = part.run, node.operand.col_offset + 1
        if isinstance(node.op, ast.Not):
            if part.kind is not Kind.BOOL:
                raise TypeFault(f"'not' needs true or false, and this is {part.kind.value}", column=column)
            return Node(Kind.BOOL, lambda values: not run(values))
        if isinstance(node.op, ast.Invert):
            raise TypeFault("this operator is not allowed", column=node.col_offset + 1, code="NX2402")
        if part.kind not in NUMERIC:
            raise TypeFault(f"a sign needs a number, and this is {part.kind.value}", column=column)
        return Node(part.kind, run if isinstance(node.op, ast.UAdd) else lambda values: -run(values))

    def _logic(self, node: ast.BoolOp, depth: int) -> Node:
        word = "and" if isinstance(node.op, ast.And) else "or"
        runs: list[Run] = []
        for part in node.values:
            compiled = self.compile(part, depth + 1)
            if compiled.kind is not Kind.BOOL:
                message = f"'{word}' needs true or false, and this is {compiled.kind.value}"
                raise TypeFault(message, column=part.col_offset + 1, hint="compare it: x > 0")
            runs.append(compiled.run)
        if len(runs) == 2:
            a, b = runs
            if word == "and":
                return Node(Kind.BOOL, lambda values: a(values) and b(values))
            return Node(Kind.BOOL, lambda values: a(values) or b(values))
        join = all if word == "and" else any
        return Node(Kind.BOOL, lambda values: join(run(values) for run in runs))

    def _comparison(self, node: ast.Compare, depth: int) -> Node:
        parts = [node.left, *node.comparators]
        nodes = [self.compile(part, depth + 1) for part in parts]
        links: list[Run] = []
        for position, sign in enumerate(node.ops):
            if type(sign) not in _COMPARISON:
                raise TypeFault("this comparison is not allowed", column=parts[position].col_offset + 1, code="NX2402")
            column = parts[position + 1].col_offset + 1
            links.append(_compared(nodes[position], nodes[position + 1], type(sign), column))
        if len(links) == 1:
            return Node(Kind.BOOL, links[0])
        return Node(Kind.BOOL, lambda values: all(link(values) for link in links))

    def _choice(self, node: ast.IfExp, depth: int) -> Node:
        test, yes, no = (self.compile(part, depth + 1) for part in (node.test, node.body, node.orelse))
        if test.kind is not Kind.BOOL:
            raise TypeFault(f"'if' needs true or false, and this is {test.kind.value}", column=node.test.col_offset + 1)
        kind = _joint(yes.kind, no.kind)
        if kind is None:
            message = f"one branch gives {yes.kind.value}, the other {no.kind.value}"
            raise TypeFault(message, column=node.orelse.col_offset + 1)
        condition, a, b = test.run, yes.run, no.run
        return Node(kind, lambda values: a(values) if condition(values) else b(values))

    def _call(self, node: ast.Call, depth: int) -> Node:
        column = node.col_offset + 1
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in FUNCTIONS or name in self.identifiers or node.keywords:
            message = f"'{name}' is not a function" if name else "this is not allowed in an expression"
            raise TypeFault(message, column=column, code="NX2402", hint=did_you_mean(name, FUNCTIONS))
        arguments = [self.compile(part, depth + 1) for part in node.args]
        for argument, part in zip(arguments, node.args, strict=True):
            if argument.kind not in NUMERIC:
                raise TypeFault(
                    f"{name}() needs numbers, and this is {argument.kind.value}", column=part.col_offset + 1
                )
        return _function(name, arguments, node, column)


def _reader(name: str, kind: Kind) -> Run:
    if kind is Kind.TEXT:
        accepted: tuple[type, ...] = (str,)
    elif kind is Kind.BOOL:
        accepted = (bool,)
    else:
        accepted = (int, float)

    def read(values: Mapping[str, Any]) -> Any:
        value = values[name]
        if not isinstance(value, accepted):
            raise TypeError(f"'{name}' has no usable value")
        return value

    return read


def _joint(left: Kind, right: Kind) -> Kind | None:
    if left is right:
        return left
    return Kind.FLOAT if left in NUMERIC and right in NUMERIC else None


def _compared(left: Node, right: Node, sign: type[ast.cmpop], column: int) -> Run:
    word, apply = _COMPARISON[sign]
    equality = word in ("==", "!=")
    for enumeration, literal in ((left, right), (right, left)):
        if enumeration.labels is not None and literal.text is not None:
            return _label_compared(enumeration, literal.text, word, column)
    if _joint(left.kind, right.kind) is None:
        message = f"{left.kind.value} can't be compared with {right.kind.value}"
        hint = "the tag has no value names (values:)" if left.kind is Kind.INTEGER and right.text is not None else ""
        raise TypeFault(message, column=column, hint=hint)
    if not equality and left.kind not in NUMERIC:
        raise TypeFault(f"{word} needs numbers, and these are {left.kind.value}", column=column)
    if Kind.FLOAT in (left.kind, right.kind):
        apply = _TOLERANT[sign]
    a, b = left.run, right.run
    return lambda values: apply(a(values), b(values))


def _label_compared(node: Node, label: str, word: str, column: int) -> Run:
    labels = node.labels or {}
    codes = frozenset(code for code, name in labels.items() if name == label)
    if not codes:
        hint = did_you_mean(label, labels.values())
        raise TypeFault(f"'{label}' is not one of its value names", column=column, code="NX2408", hint=hint)
    if word not in ("==", "!="):
        raise TypeFault(f"{word} needs numbers; a value name can be compared with == and !=", column=column)
    run, wanted = node.run, word == "=="
    return lambda values: (run(values) in codes) is wanted


def _function(name: str, arguments: list[Node], node: ast.Call, column: int) -> Node:
    counts = {"min": (2, 20), "max": (2, 20), "round": (1, 2), "clamp": (3, 3), "log": (1, 2)}
    low, high = counts.get(name, (1, 1))
    if not low <= len(arguments) <= high:
        wanted = str(low) if low == high else f"{low} to {high}"
        raise TypeFault(f"{name}() takes {wanted} numbers, not {len(arguments)}", column=column)
    runs = [argument.run for argument in arguments]
    kinds = {argument.kind for argument in arguments}
    same = Kind.INTEGER if kinds == {Kind.INTEGER} else Kind.FLOAT
    first = runs[0]
    if name in ("min", "max"):
        pick = min if name == "min" else max
        return Node(same, lambda values: pick(run(values) for run in runs))
    if name == "clamp":
        low_run, high_run = runs[1], runs[2]
        return Node(same, lambda values: max(low_run(values), min(high_run(values), first(values))))
    if name == "abs":
        return Node(arguments[0].kind, lambda values: abs(first(values)))
    if name == "round" and len(runs) == 2:
        digits = node.args[1]
        if not isinstance(digits, ast.Constant) or not isinstance(digits.value, int) or not 0 <= digits.value <= 15:
            raise TypeFault("round() takes 0 to 15 digits, as a number", column=digits.col_offset + 1)
        places = digits.value
        return Node(Kind.FLOAT, lambda values: round(float(first(values)), places))
    if name in ("round", "floor", "ceil"):
        roundings: dict[str, Callable[[Any], int]] = {"round": round, "floor": math.floor, "ceil": math.ceil}
        whole = roundings[name]
        return Node(Kind.INTEGER, lambda values: whole(first(values)))
    if name == "log" and len(runs) == 2:
        base = runs[1]
        return Node(Kind.FLOAT, lambda values: math.log(first(values), base(values)))
    single: Callable[[Any], float] = {"sqrt": math.sqrt, "log": math.log, "exp": math.exp}[name]
    return Node(Kind.FLOAT, lambda values: single(first(values)))
