"""Shapes of what a driver's walk reports beside a value, and of where it ended. Types alone, without code.

They travel as JSON: to a gateway's client and into the journal of a walk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

from nexus_cli.json_value import JsonObject


class BrowseDetail(TypedDict, total=False):
    """`Browsed.detail`: what is known beside address and type.

    Of a value:
        keys: Further keys of the tag.
        values: Labels by code.
        range: Lowest and highest value.
        unit_name: Unit, where no UCUM code is known.
        data_type: OPC UA: node id of the data type.
        property: OPC UA: a property that describes no other value.
        structure: OPC UA: the value is a structure.
        skipped: Why it can't become a tag.
        unseen: With `skipped`: what is below it was not looked at.
    Of an object:
        object: What it was recognised as.
    Of the device:
        facts: Identity and counts.
    Of the walk:
        beat: A sign of life, with no value.
        done: Nodes that were looked at since the last beat.
        queued: Entries that were found and wait.
        waiting: What the walk waits for, "" when it continues.
    """

    keys: JsonObject
    values: dict[int, str]
    range: list[float]
    unit_name: str
    data_type: str
    property: bool
    structure: bool
    skipped: str
    unseen: bool
    object: str
    facts: JsonObject
    beat: bool
    done: int
    queued: Sequence[Sequence[Any]]
    waiting: str


class WalkState(TypedDict, total=False):
    """Where an earlier walk ended; empty for a walk from the start.

    queue: Entries that wait, `[node, path, is a variable, is a property]`, in order.
    seen: Every node id that was met.
    """

    queue: Sequence[Sequence[Any]]
    seen: Sequence[str]


def restored(detail: JsonObject) -> BrowseDetail:
    """A detail that was JSON: the codes of enumerations are numbers again."""
    found = detail
    for part in (found, found.get("keys", {})):
        if isinstance(part.get("values"), dict):
            part["values"] = {int(code): label for code, label in part["values"].items()}
    return found  # type: ignore[return-value]
