"""Free JSON: what a protocol, a person's schema or a later version decides, and this program only passes on.

What has a shape is a Struct, a NamedTuple or a TypedDict; these names are for the rest. A reader looks at a member's type
before it uses it.
"""

from __future__ import annotations

from typing import Any, TypeAlias

JsonValue: TypeAlias = bool | int | float | str | list[Any] | dict[str, Any] | None
"""Any JSON value: integers of 64 bits, floats that are finite."""

JsonObject: TypeAlias = dict[str, Any]
"""A JSON object with members that are not known here."""
