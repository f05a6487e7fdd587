"""Free JSON: what a protocol, a person's schema or a later version decides, and this program only passes on; and documents
of which a part may be unreadable.

What has a shape is a Struct, a NamedTuple or a TypedDict; these names are for the rest. A reader looks at a member's type
before it uses it.

See docs/decisions/0058.
"""

from __future__ import annotations

from typing import Any, TypeAlias, TypeGuard, TypeVar

import msgspec

JsonValue: TypeAlias = bool | int | float | str | list[Any] | dict[str, Any] | None
"""Any JSON value: integers of 64 bits, floats that are finite."""

JsonObject: TypeAlias = dict[str, Any]
"""A JSON object with members that are not known here."""

S = TypeVar("S", bound=msgspec.Struct)


def is_number(value: object) -> TypeGuard[int | float]:
    """True for an integer or a float. JSON's true and false are not numbers, although Python counts them as integers."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def read_fields(document: object, kind: type[S]) -> S:
    """A document with what fits its Struct: a member of another type is left out, and so is one entry of a list or object.

    For documents of other versions and for rows on record: one member that can't be read costs itself alone.

    Args:
        document: JSON values, as decoded.
        kind: Its Struct; every field that may be missing has a default.

    Raises:
        msgspec.ValidationError: A field without a default is missing, or can't be read.
    """
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError:
        if not isinstance(document, dict):
            return msgspec.convert({}, kind)
    found: dict[str, object] = {}
    for field in msgspec.structs.fields(kind):
        name = field.encode_name
        if name in document:
            value = _fitting(document[name], field.type)
            if value is not msgspec.UNSET:
                found[name] = value
    return msgspec.convert(found, kind)


def _fitting(value: object, kind: Any) -> object:
    """The value as it is, or with the entries that fit; UNSET when nothing of it does."""
    if _fits(value, kind):
        return value
    some: object = msgspec.UNSET
    if isinstance(value, dict):
        some = {name: one for name, one in value.items() if _fits({name: one}, kind)}
    elif isinstance(value, list):
        some = [one for one in value if _fits([one], kind)]
    return some if _fits(some, kind) else msgspec.UNSET


def _fits(value: object, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True
