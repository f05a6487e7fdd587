"""The two descriptions of a plan's JSON agree: the types of the program and the schema for others."""

from __future__ import annotations

from typing import Any, NotRequired, get_args, get_origin, get_type_hints, is_typeddict

from nexus_cli.plan.document import PlanDocument
from nexus_cli.plan.document_schema import plan_schema


def compare(entry: Any, schema: dict[str, Any], place: str) -> int:
    """Assert that keys, optional keys and what is nested are the same; gives how many objects were compared."""
    hints = get_type_hints(entry, include_extras=True)
    optional = {name for name, hint in hints.items() if get_origin(hint) is NotRequired}
    assert list(hints) != [] and set(hints) == set(schema["properties"]), place
    # Older versions of the schema let these be missing; this version always writes them.
    assert optional <= set(schema["properties"]) - set(schema["required"]), place
    compared = 1
    for name, hint in hints.items():
        inner = get_args(hint)[0] if get_origin(hint) is NotRequired else hint
        below = schema["properties"][name]
        if get_origin(inner) is list:
            inner, below = get_args(inner)[0], below.get("items", {})
        if is_typeddict(inner) and "properties" in below:
            compared += compare(inner, below, f"{place}.{name}")
    return compared


def test_types_and_schema_name_the_same_keys() -> None:
    assert compare(PlanDocument, plan_schema(), "plan") == 36
