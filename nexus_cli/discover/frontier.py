"""The state of a walk through a gateway: which nodes wait, and which it has seen. Pure.

The gateway browses the nodes of a request and keeps nothing; so it can be restarted in the middle of a walk, and a
client can resume days later, with another gateway or with none.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from nexus_cli.drivers.base import Browsed
from nexus_cli.drivers.browse_shapes import WalkState

BATCH = 500
BATCH_BYTES = 40_000
"""Of one request: nodes, and their size as JSON."""
MAX_NODES = 500_000


class Frontier:
    """The nodes of one walk, breadth first.

    Attributes:
        refused: Nodes that were left out, because there are too many.
    """

    def __init__(self, root: str, *, resume: WalkState, kept: Iterable[Browsed] = ()) -> None:
        """Start a walk, or continue one.

        Args:
            root: Node at which a walk from the start begins.
            resume: `queue` and `seen` of an earlier walk, {} for none.
            kept: What the earlier walk found.
        """
        self._waiting: deque[Sequence[Any]] = deque(resume["queue"] if resume else [[root, []]])
        self._met = {root, *resume.get("seen", ())}
        self._told = {browsed.address for browsed in kept if not browsed.type}
        self._asked: frozenset[str] = frozenset()
        self.refused = 0

    def batch(self) -> list[Sequence[Any]]:
        """The nodes to look at next; they wait until they are `done`. Empty when the walk is complete."""
        chosen: list[Sequence[Any]] = []
        size = 0
        for entry in self._waiting:
            size += len(json.dumps(entry))
            if chosen and (len(chosen) >= BATCH or size > BATCH_BYTES):
                break
            chosen.append(entry)
        self._asked = frozenset(str(entry[0]) for entry in chosen)
        return chosen

    def done(self, count: int, queued: Iterable[Sequence[Any]]) -> list[Sequence[Any]]:
        """Remove the first nodes, which were browsed; gives those below them that are new."""
        for _ in range(min(count, len(self._waiting))):
            self._waiting.popleft()
        fresh = []
        for entry in queued:
            if entry[0] in self._met:
                continue
            if len(self._met) >= MAX_NODES:
                self.refused += 1
                continue
            self._met.add(entry[0])
            fresh.append(entry)
        self._waiting.extend(fresh)
        return fresh

    def is_new(self, browsed: Browsed) -> bool:
        """Whether it was not reported before: a node can have two parents."""
        if browsed.type or browsed.address in self._asked:
            return True
        if "object" in browsed.detail:
            return browsed.address not in self._met
        if browsed.address in self._told or browsed.address in self._met:
            return False
        self._told.add(browsed.address)
        return True
