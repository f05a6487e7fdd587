"""Candidates of `nexus probe`: values to JSON and text, pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nexus_cli.discover.probe import Candidate


def document(found: Sequence[Candidate], *, expected: float) -> dict[str, Any]:
    """The JSON form, the likeliest first."""
    return {
        "expected": expected,
        "candidates": [
            {"tag": one.keys, "value": one.value, "distance": one.distance, "error": one.error} for one in found
        ],
    }


def text(result: Mapping[str, Any], *, most: int) -> str:
    """A table whose last column can be pasted as a tag."""
    from nexus_cli.source.document import flow

    shown = result["candidates"][:most]
    rows = [("VALUE", "OFF BY", "REGISTERS AWAY", "TAG")]
    rows += [(f"{one['value']:.6g}", f"{one['error']:.3g}", str(one["distance"]), flow(one["tag"])) for one in shown]
    widths = [max(len(row[place]) for row in rows) for place in range(3)]
    lines = ["  ".join([*(row[place].ljust(widths[place]) for place in range(3)), row[3]]) for row in rows]
    if len(result["candidates"]) > most:
        lines.append(f"… and {len(result['candidates']) - most} less likely ones (--most)")
    return "\n".join(lines)
