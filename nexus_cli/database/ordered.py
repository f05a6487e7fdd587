"""Documents in jsonb whose keys keep the order in which a person declared them.

PostgreSQL sorts the keys of an object in jsonb, by length and then by bytes. Where people chose an order (parameters of a
sequence, fields and payload of a message) it is kept in the document, as its key `$order`: the keys of each such
object by its JSON pointer. Only these two functions see it.

Source: PostgreSQL 15, 8.14; RFC 6901 for the pointers.

See docs/decisions/0049.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from nexus_cli.json_value import JsonObject

ORDER = "$order"
Places = tuple[tuple[str, ...], ...]
"""Ways to objects from the root: keys, `*` for any key or place in a list, a last `**` for whatever lies below as well."""
RESOURCE: Places = (
    ("parameters",),
    ("steps", "*", "fields", "**"),
    ("on_abort", "*", "fields", "**"),
    ("schema", "**"),
    ("payload", "**"),
)
"""Of recorded sequences and messages. A device has none of these keys."""
RUN: Places = (*RESOURCE, ("arguments",))
PLAN: Places = tuple((part, "*", *way) for part in ("changed", "before") for way in RESOURCE)
TRAIL: Places = (("set",),)


def to_jsonb(document: Mapping[str, Any], places: Places, *, default: Callable[[Any], Any] | None = None) -> str:
    """JSON text for a column; a document that jsonb sorts as it is has nothing added.

    Args:
        document: JSON values.
        places: Where the order of keys counts.
        default: Makes a JSON value of what is none.
    """
    order = {
        pointer: list(found)
        for way in places
        for pointer, found in _objects(document, way, "")
        if list(found) != sorted(found, key=_rank)
    }
    return orjson.dumps({**document, ORDER: order} if order else dict(document), default=default).decode()


def from_jsonb(text: str) -> JsonObject:
    """The document of a column, in its order; one that was written without any is as jsonb sorts it."""
    document: JsonObject = orjson.loads(text)
    if not isinstance(document, dict):
        return document  # the reader's decoder refuses it
    order = document.pop(ORDER, {})
    for pointer, keys in order.items() if isinstance(order, dict) else ():
        found = _at(document, pointer)
        if isinstance(found, dict) and isinstance(keys, list):
            there = {key: found.pop(key) for key in keys if isinstance(key, str) and key in found}
            rest = dict(found)
            found.clear()
            found.update(there | rest)
    return document


def _rank(key: str) -> tuple[int, bytes]:
    raw = key.encode(errors="surrogatepass")
    return len(raw), raw


def _objects(value: Any, way: tuple[str, ...], pointer: str) -> Iterator[tuple[str, JsonObject]]:
    if not way:
        if isinstance(value, dict):
            yield pointer, value
        return
    first, *rest = way
    if first == "**":
        if isinstance(value, dict):
            yield pointer, value
        for key, inner in _members(value):
            yield from _objects(inner, way, f"{pointer}/{_escaped(key)}")
        return
    if first != "*":
        if isinstance(value, Mapping) and first in value:
            yield from _objects(value[first], tuple(rest), f"{pointer}/{_escaped(first)}")
        return
    for key, inner in _members(value):
        yield from _objects(inner, tuple(rest), f"{pointer}/{_escaped(key)}")


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, list):
        yield from ((str(number), inner) for number, inner in enumerate(value))


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _at(document: Any, pointer: str) -> Any:
    found = document
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict):
            found = found.get(key)
        elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
            found = found[int(key)]
        else:
            return None
    return found
