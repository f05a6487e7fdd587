"""Areas, lines and devices as spans of the sorted tags."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nexus_cli.search.declared import DeclaredDevice

KINDS = ("area", "line", "device")
"""By the number of levels in the path, less one."""


@dataclass(slots=True)
class Span:
    """A place above tags: those from `first` to before `last`; its children are places by path."""

    path: str
    kind: str
    first: int
    last: int
    children: list[str]


def spans_of(devices: Iterable[DeclaredDevice], *, tags: int) -> dict[str, Span]:
    """Every place above the tags, by path; "" is the site. Devices are in path order, so each place is one span."""
    spans = {"": Span("", "site", 0, tags, [])}
    for device in devices:
        levels = device.path.split("/")
        above = ""
        for depth in range(1, len(levels) + 1):
            here = "/".join(levels[:depth])
            span = spans.get(here)
            if span is None:
                span = spans[here] = Span(here, KINDS[min(depth, 3) - 1], device.first, device.last, [])
                spans[above].children.append(here)
            span.last = max(span.last, device.last)
            above = here
    return spans
