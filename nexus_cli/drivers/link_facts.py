"""What a session is opened with: as long as that stays, a link keeps its session, whichever devices come and go.

The gateway decides by it whether to connect again, and the plan predicts with it. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import orjson

SessionFacts = frozenset[tuple[str, bytes]]
"""Connection key and value as JSON."""


def session_facts(connections: Iterable[Mapping[str, Any]], keys: Collection[str]) -> SessionFacts:
    """The values of the keys that belong to a link, of all devices that share it.

    Args:
        connections: `connection` of each device of the link.
        keys: `DriverKind.link_keys` of its protocol.
    """
    return frozenset(
        (key, orjson.dumps(connection.get(key), option=orjson.OPT_SORT_KEYS))
        for connection in connections
        for key in keys
    )
