"""Expressions of calculated tags: names, literals, arithmetic, comparison, logic, a few functions, and nothing else.

An expression is checked and typed once, and becomes a tree of closures; evaluating it looks nothing up but values.

    temperature > 100 and state == 'running'
    {voltage-l1} * {current-l1} / 1000
    {packaging/line-1/meter-1/energy} if enabled else 0

See docs/decisions/0054.
"""

from __future__ import annotations

import ast
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.outcome import Outcome
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.model.chain import rounded
from nexus_cli.model.config import TagConfig
from nexus_cli.model.datatype import INTEGER_BOUNDS, DataType, parse_type
from nexus_cli.model.expression_nodes import Compiler, Kind, TypeFault, kind_of, refuse_others
from nexus_cli.model.expression_text import ExpressionSyntaxError, names_in, prepare
from nexus_cli.model.instant import instant_ns
from nexus_cli.wire.sample import Value

NO_LABELS: Mapping[str, Mapping[int, str]] = {}
_DATATYPES = {
    Kind.BOOL: DataType("bool"),
    Kind.INTEGER: DataType("int64"),
    Kind.FLOAT: DataType("float64"),
    Kind.TEXT: DataType("string"),
}


class ExpressionError(Exception):
    """An evaluation has no result: division by zero, overflow, an input without a value. The sample becomes BAD."""


@dataclass(frozen=True, slots=True, eq=False)
class Expression:
    """A compiled expression.

    Attributes:
        text: As it was written.
        names: What it reads, in the order of first use, without braces.
        type: Type of its result.
    """

    text: str
    names: tuple[str, ...]
    type: DataType
    run: Callable[[Mapping[str, Any]], Any]

    def evaluate(self, values: Mapping[str, Value]) -> Value:
        """The result for these values, one per name in `names`.

        Raises:
            ExpressionError: A value is missing or has the wrong type, or the arithmetic has no finite result.
        """
        try:
            return self.run(values)  # type: ignore[no-any-return]
        except ZeroDivisionError:
            raise ExpressionError("division by zero") from None
        except (ArithmeticError, ValueError, TypeError, KeyError) as error:
            raise ExpressionError(f"{type(error).__name__}: {error}") from None


def compile_expression(
    text: str,
    *,
    types: Mapping[str, DataType],
    labels: Mapping[str, Mapping[int, str]] = NO_LABELS,
    result: DataType | None = None,
) -> Outcome[Expression]:
    """Check, type and compile an expression.

    Args:
        text: The expression.
        types: Published type by name, as the names are written in the expression.
        labels: Value names of enumerations, by name.
        result: The type it must give; None accepts any.

    Returns:
        The expression, or findings that say the column inside the text. They have no `where`.
    """
    try:
        tree, identifiers = _parse(text)
        refuse_others(tree)
    except TypeFault as fault:
        return Outcome(None, (finding(fault.code, f"{fault} (column {fault.column})", hint=fault.hint),))
    except ExpressionSyntaxError as error:
        return Outcome(None, (finding("NX2401", f"{error} (column {error.column})", hint=error.hint),))
    names = names_in(text)
    unknown = [name for name in names if name not in types]
    if unknown:
        return Outcome(
            None,
            tuple(
                finding("NX2403", f"the expression uses '{name}', which is not a tag", hint=did_you_mean(name, types))
                for name in unknown
            ),
        )
    try:
        node = Compiler(identifiers=identifiers, types=types, labels=labels).compile(tree)
        run, datatype = _fitted(node.run, node.kind, result, column=1)
        if not names:
            _constant(run, datatype)
    except TypeFault as fault:
        return Outcome(None, (finding(fault.code, f"{fault} (column {fault.column})", hint=fault.hint),))
    return Outcome(Expression(text, names, datatype, run))


def expression_of(tag: TagConfig, tags: Mapping[str, TagConfig]) -> Expression:
    """The expression of a calculated tag in normal form, for a gateway.

    Args:
        tag: With `expr` and `inputs`; its inputs were checked before.
        tags: Every tag of the gateway by path `area/line/device/tag`.

    Raises:
        ExpressionError: It does not compile here (an input is gone); the message says why.
    """
    known = {name: tags[path] for name, path in tag.inputs.items() if path in tags}
    outcome = compile_expression(
        tag.expr,
        types={name: parse_type(config.published_type or config.type) for name, config in known.items()},
        labels={
            name: {int(code): label for code, label in config.values.items()}
            for name, config in known.items()
            if config.values
        },
        result=parse_type(tag.type),
    )
    if outcome.value is None:
        raise ExpressionError("; ".join(found.message for found in outcome.findings))
    return outcome.value


def _parse(text: str) -> tuple[ast.expr, dict[str, str]]:
    """The tree, its places in characters of the text as it was written (from 0), and the names by identifier."""
    prepared = prepare(text)
    stripped = prepared.text.strip()
    if not stripped:
        raise ExpressionSyntaxError("the expression is empty", column=1)
    lead = len(prepared.text) - len(prepared.text.lstrip())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(stripped, mode="eval").body
    except SyntaxError as error:
        column = prepared.column((error.offset or len(stripped) + 1) - 1 + lead)
        hint = "write == to compare" if "=" in text and "==" not in text else ""
        if "-" in text and "{" not in text:
            hint = hint or "a name with a hyphen or a dot needs braces: {voltage-l1}"
        raise ExpressionSyntaxError("this is not an expression", column=column, hint=hint) from None
    except (ValueError, RecursionError, MemoryError, OverflowError):
        raise ExpressionSyntaxError("the expression is nested too deeply", column=1) from None
    encoded = stripped.encode()
    for node in ast.walk(tree):
        if (at := getattr(node, "col_offset", None)) is not None:
            # The parser counts bytes of what it was given.
            node.col_offset = prepared.column(len(encoded[:at].decode()) + lead) - 1  # type: ignore[attr-defined]
    return tree, prepared.names


def _constant(run: Callable[[Mapping[str, Any]], Any], wanted: DataType) -> None:
    """An expression without names has its only result now. Raises TypeFault when it can't be the tag's."""
    try:
        run({})
    except ZeroDivisionError:
        raise TypeFault("the expression divides by zero", column=1, code="NX2407") from None
    except (ExpressionError, ArithmeticError, ValueError) as error:
        raise TypeFault(f"the expression has no result for a {wanted}: {error}", column=1, code="NX2407") from None


def _fitted(
    run: Callable[[Mapping[str, Any]], Any], kind: Kind, wanted: DataType | None, *, column: int
) -> tuple[Callable[[Mapping[str, Any]], Any], DataType]:
    """The closure with its result checked and brought into the wanted type."""
    target = wanted or _DATATYPES[kind]
    into = kind_of(target)
    if into is None:
        raise TypeFault(f"a calculated tag can't be {target}", column=column, code="NX2407")
    if kind is Kind.INTEGER and into is Kind.FLOAT:
        kind = Kind.FLOAT
    if kind is not into:
        hint = (
            "use round(), floor() or ceil()"
            if (kind, into) == (Kind.FLOAT, Kind.INTEGER)
            else f"type: {_DATATYPES[kind]}"
        )
        raise TypeFault(
            f"the expression gives {kind.value}, the tag is {target}", column=column, code="NX2407", hint=hint
        )
    if into is Kind.FLOAT:
        return _finite(run, target), target
    if into is Kind.INTEGER:
        return _bounded(run, *INTEGER_BOUNDS[target.base]), target
    if target.base == "datetime":
        return _moment(run), target
    return (_short(run, target.length) if target.length else run), target


def _finite(run: Callable[[Mapping[str, Any]], Any], target: DataType) -> Callable[[Mapping[str, Any]], Any]:
    base = target.base if target.base in ("float16", "float32") else ""

    def finite(values: Mapping[str, Any]) -> float:
        result = float(run(values))
        if result - result != 0.0:  # infinity and not-a-number are the two that differ from themselves
            raise ExpressionError("the result is not a finite number")
        if base and math.isinf(rounded(base, result)):
            raise ExpressionError(f"{result:g} does not fit {base}")
        return result

    return finite


def _short(run: Callable[[Mapping[str, Any]], Any], most: int) -> Callable[[Mapping[str, Any]], Any]:
    def short(values: Mapping[str, Any]) -> str:
        result: str = run(values)
        if len(result) > most:
            raise ExpressionError(f"a text of {len(result)} characters does not fit string[{most}]")
        return result

    return short


def _moment(run: Callable[[Mapping[str, Any]], Any]) -> Callable[[Mapping[str, Any]], Any]:
    def moment(values: Mapping[str, Any]) -> str:
        result: str = run(values)
        try:
            instant_ns(result)
        except ValueError as error:
            raise ExpressionError(str(error)) from None
        return result

    return moment


def _bounded(run: Callable[[Mapping[str, Any]], Any], low: int, high: int) -> Callable[[Mapping[str, Any]], Any]:
    def bounded(values: Mapping[str, Any]) -> int:
        result: int = run(values)
        if not low <= result <= high:
            raise ExpressionError(f"the result does not fit its type ({low} to {high})")
        return result

    return bounded
