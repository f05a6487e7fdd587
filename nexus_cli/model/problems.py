"""Errors of pydantic as findings: each gets a code, a quoted value and a hint."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic, ModelPath
from nexus_cli.diagnostics.suggest import did_you_mean, nearest
from nexus_cli.model.secrets import without_passwords

_EXPECTED = {
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "list_type": "a list",
    "tuple_type": "a list",
}
_MAPS = ("dict_type", "model_type", "model_attributes_type", "mapping_type")
_BOUNDS = {"greater_than": "gt", "greater_than_equal": "ge", "less_than": "lt", "less_than_equal": "le"}
_BOUND_WORDS = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}
_MOST_KEYS = 12
"""Keys that a hint lists when none is near to what was written."""
_LENGTHS = ("too_short", "too_long")
_REFERENCE = re.compile(r"\$\{(env|file):[^}]+\}")
_SECRET = re.compile(r"pass|secret|token|credential|private", re.IGNORECASE)


def findings_of(error: ValidationError, *, base: ModelPath, raw: object, shape: Any) -> list[Diagnostic]:
    """The findings of a failed validation, in the order of the text's model.

    Args:
        error: What pydantic raised.
        base: Where `raw` is in the model.
        raw: What was validated.
        shape: The model or annotation that it was validated against, for the names of its keys.
    """
    found: list[Diagnostic] = []
    seen: set[tuple[ModelPath, bool]] = set()
    misnamed = _misnamed(error, raw, shape)
    caused = {written[:-1] for written, (_, near) in misnamed.items() if near}
    for problem in error.errors(include_url=False):
        location, on_key = _real_location(raw, problem["loc"])
        if (location, on_key) in seen:
            continue  # the members of a union each complain about the one value
        seen.add((location, on_key))
        if problem["type"] == "missing" and location in caused:
            continue
        key, near = misnamed.get(location, ("", False))
        if problem["type"] == "extra_forbidden" and key and not near:
            name, hint = str(location[-1]), f"'{key}' is missing here: is that the one?"
            found.append(finding("NX1001", f"unknown key '{name}'", where=(*base, *location), on_key=True, hint=hint))
            continue
        found.append(_finding(problem, (*base, *location), on_key=on_key, shape=_shape_at(shape, location)))
    return found


def _misnamed(error: ValidationError, raw: object, shape: Any) -> dict[ModelPath, tuple[str, bool]]:
    """Keys that were written in place of the one key that their map lacks: that key, and whether it is near to them.

    A key that is near is the cause of both errors; one that is not may be, when it is the only unknown one.
    """
    lacking: dict[ModelPath, list[str]] = {}
    unknown: dict[ModelPath, dict[ModelPath, object]] = {}
    for problem in error.errors(include_url=False, include_context=False):
        location, _ = _real_location(raw, problem["loc"])
        if problem["type"] == "missing" and isinstance(problem["loc"][-1], str):
            lacking.setdefault(location, []).append(problem["loc"][-1])
        elif problem["type"] == "extra_forbidden" and location:
            unknown.setdefault(location[:-1], {})[location] = problem["input"]
    found: dict[ModelPath, tuple[str, bool]] = {}
    for place, keys in lacking.items():
        near = {
            one: _nearest(str(one[-1]), value, _keys_of(_shape_at(shape, one)))
            for one, value in unknown.get(place, {}).items()
        }
        misspelt = [one for one, key in near.items() if key in keys]
        if len(keys) == 1 and len(misspelt) == 1:
            found[misspelt[0]] = (keys[0], True)
        elif len(keys) == 1 and list(near.values()) == [""]:
            found[next(iter(near))] = (keys[0], False)
    return found


def _nearest(written: str, value: object, keys: Sequence[str]) -> str:
    """The key that was meant; `port 15020` without a value is `port`."""
    return nearest(written.partition(" ")[0] if value is None else written, keys)


def _colon(written: str, value: object, keys: Sequence[str]) -> str:
    """The hint for `{port 15020}`, which YAML reads as a key without a value; keys that are free names are none."""
    name, space, rest = written.partition(" ")
    meant = nearest(name, keys) if keys else name
    return f"is a colon missing? `{meant}: {rest.strip()}`" if value is None and space and meant else ""


def unknown_key(name: str, value: object, keys: Sequence[str], *, where: ModelPath) -> Diagnostic:
    """NX1001 for a key, with the one of `keys` that was probably meant."""
    hint = _colon(name, value, keys) or did_you_mean(name, keys) or _some_of(keys)
    return finding("NX1001", f"unknown key '{name}'", where=where, on_key=True, hint=hint)


def locations_of(error: ValidationError, raw: object) -> Iterator[ModelPath]:
    """Where in `raw` the errors lie; a missing key counts for the map that lacks it."""
    for problem in error.errors(include_url=False, include_context=False):
        yield _real_location(raw, problem["loc"])[0]


def _real_location(raw: object, location: Sequence[int | str]) -> tuple[ModelPath, bool]:
    """The part of pydantic's location that exists in the text (it adds union members and `[key]`)."""
    on_key = bool(location) and location[-1] == "[key]"
    steps: list[Any] = []
    node = raw
    for step in location:
        if isinstance(node, Mapping):
            key = step if step in node else next((key for key in node if str(key) == str(step)), None)
            if key is None and step not in node:
                break
            steps.append(key)
            node = node[key]
        elif isinstance(node, Sequence) and not isinstance(node, str) and isinstance(step, int) and step < len(node):
            steps.append(step)
            node = node[step]
        else:
            break
    return tuple(steps), on_key


def _finding(problem: Any, where: ModelPath, *, on_key: bool, shape: Any) -> Diagnostic:
    kind, value, context = problem["type"], problem["input"], problem.get("ctx", {})
    name = next((step for step in reversed(where) if isinstance(step, str)), str(where[-1]) if where else "the site")
    shown = _shown(value, where)
    if on_key and kind in _BOUNDS:
        side = _BOUNDS[kind]
        message = f"the code {shown} must be {_BOUND_WORDS[side]} {context.get(side)}"
        return finding("NX1008", message, where=where, on_key=True, hint=_range_of({side: context.get(side)}))
    if on_key and kind != "string_type":
        message = f"the code {shown} is not a whole number"
        return finding("NX1012", message, where=where, on_key=True, hint="write the number that the device sends")
    if on_key:
        return finding(
            "NX1012", f"the name {shown} is not text", where=where, on_key=True, hint=f"put it in quotes: '{value}'"
        )
    if kind == "extra_forbidden":
        return unknown_key(name, value, _keys_of(shape), where=where)
    if kind == "missing":
        return _missing(problem["loc"], where)
    if kind in _MAPS:
        message = f"'{name}' is empty" if value is None else f"'{name}' must be a map, not {shown}"
        return finding("NX1011", message, where=where, hint="write 'key: value' lines below it, or {}")
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        if name == "nexus":
            return finding("NX1010", f"version {shown} of the site language is unknown", where=where, hint="nexus: 1")
        return finding(
            "NX1004", f"'{name}' can't be {shown}", where=where, hint=did_you_mean(value, choices) or _one_of(choices)
        )
    if kind == "value_error":
        return _refused(context.get("error"), problem, where, name)
    bounds = _bounds_at(shape, name) if kind in _BOUNDS else {}
    return _value(kind, context, where, name=name, value=value, shown=shown, bounds=bounds)


def _length(kind: str, context: Mapping[str, Any]) -> str:
    limit, actual = context.get("min_length" if kind == "too_short" else "max_length"), context.get("actual_length")
    return f"has {actual} entries and needs at {'least' if kind == 'too_short' else 'most'} {limit}"


def _value(
    kind: str,
    context: Mapping[str, Any],
    where: ModelPath,
    *,
    name: str,
    value: object,
    shown: str,
    bounds: Mapping[str, object],
) -> Diagnostic:
    if kind in _BOUNDS:
        side = _BOUNDS[kind]
        message = f"{shown} for '{name}' must be {_BOUND_WORDS[side]} {context.get(side)}"
        return finding("NX1008", message, where=where, hint=_range_of({side: context.get(side), **bounds}))
    if kind == "finite_number":
        return finding("NX1015", f"'{name}' must be a finite number, not {shown}", where=where)
    if kind in _LENGTHS:
        return finding("NX1013", f"'{name}' {_length(kind, context)}", where=where)
    expected = _EXPECTED.get(kind)
    if expected is None:
        return finding("NX1014", f"{shown} is not accepted for '{name}'", where=where)
    hint = _colon(name, value, ()) or _hint_for(expected, value)
    return finding("NX1003", f"'{name}' must be {expected}, not {shown}", where=where, hint=hint)


def _bounds_at(shape: Any, name: str) -> dict[str, object]:
    """The bounds of a model's field by `gt`, `ge`, `lt`, `le`; empty for what is no field of a model."""
    if not (isinstance(shape, type) and issubclass(shape, BaseModel)):
        return {}
    field = next((field for key, field in shape.model_fields.items() if name in (key, field.alias)), None)
    return {
        side: getattr(one, side)
        for one in (field.metadata if field is not None else ())
        for side in _BOUND_WORDS
        if getattr(one, side, None) is not None
    }


def _range_of(bounds: Mapping[str, object]) -> str:
    """The hint that names every bound: a person who mends one side should not run into the other."""
    if "ge" in bounds and "le" in bounds:
        return f"write a number from {bounds['ge']} to {bounds['le']}"
    words = (f"{word} {bounds[side]}" for side, word in _BOUND_WORDS.items() if side in bounds)
    return f"write a number that is {' and '.join(words)}"


def _some_of(keys: Iterable[str]) -> str:
    known = sorted(set(keys))
    more = f", … ({len(known)} keys)" if len(known) > _MOST_KEYS else ""
    return f"known here: {', '.join(known[:_MOST_KEYS])}{more}" if known else ""


def _missing(location: Sequence[int | str], where: ModelPath) -> Diagnostic:
    if isinstance(location[-1], int):
        name = str(where[-1]) if where else "the list"
        return finding("NX1013", f"'{name}' needs {location[-1] + 1} values", where=where, hint="[low, high]")
    owner = f"'{where[-1]}'" if where else "the site"
    value = "1" if location[-1] == "nexus" else "…"  # the version of the site language; there is one
    message = f"{owner} lacks the key '{location[-1]}'"
    return finding("NX1002", message, where=where, hint=f"add '{location[-1]}: {value}'")


def _refused(error: object, problem: Any, where: ModelPath, name: str) -> Diagnostic:
    code = getattr(error, "code", None) or "NX1014"
    message = str(error) if error is not None else str(problem["msg"])
    value = problem["input"]
    if _SECRET.search(name) and isinstance(value, str):
        if not _REFERENCE.search(value):
            hint = f"{name}: '${{env:NAME}}' or '${{file:PATH}}'"
            return finding("NX3005", f"'{name}' is in plain text", where=where, hint=hint)
        message = message.replace(value, "…")
    message = without_passwords(message)
    named = where and not name.isdigit()  # an entry of a list has no name
    return finding(code, f"{name}: {message}" if named else message, where=where, hint=getattr(error, "hint", ""))


def _hint_for(expected: str, value: object) -> str:
    if expected == "text" and isinstance(value, (int, float)):
        return "put it in quotes"
    if expected == "true or false":
        return "write true or false, without quotes"
    if expected == "a number" and isinstance(value, str) and re.fullmatch(r"[-+]?[0-9]+,[0-9]+", value.strip()):
        return f"write a point: {value.strip().replace(',', '.')}"
    if expected in ("a number", "a whole number") and isinstance(value, str):
        return "write it as a number, without quotes" if re.fullmatch(r"-?[\d.]+", value) else ""
    if expected == "a list":
        return "write [..., ...]"
    return ""


def _one_of(choices: Sequence[str]) -> str:
    return "one of " + ", ".join(choices) if choices else ""


def _shown(value: object, where: ModelPath) -> str:
    """The value for a message: quoted, short, and never a secret."""
    if any(isinstance(part, str) and _SECRET.search(part) for part in where):
        return "the value given"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "a map"
    if isinstance(value, (list, tuple)):
        return "a list"
    text = str(value) if not isinstance(value, int) or abs(value) < 10**40 else "a very long number"
    return f"'{text if len(text) <= 60 else text[:57] + '…'}'"


def _shape_at(shape: Any, location: ModelPath) -> Any:
    """The model that holds the key at the end of `location`, or None."""
    node = shape
    for step in location[:-1]:
        node = _child(node, step)
    return _strip(node)


def _child(shape: Any, step: object) -> Any:
    shape = _strip(shape)
    if isinstance(shape, type) and issubclass(shape, BaseModel):
        for name, field in shape.model_fields.items():
            if step in (name, field.alias):
                return field.annotation
        return None
    arguments = get_args(shape)
    return arguments[-1] if arguments else None


def _strip(shape: Any) -> Any:
    """Without `Annotated` and `| None`."""
    while True:
        origin = get_origin(shape)
        if origin is Annotated:
            shape = get_args(shape)[0]
        elif origin is Union or type(shape).__name__ == "UnionType":
            members = [member for member in get_args(shape) if member is not type(None)]
            models = [member for member in members if isinstance(_strip(member), type)]
            shape = (models or members)[0]
        else:
            return shape


def _keys_of(shape: Any) -> list[str]:
    if isinstance(shape, type) and issubclass(shape, BaseModel):
        return [field.alias or name for name, field in shape.model_fields.items()]
    return []
