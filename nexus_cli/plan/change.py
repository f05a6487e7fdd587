"""One difference between what is recorded and what is declared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Attributes = Mapping[str, Any]


class Action(StrEnum):
    """The action on a resource or a tag."""

    CREATE = "create"
    UPDATE = "update"
    MOVE = "move"
    FORGET = "forget"


MARKS: dict[str, str] = {Action.CREATE: "+", Action.UPDATE: "~", Action.MOVE: "->", Action.FORGET: "-"}
"""How an action is written in front of an address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TagChange:
    """One tag of a changed device.

    Attributes:
        path: `area/line/device/tag`, the old one when it is forgotten.
        before, after: Attributes of the tag; None where there is none.
        previous_path: Where the tag was, when it moved.
        keys: Attributes that differ, sorted.
    """

    action: Action
    path: str
    before: Attributes | None = None
    after: Attributes | None = None
    previous_path: str | None = None
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One resource that differs.

    Attributes:
        address: As in the snapshot, e.g. `device.packaging/line-1/filler`.
        before, after: Whole attributes; None where there is none.
        previous_address: Where the device was, when it moved.
        keys: Attributes that differ, sorted; without `tags`, which has a field of its own.
        tags: For devices, every tag that differs, in path order; those that moved away are listed at their new device.
    """

    action: Action
    address: str
    before: Attributes | None = None
    after: Attributes | None = None
    previous_address: str | None = None
    keys: tuple[str, ...] = ()
    tags: tuple[TagChange, ...] = ()

    @property
    def type(self) -> str:
        """Kind of resource: `device`, `role`, `retention`, …"""
        return self.address.partition(".")[0]

    @property
    def name(self) -> str:
        """Address without its kind; the path of a device."""
        return self.address.partition(".")[2] or self.address

    @property
    def previous_name(self) -> str:
        """The name before a move, else the name."""
        return self.previous_address.partition(".")[2] if self.previous_address else self.name


def where_of(address: str) -> tuple[str, ...]:
    """The place of a device's address in the model."""
    area, line, device = address.partition(".")[2].split("/")
    return ("areas", area, "lines", line, "devices", device)


def series_type(tag: Attributes) -> str:
    """Type of the stored value."""
    return str(tag.get("published_type") or tag.get("type") or "")


def series_unit(tag: Attributes) -> str:
    """Unit of the stored value; "" is none."""
    return str(tag.get("publish_unit") or tag.get("unit") or "")


def stays_retained(tag: Attributes | None) -> bool:
    """Whether the broker keeps the newest value of a tag: it is published on its topic, and retained."""
    return tag is not None and bool(tag.get("live_publish", True) and tag.get("live_retain", True))


def retained_before(change: Change) -> frozenset[str]:
    """Paths of a device's tags whose newest value the broker keeps before a change, those included that come from others."""
    before = change.before or {}
    ours: Mapping[str, Attributes] = {} if before.get("protocol") == "external" else before.get("tags") or {}
    here = {f"{change.previous_name}/{name}" for name, tag in ours.items() if stays_retained(tag)}
    return frozenset(
        here.union(tag.previous_path for tag in change.tags if tag.previous_path and stays_retained(tag.before))
    )


def differing_keys(before: Attributes, after: Attributes, *, without: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Keys whose values differ, sorted."""
    return tuple(
        sorted(key for key in {*before, *after} - without if before.get(key, _ABSENT) != after.get(key, _ABSENT))
    )


def altered_keys(before: Attributes | None, after: Attributes | None) -> tuple[str, ...]:
    """The same of two maps that a text wrote, where a key without a value is one that is not there."""
    old, new = before or {}, after or {}
    return tuple(sorted(key for key in {*old, *new} if old.get(key) != new.get(key)))


_ABSENT = object()
