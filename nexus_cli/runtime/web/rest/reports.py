"""Health messages in the cache, each decoded once however many people ask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import msgspec

from nexus_cli.json_value import read_fields
from nexus_cli.runtime.web.live_cache import LiveCache
from nexus_cli.wire.gateway_health import GatewayHealth
from nexus_cli.wire.health import ControlHealth, Health, HistorianHealth, WebHealth, WorkerHealth
from nexus_cli.wire.topic import Topics

H = TypeVar("H", bound=Health)
SHAPES: dict[str, type[Health]] = {
    "control": ControlHealth,
    "gateway": GatewayHealth,
    "historian": HistorianHealth,
    "web": WebHealth,
    "worker": WorkerHealth,
}


class Reports:
    """The newest health of each process."""

    def __init__(self, cache: LiveCache, topics: Topics) -> None:
        """Read from this cache."""
        self._cache = cache
        self._prefix = topics.health("", "").rstrip("/") + "/"
        self._known: dict[int, tuple[int, Health | None]] = {}
        self._seen = 0
        self._slots: list[tuple[str, str, int]] = []

    def all(self) -> Iterator[tuple[str, str, Health]]:
        """Role, name and health of every process, in no order."""
        topics = self._cache.topics()
        for slot in range(self._seen, len(topics)):
            if topics[slot].startswith(self._prefix):
                role, _, name = topics[slot][len(self._prefix) :].partition("/")
                self._slots.append((role, name, slot))
        self._seen = len(topics)
        for role, name, slot in self._slots:
            found = self._read(role, slot)
            if found is not None:
                yield role, name, found

    def gateways(self) -> dict[str, GatewayHealth]:
        """The health of each gateway, by its name."""
        return {name: health for _, name, health in self.all() if isinstance(health, GatewayHealth)}

    def of(self, kind: type[H]) -> list[H]:
        """The health of every process of one role."""
        return [health for _, _, health in self.all() if isinstance(health, kind)]

    def _read(self, role: str, slot: int) -> Health | None:
        turn = self._cache.turn_of(slot)
        known = self._known.get(slot)
        if known is None or known[0] != turn:
            known = self._known[slot] = (turn, _decoded(role, self._cache.payload(slot)))
        return known[1]


def _decoded(role: str, payload: bytes | None) -> Health | None:
    """A health message, also of another version: a field of another type has its default. None of what is none."""
    shape = SHAPES.get(role)
    if payload is None or shape is None:
        return None
    try:
        return msgspec.json.decode(payload, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return read_fields(msgspec.json.decode(payload), shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
