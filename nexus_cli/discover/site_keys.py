"""Keys of a site file as discovery and the importers write them. Types alone, without code."""

from __future__ import annotations

from typing import TypeAlias, TypedDict

from nexus_cli.json_value import JsonObject

ConnectionKeys: TypeAlias = JsonObject
"""Keys of `connection:`, as they would be written. Which ones exist is up to the driver's own model
(`DriverKind.connection`), which reads them; a gateway's answer, an address and a person may add any."""


class HeadKeys(TypedDict, total=False):
    """Keys of a device before its tags."""

    protocol: str
    connection: ConnectionKeys
    mode: str
    poll: str
    topics: list[str]


class TagKeys(TypedDict, total=False):
    """Keys of one tag. A key whose value is None is left out when the tag is taken.

    Only keys that some format or device knows are here; `writable` never is, because that is a person's decision.
    Durations are texts with their unit (`500ms`).
    """

    address: str
    node: str
    symbol: str
    index: str
    type: str
    raw_type: str
    scale_from: str
    order: str | None
    layout: str | None
    bit: int | None
    byte: str | None
    unit_id: int | None
    unit: str | None
    scale: float | None
    offset: float | None
    range: list[float] | list[float | None] | None
    values: dict[int, str] | None
    description: str | None
    labels: dict[str, str] | None
    mode: str | None
    poll: str | None
    sampling: str | None
    queue: int | None
    discard_oldest: bool | None
    trigger: str | None
