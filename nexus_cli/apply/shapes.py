"""Whether the attributes of a resource are of its kind, as control accepts them. Unknown keys pass: they are not used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from nexus_cli.model.resources import CONFIG_OF, decode

KINDS = tuple(name for name in CONFIG_OF if name not in ("site", "device"))
"""Kinds of resources that have a name, devices apart."""


def problem_of(kind: str, attributes: Mapping[str, Any]) -> str:
    """The fault of a resource's attributes; "" when they are valid."""
    try:
        decode(attributes, CONFIG_OF[kind])
    except (msgspec.ValidationError, RecursionError) as error:
        return str(error)
    return ""
