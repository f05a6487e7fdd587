"""Grouping of protocols that read many points at once, wherever they lie: in order, in pieces of a limit. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from nexus_cli.drivers.base import Point, Request

T = TypeVar("T")


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Cut into pieces of at most `size`, in order; `size` below 1 counts as 1."""
    step = max(1, size)
    for start in range(0, len(items), step):
        yield items[start : start + step]


def group_in_order(
    device: str, points: Sequence[Point], *, size: int, plan: Callable[[tuple[Point, ...]], Any], text: str, noun: str
) -> tuple[Request, ...]:
    """Requests of at most `size` points each.

    Args:
        device: Device path.
        points: In the order in which they are read.
        size: Most points a request.
        plan: Makes the driver's detail of a request.
        text: Name of the service, for people.
        noun: The protocol's name of a point, in the singular.
    """
    return tuple(
        Request(
            device, piece, plan(piece), f"{text} {len(piece)} {noun}{'s' if len(piece) > 1 else ''}: {_span(piece)}"
        )
        for piece in map(tuple, chunks(points, size))
    )


def _span(points: Sequence[Point]) -> str:
    first = points[0].address
    return first if len(points) == 1 else f"{first} … {points[-1].address}"
