"""JSON Schema for messages: formats are checked, decimals are decimals, and a schema that no payload can fit is found.

Patterns are of Python's dialect (`re`), references stay inside the schema: nothing is ever fetched.
"""

from __future__ import annotations

import ipaddress
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import lru_cache
from typing import Any

from nexus_cli.json_value import is_number
from nexus_cli.model.message_bounds import nothing_between, wrong_names

KINDS = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})
LONGEST_CHAIN = 20
"""References and combinations that are followed from one place."""
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)\Z", re.ASCII)
_TIME = re.compile(r"\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)\Z", re.ASCII)
_DURATION = re.compile(
    r"P(?=.)(\d+W|(\d+Y)?(\d+M)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?)\Z",
    re.ASCII,
)
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}\Z")
_HOST = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*\Z",
    re.ASCII,
)
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]*\Z", re.ASCII)
_POINTER = re.compile(r"(/([^~/]|~[01])*)*\Z")


def _date(text: str) -> bool:
    return len(text) == 10 and text[4] == "-" and bool(date.fromisoformat(text))


def _moment(text: str) -> bool:
    return bool(_DATE_TIME.match(text)) and bool(datetime.fromisoformat(text.upper().replace("Z", "+00:00")))


def _uuid(text: str) -> bool:
    return len(text) == 36 and str(uuid.UUID(text)) == text.lower()


FORMATS: dict[str, Callable[[str], bool]] = {
    "date": _date,
    "time": lambda text: bool(_TIME.match(text)) and _moment(f"2000-01-01T{text}"),
    "date-time": _moment,
    "duration": lambda text: bool(_DURATION.match(text)),
    "email": lambda text: bool(_EMAIL.match(text)),
    "hostname": lambda text: bool(_HOST.match(text)),
    "ipv4": lambda text: ipaddress.IPv4Address(text) is not None,
    "ipv6": lambda text: "%" not in text and ipaddress.IPv6Address(text) is not None,
    "uri": lambda text: bool(_URI.match(text)),
    "uuid": _uuid,
    "json-pointer": lambda text: bool(_POINTER.match(text)),
    "regex": lambda text: re.compile(text) is not None,
}
"""The check of each `format`, JSON Schema 2020-12 (validation) §7.3; RFC 3339 for times and durations. A check
that raises ValueError or `re.error` says no."""


def fits_format(name: str, value: object) -> bool:
    """Whether a value is of a format; what is no text always is, and so is everything for a name that is unknown."""
    check = FORMATS.get(name)
    if check is None or not isinstance(value, str):
        return True
    try:
        return check(value)
    except (ValueError, re.error):
        return False


def problem(schema: Mapping[str, Any], payload: Any) -> str:
    """Why a payload does not fit a JSON Schema; "" when it fits. References are never fetched from elsewhere."""
    import jsonschema  # type: ignore[import-untyped]  # noqa: PLC0415 - jsonschema: only for sites with messages
    import referencing  # noqa: PLC0415 - jsonschema: only for sites with messages

    try:
        errors = _validator(schema)(schema, registry=referencing.Registry()).iter_errors(payload)
        found = min(errors, key=lambda error: list(map(str, error.path)), default=None)
    except (referencing.exceptions.Unresolvable, jsonschema.SchemaError, RecursionError, re.error) as error:
        return f"the schema can't be used: {str(error)[:200]}"
    return "" if found is None else _at(found)


def fault(schema: Mapping[str, Any]) -> str:
    """Why something is no JSON Schema of an object, or one that no payload can fit; "" when it is one."""
    import jsonschema  # noqa: PLC0415 - jsonschema: only for sites with messages

    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft7Validator)
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as error:
        dialect = " of Python's dialect" if error.validator == "format" and error.validator_value == "regex" else ""
        return _at(error) + dialect
    except RecursionError:
        return "it is nested too deeply"
    if schema.get("type", "object") != "object":
        return f"a payload is an object, and this is a schema of '{schema['type']}'"
    try:
        return next(_faults(schema, schema, ""), "")
    except RecursionError:
        return "it is nested too deeply"


def kinds_of(schema: Any, root: Mapping[str, Any]) -> frozenset[str]:
    """Types of JSON that a part of a schema can take, by `type`, `enum`, `const`, references and combinations.

    `integer` is a kind of its own beside `number`, which includes it.
    """
    return _kinds(schema, root, LONGEST_CHAIN)


def kind_of_value(value: object) -> str:
    """Its JSON type; `integer` for whole numbers."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    if isinstance(value, float):
        return "integer" if value.is_integer() else "number"
    if isinstance(value, int):
        return "integer"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def part(schema: Mapping[str, Any], name: str) -> Any:
    """The schema of one field of the payload, looked for behind references and `allOf` too; True takes everything."""
    return _property(schema, name, schema, LONGEST_CHAIN)


def fields(schema: Mapping[str, Any]) -> list[str]:
    """Names of the payload's declared fields, in their order."""
    return list(dict.fromkeys(_names(schema, schema, LONGEST_CHAIN)))


def _names(schema: Any, root: Mapping[str, Any], left: int) -> Iterator[str]:
    for each in _layers(schema, root, left):
        properties = each.get("properties")
        yield from properties if isinstance(properties, Mapping) else ()


def _property(schema: Any, name: str, root: Mapping[str, Any], left: int) -> Any:
    for each in _layers(schema, root, left):
        properties = each.get("properties")
        if isinstance(properties, Mapping) and name in properties:
            return properties[name]
    return True


def _layers(schema: Any, root: Mapping[str, Any], left: int) -> Iterator[Mapping[str, Any]]:
    """A schema and what lies over it: its reference and the parts of `allOf`, `anyOf` and `oneOf`."""
    if not isinstance(schema, Mapping) or left <= 0:
        return
    yield schema
    if isinstance(schema.get("$ref"), str):
        yield from _layers(_target(schema["$ref"], root), root, left - 1)
    for word in ("allOf", "anyOf", "oneOf"):
        for each in schema.get(word) or ():
            yield from _layers(each, root, left - 1)


def _kinds(schema: Any, root: Mapping[str, Any], left: int) -> frozenset[str]:
    if schema is False:
        return frozenset()
    if not isinstance(schema, Mapping) or left <= 0:
        return KINDS
    found = KINDS
    if "type" in schema:
        wanted = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        found &= frozenset({*wanted, *(("integer",) if "number" in wanted else ())})
    if isinstance(schema.get("enum"), list):
        found &= frozenset(map(kind_of_value, schema["enum"]))
    if "const" in schema:
        found &= {kind_of_value(schema["const"])}
    if isinstance(schema.get("$ref"), str):
        found &= _kinds(_target(schema["$ref"], root), root, left - 1)
    for each in schema.get("allOf") or ():
        found &= _kinds(each, root, left - 1)
    for word in ("anyOf", "oneOf"):
        if schema.get(word):
            found &= frozenset().union(*(_kinds(each, root, left - 1) for each in schema[word]))
    return found


def _target(reference: str, root: Mapping[str, Any]) -> Any:
    """The target of a reference inside the schema (RFC 6901, as a fragment); True when that is not known here."""
    if not reference.startswith("#"):
        return True
    found: Any = root
    for level in reference[1:].split("/")[1:]:
        key = level.replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping) and key in found:
            found = found[key]
        elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
            found = found[int(key)]
        else:
            return True
    return found


def _faults(schema: Any, root: Mapping[str, Any], place: str, *, needed: bool = True) -> Iterator[str]:
    """Parts that no value fits or reaches, and parts that are never checked; every payload must fit the `needed` ones."""
    if schema is False and needed:
        yield f"{place or 'the schema'} permits nothing"
    if not isinstance(schema, Mapping):
        return
    at = f"{place}: " if place else ""
    if isinstance(reference := schema.get("$ref"), str) and (why := _unresolved(reference, root)):
        yield f"{at}'{reference[:100]}' {why}"
        return
    name = schema.get("format")
    if isinstance(name, str) and name not in FORMATS:
        yield f"{at}nothing checks the format '{name[:40]}'; known are {', '.join(FORMATS)}"
    for pattern in (schema.get("pattern"), *(schema.get("patternProperties") or {})):
        if isinstance(pattern, str) and (why := _no_pattern(pattern)):
            yield f"{at}the pattern '{pattern[:60]}' is not of Python's dialect: {why}"
    yield from (at + text for text in _empty(schema, root))
    yield from (at + text for text in _forbidden(schema))
    yield from _inside(schema, root, place)


def _inside(schema: Mapping[str, Any], root: Mapping[str, Any], place: str) -> Iterator[str]:
    required = set(schema.get("required") or ())
    for word in ("properties", "$defs", "definitions", "patternProperties"):
        parts = schema.get(word)
        for key, each in parts.items() if isinstance(parts, Mapping) else ():
            below = f"{place}.{key}" if place else str(key)
            yield from _faults(each, root, below, needed=word == "properties" and key in required)
    for word in ("allOf", "anyOf", "oneOf", "prefixItems", "items"):
        parts = schema.get(word)
        for each in parts if isinstance(parts, list) else ():
            yield from _faults(each, root, f"{place}.{word}".lstrip("."), needed=word == "allOf")
    for word in ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"):
        yield from _faults(schema.get(word), root, f"{place}.{word}".lstrip("."), needed=False)


def _empty(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Iterator[str]:
    """Bounds that leave nothing between them, and values that are of no permitted type."""
    kinds = _kinds(schema, root, LONGEST_CHAIN)
    layers = list(_together(schema, root, LONGEST_CHAIN))
    if not kinds:
        yield "its types leave no value"
    elif any(layer.get("not") is True or layer.get("not") == {} for layer in layers):
        yield "'not' forbids every value"
    elif why := nothing_between(layers, kinds, exact=_decimal):
        yield why
    elif _endless(schema, root):
        yield "it must hold itself again, without end"
    for word in ("const", "enum"):
        if word in schema and (isinstance(values := schema[word], list) or word == "const"):
            plain = {key: value for key, value in schema.items() if key not in (*_JOINED, word)}
            if all(problem(plain, value) for value in (values if word == "enum" else [values])) and kinds:
                yield "none of the values of its enum fits" if word == "enum" else "its const does not fit"
    for word in ("anyOf", "oneOf"):
        if isinstance(parts := schema.get(word), list) and parts and all(_none(each, root) for each in parts) and kinds:
            yield f"no part of its {word} can be fitted"
    if kinds == {"object"} or "required" in schema:
        yield from wrong_names(layers, problem)


_JOINED = ("$ref", "allOf", "anyOf", "oneOf")


def _none(schema: Any, root: Mapping[str, Any]) -> bool:
    """True for a branch of one kind of value whose own bounds leave nothing."""
    kinds = _kinds(schema, root, LONGEST_CHAIN)
    layers = list(_together(schema, root, LONGEST_CHAIN))
    return len(kinds - {"integer"}) <= 1 and bool(layers and nothing_between(layers, kinds, exact=_decimal))


def _together(schema: Any, root: Mapping[str, Any], left: int) -> Iterator[Mapping[str, Any]]:
    """A schema and everything that a value must fit besides: its reference and the parts of its `allOf`."""
    if not isinstance(schema, Mapping) or left <= 0:
        return
    yield schema
    if isinstance(schema.get("$ref"), str):
        yield from _together(_target(schema["$ref"], root), root, left - 1)
    for each in schema.get("allOf") or ():
        yield from _together(each, root, left - 1)


def _endless(schema: Any, root: Mapping[str, Any], above: tuple[int, ...] = ()) -> bool:
    """True when every value of a schema must hold another one of the same schema."""
    if not isinstance(schema, Mapping) or len(above) > LONGEST_CHAIN:
        return False
    if id(schema) in above:
        return True
    inner = (*above, id(schema))
    for layer in _together(schema, root, LONGEST_CHAIN):
        if id(layer) in above:
            return True
        if _kinds(layer, root, LONGEST_CHAIN) != {"object"}:
            continue
        properties = layer.get("properties") or {}
        for name in layer.get("required") or ():
            if _endless(properties.get(name), root, (*inner, id(layer))):
                return True
    return False


def _forbidden(schema: Mapping[str, Any]) -> Iterator[str]:
    if schema.get("additionalProperties") is not False or "$ref" in schema:
        return
    known, patterns = schema.get("properties") or {}, schema.get("patternProperties") or {}
    for name in schema.get("required") or ():
        if name not in known and not any(re.search(each, name) for each in patterns if not _no_pattern(each)):
            yield f"'{name}' is required, and additionalProperties: false forbids it"


def _unresolved(reference: str, root: Mapping[str, Any]) -> str:
    import referencing  # noqa: PLC0415 - jsonschema: only for sites with messages
    import referencing.jsonschema  # noqa: PLC0415 - jsonschema: only for sites with messages

    resource: Any = referencing.Resource.from_contents(root, default_specification=referencing.jsonschema.DRAFT7)
    try:
        resolver = referencing.Registry().with_resource("", resource).resolver("")
        resolver.lookup(reference)
    except referencing.exceptions.Unresolvable:
        return "points at nothing" if reference.startswith("#") else "points outside, and nothing is fetched"
    return ""


def _no_pattern(pattern: str) -> str:
    try:
        re.compile(pattern)
    except (re.error, RecursionError) as error:
        return str(error)
    return ""


def _validator(schema: Mapping[str, Any]) -> Any:
    import jsonschema  # noqa: PLC0415 - jsonschema: only for sites with messages

    return _extended(jsonschema.validators.validator_for(schema, default=jsonschema.Draft7Validator))


@lru_cache(maxsize=16)
def _extended(kind: Any) -> Any:
    """A draft's validator with formats that are checked and multiples that are decimal."""
    import jsonschema  # noqa: PLC0415 - jsonschema: only for sites with messages

    def multiple(_: Any, of: Any, value: Any, __: Any) -> Iterator[Any]:
        if is_number(value) and not _is_multiple(value, of):
            yield jsonschema.ValidationError(f"{value!r} is not a multiple of {of}")

    def formatted(_: Any, name: Any, value: Any, __: Any) -> Iterator[Any]:
        if isinstance(name, str) and not fits_format(name, value):
            yield jsonschema.ValidationError(f"{value!r} is not a '{name}'")

    return jsonschema.validators.extend(kind, {"multipleOf": multiple, "format": formatted})


def _is_multiple(value: int | float, of: int | float) -> bool:
    """As the decimals that are written, not as the binary numbers next to them: 0.3 is a multiple of 0.1."""
    try:
        return (_decimal(value) / _decimal(of)).denominator == 1
    except (InvalidOperation, OverflowError, ValueError, ZeroDivisionError):
        return False


def _decimal(number: int | float) -> Fraction:
    return Fraction(number) if isinstance(number, int) else Fraction(Decimal(repr(number)))


def _at(error: Any) -> str:
    place = ".".join(str(part) for part in error.path)
    return f"{place}: {error.message}" if place else str(error.message)
