"""Candidates of `nexus probe`: values to JSON and text, pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nexus_cli.discover.probe import Candidate
from nexus_cli.project.probe import Second
from nexus_cli.source.document import flow


def document(found: Sequence[Candidate], *, expected: float, second: Second | None = None) -> dict[str, Any]:
    """The JSON form, the likeliest first."""
    opinion = (
        {"client": second.client, "registers": second.registers, "differ": second.differ, "unable": second.unable}
        if second
        else None
    )
    return {
        **({"second_opinion": opinion} if opinion else {}),
        "expected": expected,
        "candidates": [
            {"tag": one.keys, "value": one.value, "distance": one.distance, "error": one.error} for one in found
        ],
    }


def text(result: Mapping[str, Any], *, most: int) -> str:
    """A table whose last column can be pasted as a tag."""
    shown = result["candidates"][:most]
    rows = [("VALUE", "OFF BY", "REGISTERS AWAY", "TAG")]
    rows += [(f"{one['value']:.6g}", f"{one['error']:.3g}", str(one["distance"]), flow(one["tag"])) for one in shown]
    widths = [max(len(row[place]) for row in rows) for place in range(3)]
    lines = ["  ".join([*(row[place].ljust(widths[place]) for place in range(3)), row[3]]) for row in rows]
    if len(result["candidates"]) > most:
        lines.append(f"… and {len(result['candidates']) - most} less likely ones (--most)")
    return "\n".join(lines)


def compared(result: Mapping[str, Any]) -> str:
    """The result of the second client."""
    second = result["second_opinion"]
    count, client = second["registers"], second["client"]
    if second["unable"]:
        return f"no second opinion: the library can't ask this: {second['unable']}"
    if not count:
        return f"{client} read none of these registers"
    if not second["differ"]:
        return f"{client} read the same bytes in {count} register{'s' if count != 1 else ''}"
    return "\n".join(
        [f"{client} read other bytes in {len(second['differ'])} of {count}; a value that moves is read twice:"]
        + [f"  {line}" for line in second["differ"][:20]]
    )
