"""Parameters of a sequence: what may be given when it is run, and the sequence with the values in their places.

`${param:NAME}` is spelt as in templates. A reference that is the whole value keeps the parameter's type, inside a text
it is joined as text, and in a condition it is a literal, so it is written without quotes there.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.json_value import JsonObject
from nexus_cli.model.chain import above
from nexus_cli.model.datatype import INTEGER_BOUNDS
from nexus_cli.model.procedure_config import ParameterConfig, SequenceConfig, StepConfig

REFERENCE = re.compile(r"\$\{param:([^{}]*)\}")
LONGEST_TEXT = 1000
_TRUTH = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}
_COMMA = re.compile(r"-?\d+,\d+\Z", re.ASCII)
Values = Mapping[str, Any]


class ParameterError(ValueError):
    """A value does not fit its parameter, or there is no such parameter.

    Attributes:
        hint: What to write instead.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def typed_argument(name: str, parameter: ParameterConfig, text: str) -> Any:
    """A value as a person types it. Raises ParameterError."""
    text = text if parameter.type == "string" else text.strip()
    if parameter.type == "string":
        return text
    if parameter.type == "bool":
        if text.lower() not in _TRUTH:
            raise ParameterError(f"'{name}' is true or false, and '{text}' is neither", hint=f"{name}=true")
        return _TRUTH[text.lower()]
    try:
        return int(text, 0) if parameter.type in INTEGER_BOUNDS else float(text)
    except ValueError:
        pass
    try:
        return float(text)  # 007 and 4.0; whether it is whole is for `fit` to say
    except ValueError:
        hint = f"write {text.replace(',', '.')}" if _COMMA.match(text) else _ends(parameter)
        raise ParameterError(f"'{name}' is a number ({parameter.type}), and '{text}' is none", hint=hint) from None


def arguments(config: SequenceConfig, given: Values) -> JsonObject:
    """The value of every parameter for one run.

    Args:
        config: The sequence.
        given: By name, typed.

    Raises:
        ParameterError: Unknown, missing, of the wrong type, or out of range.
    """
    for name in given:
        if name not in config.parameters:
            hint = did_you_mean(name, config.parameters) if config.parameters else "it has no parameters"
            raise ParameterError(f"there is no parameter '{name[:100]}'", hint=hint)
    missing = [name for name, one in config.parameters.items() if name not in given and one.default is None]
    if missing:
        needed = " ".join(f"--set {name}=…" for name in missing)
        raise ParameterError(f"the parameter '{missing[0]}' has no value and no default", hint=needed)
    return {name: fit(name, one, given.get(name, one.default)) for name, one in config.parameters.items()}


def fit(name: str, parameter: ParameterConfig, value: Any) -> Any:
    """The value in the parameter's type. Raises ParameterError."""
    found = _of_type(parameter.type, value)
    if found is None:
        raise ParameterError(f"'{name}' is of type {parameter.type}, and this is {str(value)[:100]!r}")
    if parameter.values and found not in parameter.values:
        raise ParameterError(
            f"'{name}' can't be {found!r:.100}", hint=f"one of {', '.join(map(str, parameter.values[:20]))}"
        )
    low, high = parameter.range or (None, None)
    if not isinstance(found, str) and (
        (low is not None and above(low, found)) or (high is not None and above(found, high))
    ):
        raise ParameterError(
            f"'{name}' = {found if isinstance(found, int) else f'{found:g}'} is out of range", hint=_ends(parameter)
        )
    return found


def _of_type(kind: str, value: Any) -> Any:
    if kind == "bool":
        return value if isinstance(value, bool) else None
    if kind == "string":
        fits = isinstance(value, str) and len(value) <= LONGEST_TEXT and "\0" not in value
        return value if fits else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if (isinstance(value, int) and value.bit_length() > 128) or not math.isfinite(value):
        return None
    if kind not in INTEGER_BOUNDS:
        return float(value) if abs(value) < 1e300 else None
    least, most = INTEGER_BOUNDS[kind]
    return int(value) if value == int(value) and least <= value <= most else None


def _ends(parameter: ParameterConfig) -> str:
    low, high = parameter.range or (None, None)
    if low is None and high is None:
        return ""
    return f"the range is {'…' if low is None else f'{low:g}'} to {'…' if high is None else f'{high:g}'}"


def references(value: object) -> Iterator[str]:
    """Names that a value, a condition or a map of fields refers to."""
    if isinstance(value, str):
        yield from (match[1] for match in REFERENCE.finditer(value))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from references(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from references(item)


def filled(value: Any, values: Values) -> Any:
    """A value with its references replaced; those that are not in `values` stay."""
    if isinstance(value, str):
        whole = REFERENCE.fullmatch(value)
        if whole:
            return values.get(whole[1], value)
        return REFERENCE.sub(lambda match: _text(values[match[1]]) if match[1] in values else match[0], value)
    if isinstance(value, Mapping):
        return {key: filled(item, values) for key, item in value.items()}
    return [filled(item, values) for item in value] if isinstance(value, (list, tuple)) else value


def condition(text: str, values: Values) -> str:
    """A condition with its references replaced by literals. Raises ParameterError: a text that no literal can hold."""
    return REFERENCE.sub(lambda match: literal(values[match[1]]) if match[1] in values else match[0], text)


def literal(value: Any) -> str:
    """A value in the language of conditions, where strings have no escapes. Raises ParameterError."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"({value!r})" if value < 0 else repr(value)
    quote = '"' if "'" in value else "'"
    if quote in value or any(sign in value for sign in "\\\r\n\0"):
        raise ParameterError(f"{value!r:.100} can't be used in a condition", hint="no backslash, no line break")
    return f"{quote}{value}{quote}"


def bound(config: SequenceConfig, values: Values) -> SequenceConfig:
    """The sequence with the values of `arguments` in their places. Raises ParameterError."""
    return msgspec.structs.replace(
        config,
        parameters={},
        requires=[condition(text, values) for text in config.requires],
        steps=[_step(step, values) for step in config.steps],
        on_abort=[_step(step, values) for step in config.on_abort],
    )


def _step(step: StepConfig, values: Values) -> StepConfig:
    return msgspec.structs.replace(
        step,
        subject=condition(step.subject, values) if step.do == "until" else step.subject,
        value=filled(step.value, values),
        expect=filled(step.expect, values),
        fields=filled(step.fields, values),
    )


def samples(parameter: ParameterConfig) -> list[Any]:
    """Values that a run may give, to look at beforehand: default, ends of the range, the permitted ones. () = any."""
    wanted: Iterable[Any] = [parameter.default, *parameter.values, *(parameter.range or ())]
    if parameter.type == "bool":
        wanted = [True, False]
    found: list[Any] = []
    for value in wanted:
        try:
            made = None if value is None else fit("", parameter, value)
        except ParameterError:
            continue  # the declaration is wrong; a finding at the declaration says so
        if made is not None and made not in found:
            found.append(made)
    return found


def rehearsals(parameters: Mapping[str, ParameterConfig], names: Iterable[str]) -> list[JsonObject]:
    """Sets of values for some parameters, each sample of each at least once; [] when one of them has none."""
    lists = {name: samples(parameters[name]) if name in parameters else [] for name in dict.fromkeys(names)}
    if not all(lists.values()):
        return []
    rows = itertools.zip_longest(*lists.values())
    return [
        {name: one[0] if value is None else value for (name, one), value in zip(lists.items(), row, strict=True)}
        for row in rows
    ] or [{}]


def _text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
