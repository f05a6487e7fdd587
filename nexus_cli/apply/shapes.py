"""The attributes of every kind of resource but devices, as control accepts them. Unknown keys pass: they are not used."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from nexus_cli.model.procedure_config import MessageConfig, SequenceConfig

LONGEST_MS = 2**53
Positive = Annotated[int, msgspec.Meta(gt=0, lt=LONGEST_MS)]
NotNegative = Annotated[int, msgspec.Meta(ge=0, lt=LONGEST_MS)]
Path = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class _Site(msgspec.Struct, frozen=True):
    enterprise: str
    site: str


class _Gateway(msgspec.Struct, frozen=True):
    select: list[str] = []


class _Retention(msgspec.Struct, frozen=True):
    keep_ms: Positive
    compress_after_ms: Positive | None = None
    rollups: list[str] = []


class _Role(msgspec.Struct, frozen=True):
    read: list[Path] = []
    write: list[Path] = []
    publish: list[Path] = []
    subscribe: list[Path] = []
    run: list[Path] = []
    acknowledge: list[Path] = []
    alerts: list[Path] = []


class _User(msgspec.Struct, frozen=True):
    roles: list[Path] = []
    role: str | None = None


class _Alert(msgspec.Struct, frozen=True):
    tag: Path
    above: float | None = None
    below: float | None = None
    equals: bool | int | float | str | None = None
    clear_below: float | None = None
    clear_above: float | None = None
    for_ms: NotNegative = 0
    on_bad: str = "hold"
    severity: str = "warning"
    description: str = ""
    instant: bool = False


_SHAPES: dict[str, Any] = {
    "site": _Site,
    "gateway": _Gateway,
    "retention": _Retention,
    "role": _Role,
    "user": _User,
    "alert": _Alert,
    "sequence": SequenceConfig,
    "message": MessageConfig,
}
KINDS = tuple(name for name in _SHAPES if name != "site")
"""Kinds of resources that have a name, devices apart."""


def problem_of(kind: str, attributes: dict[str, Any]) -> str:
    """What is wrong with the attributes of a resource; "" when nothing is."""
    try:
        msgspec.convert(attributes, _SHAPES[kind])
    except (msgspec.ValidationError, RecursionError) as error:
        return str(error)
    return ""
