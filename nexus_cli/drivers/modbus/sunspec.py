"""SunSpec models laid over registers: which point is where. Pure; the definitions come from `pysunspec2`.

Source: SunSpec Device Information Model Specification V1.1 §5 (model definitions), §6.2 (the "SunS" marker).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

MARKER = b"SunS"
BASES = (40_000, 50_000, 0)
END = 0xFFFF
TYPES = {
    **dict.fromkeys(("uint16", "count", "acc16", "enum16", "bitfield16"), "uint16"),
    **dict.fromkeys(("uint32", "acc32", "enum32", "bitfield32"), "uint32"),
    **dict.fromkeys(("uint64", "acc64"), "uint64"),
    **{name: name for name in ("int16", "int32", "int64", "float32", "float64")},
}
"""Our type by SunSpec's."""
UNITS = {"Pct": "%", "%": "%", "C": "degC", "Secs": "s", "Tms": "ms", "mSecs": "ms", "Degrees": "deg", "DegC": "degC"}
UNITS |= {"WHr": "Wh", "VAHr": "VAh", "VARHr": "varh", "VAr": "var", "Var": "var", "%ARtg": "%", "%WRtg": "%"}
UNITS |= {"ohms": "ohm", "W/m2": "W/m2", "cos()": "", "PF": "", "ClkSec": "s", "YYYYMMDD": "", "%WHRtg": "%"}
NAMELESS = {"pad": "padding", "sunssf": "a scale factor, applied to its values", "count": ""}
MOST_GROUPS = 1_000


@dataclass(frozen=True, slots=True)
class PointAt:
    """One point of a model in a device.

    Attributes:
        path: Group names (with their number when there are several) and the point's name.
        offset: Registers behind the first of the model (its ID).
        size: Registers.
        definition: As in the model's file.
        scale_offset: Offset of its scale factor, None without one.
    """

    path: tuple[str, ...]
    offset: int
    size: int
    definition: Mapping[str, Any]
    scale_offset: int | None = None


@lru_cache(maxsize=1)
def models_folder() -> Path | None:
    """Where `pysunspec2` keeps its models, None when it is not installed."""
    spec = find_spec("sunspec2")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / "models" / "json"


def definition_of(model: int) -> Mapping[str, Any] | None:
    """A model's top group, None when it is not known."""
    folder = models_folder()
    try:
        text = (folder / f"model_{model}.json").read_text(encoding="utf-8") if folder is not None else ""
        group: Mapping[str, Any] = json.loads(text)["group"]
    except (OSError, ValueError, KeyError):
        return None
    return group


def points_of(group: Mapping[str, Any], length: int, word: Callable[[int], int]) -> list[PointAt]:
    """Lay a model over its registers.

    Args:
        group: The model's top group.
        length: Registers of the model, its ID and length included.
        word: The register at an offset, for the counts of repeating groups.

    Returns:
        Every point inside the length, in order.
    """
    found: list[PointAt] = []
    _lay(group, (str(group["name"]),), 0, length, word, found, {}, {})
    return found


def _lay(
    group: Mapping[str, Any],
    path: tuple[str, ...],
    offset: int,
    length: int,
    word: Callable[[int], int],
    found: list[PointAt],
    scales: Mapping[str, int],
    counts: Mapping[str, int],
) -> int:
    """Lay out one group; gives the offset behind it."""
    own, numbers = dict(scales), dict(counts)
    at = offset
    for point in group.get("points", ()):
        if point["type"] == "sunssf":
            own[point["name"]] = at
        elif point["type"] in ("count", "uint16") and at < length:
            numbers[point["name"]] = word(at)
        at += int(point["size"])
    at = offset
    for point in group.get("points", ()):
        size = int(point["size"])
        if at + size <= length:
            scale = point.get("sf")
            found.append(
                PointAt(
                    (*path, str(point["name"])), at, size, point, own.get(scale) if isinstance(scale, str) else None
                )
            )
        at += size
    for inner in group.get("groups", ()):
        for number in _repeats(inner, at, length, numbers):
            name = str(inner["name"]) + (f" {number}" if inner.get("count", 1) != 1 else "")
            before = at
            at = _lay(inner, (*path, name), at, length, word, found, own, numbers)
            if at <= before or at > length:
                break
    return at


def _repeats(group: Mapping[str, Any], at: int, length: int, counts: Mapping[str, int]) -> Iterator[int]:
    count = group.get("count", 1)
    if isinstance(count, str):
        count = counts.get(count, 0)
    elif count == 0:  # as often as the length allows
        size = sum(int(point["size"]) for point in group.get("points", ()))
        count = (length - at) // size if size else 0
    yield from range(1, min(int(count), MOST_GROUPS) + 1)
