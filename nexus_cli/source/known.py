"""Keys that the site language knows, at the places where `null` un-sets what is inherited."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """The keys of one protocol's devices. A `null` under any other key stays, so that binding reports the key.

    Attributes:
        device: Of a device.
        connection: Of its connection.
        tag: Of a tag.
        calculated: Of a calculated tag.
    """

    device: frozenset[str]
    connection: frozenset[str]
    tag: frozenset[str]
    calculated: frozenset[str]
