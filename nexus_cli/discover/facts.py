"""Facts about a source beside its tags: identity, counts, how a walk ended. Types only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from nexus_cli.discover.site_keys import ConnectionKeys, HeadKeys


class UnitFound(TypedDict):
    """A Modbus unit that answered."""

    unit: int
    identity: Mapping[str, str]
    sunspec: bool


class BlockFound(TypedDict, total=False):
    """An S7 data block; length in bytes."""

    block: str
    length: int
    name: str
    protected: bool


class SunspecFound(TypedDict):
    """Where SunSpec models begin, and their numbers in order."""

    base: int
    models: list[int]


class _Walk(TypedDict, total=False):
    """Of a walk on a device.

    target: Its address, without secrets.
    complete: False when a filter, a limit or an interruption left a part unseen.
    ended: Why it ended early, "" when it did not.
    seconds: How long it took, in seconds.
    per_s: Values per second.
    resumed: Values of an earlier run.
    noted: Whether the same command resumes from there.
    unseen: Nodes that could not be looked at.
    present: Addresses that exist and do not become tags.
    recognised: Names of instances by companion specification and type.
    notes: Sentences for people.
    """

    target: str
    complete: bool
    ended: str
    seconds: float
    per_s: float
    resumed: int
    noted: bool
    unseen: int
    present: list[str]
    recognised: dict[str, list[str]]
    notes: list[str]


class _Device(TypedDict, total=False):
    """Of a device.

    identity: What it says of itself, by the protocol's own names.
    namespaces: OPC UA: the server's namespace array.
    data_blocks: S7: number, length in bytes and name of each.
    sunspec: Modbus: base register and model numbers.
    """

    identity: dict[str, str]
    namespaces: list[str]
    data_blocks: list[BlockFound]
    sunspec: SunspecFound


class _Bus(TypedDict, total=False):
    """Of a search for Modbus units.

    units: Those that answer, in the order of their ids.
    asked: How many were asked.
    timeout_ms: Longest wait for each, in milliseconds.
    keys: Connection keys that are not the link's.
    """

    units: list[UnitFound]
    asked: int
    timeout_ms: int
    keys: ConnectionKeys


class _Topics(TypedDict, total=False):
    """Of a topic tree.

    topics: How many were seen.
    heads: Keys of devices by their path.
    """

    topics: int
    heads: dict[str, HeadKeys]


_File = TypedDict(
    "_File",
    {
        "in": int,
        "entries": int,
        "values": int,
        "left_out": int,
        "rows": int,
        "mapping": str,
        "style": str,
        "symbols": int,
        "data_types": int,
        "variables": int,
        "of_type_definitions": int,
        "models": list[str],
        "blocks": int,
        "types": int,
        "block_bytes": dict[str, int],
    },
    total=False,
)
"""Of another tool's file: `in` is everything that came in (values and notes), `left_out` the notes; the rest are counts
and names of its format."""


class Facts(_Walk, _Device, _Bus, _Topics, _File, total=False):
    """Everything that may be known; printed as it is by `nexus discover --format json`."""
