"""Reads of a session of any driver: all requests, or one that fails."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from nexus_cli.drivers.base import DriverError, Fault, Request, Session
from nexus_cli.wire.sample import Value


async def read_all(session: Session, requests: Iterable[Request]) -> tuple[dict[str, Value], dict[str, Fault]]:
    """Read them in order; gives values of all tags and faults of some, by tag."""
    values: dict[str, Value] = {}
    faults: dict[str, Fault] = {}
    for request in requests:
        result = await session.read(request)
        for place, point in enumerate(request.points):
            values[point.name] = result.values[place]
            if place in result.faults:
                faults[point.name] = result.faults[place]
    return values, faults


async def fails(session: Session, request: Request) -> DriverError:
    """Read, and give the error that it raises."""
    with pytest.raises(DriverError) as caught:
        await session.read(request)
    return caught.value
