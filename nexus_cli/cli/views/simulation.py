"""A running simulation: value to text and JSON, pure."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

from nexus_cli.diagnostics.wording import counted
from nexus_cli.project.simulate import Simulation

ROWS = 40
"""Links shown in text; a plant has hundreds."""


class LinkDocument(TypedDict):
    """One link that is served; `moved` when not at its own address."""

    link: str
    protocol: str
    endpoint: str
    moved: bool
    devices: list[str]
    tags: int


class SimulationDocument(TypedDict):
    """The JSON form: links by id, skipped devices by reason, the overlay's file or ""."""

    links: list[LinkDocument]
    skipped: dict[str, list[str]]
    overlay: str


def document(simulation: Simulation, *, overlay: str) -> SimulationDocument:
    """The JSON form."""
    return {
        "links": [
            {
                "link": served.link,
                "protocol": served.protocol,
                "endpoint": served.endpoint,
                "moved": served.moved,
                "devices": list(served.devices),
                "tags": served.tags,
            }
            for served in simulation.links
        ],
        "skipped": {reason: list(paths) for reason, paths in simulation.skipped.items()},
        "overlay": overlay,
    }


def text(result: SimulationDocument) -> str:
    """A table of the links, what was left out, and how to use it."""
    links = result["links"]
    lines: list[str] = []
    if links:
        rows = [("PROTOCOL", "ENDPOINT", "DEVICES", "TAGS", "LINK")]
        rows += [
            (link["protocol"], link["endpoint"], str(len(link["devices"])), str(link["tags"]), _link(link))
            for link in links[:ROWS]
        ]
        widths = [max(len(row[place]) for row in rows) for place in range(4)]
        lines += [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)) + "  " + row[4]
            for row in rows
        ]
        if len(links) > ROWS:
            lines.append(f"… and {len(links) - ROWS} links more")
    devices, tags = sum(len(link["devices"]) for link in links), sum(link["tags"] for link in links)
    lines.append(f"{counted(len(links), 'link')}, {counted(devices, 'device')}, {counted(tags, 'tag')} served")
    for reason, paths in result["skipped"].items():
        more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
        lines.append(f"not served, {reason}: {', '.join(paths[:3])}{more}")
    if result["overlay"]:
        lines.append(
            f"connections that lead here: {result['overlay']} (apply with --env {Path(result['overlay']).stem})"
        )
    elif any(link["moved"] for link in links):
        lines.append("some links are served at another address: the port is in use, or the host is not this machine")
        lines.append(
            "to use these addresses: nexus sim SITE --overlay SITE/env/sim.yaml, then nexus apply SITE --env sim"
        )
    return "\n".join(lines)


def _link(link: LinkDocument) -> str:
    return f"instead of {link['link']}" if link["moved"] else str(link["link"])
