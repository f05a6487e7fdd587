"""One way to browse for everyone: what the protocols' walks differ in is decided here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from nexus_cli.drivers.base import Browsed


def walk(
    protocol: str,
    session: Any,
    *,
    start: str = "",
    device: str = "",
    depth: int = 0,
    properties: bool = False,
    parallel: int = 1,
    resume: Mapping[str, Any] | None = None,
    given: bool = False,
) -> AsyncIterator[Browsed]:
    """Browse an open session.

    Args:
        protocol: Of the session.
        session: See `drivers.base.Session`.
        start: Where to begin, in the protocol's spelling.
        device: Path of the device meant, where several share the link.
        depth: Most levels, 0 for all.
        properties: OPC UA: take properties too.
        parallel: OPC UA: calls under way at once.
        resume: OPC UA: where an earlier walk ended.
        given: OPC UA: look only at what `resume` has waiting, and no further.

    Raises:
        DriverError: While it is iterated.
    """
    found: AsyncIterator[Browsed]
    if protocol == "opcua":
        from nexus_cli.drivers.opcua.browse import BrowseLimits

        limits = BrowseLimits(depth=depth, properties=properties, parallel=parallel, given=given)
        found = session.browse(start=start, limits=limits, resume=resume)
    elif protocol in ("modbus", "ads"):
        found = session.browse(start=start, device=device)
    else:
        found = session.browse(start=start)
    return found
