"""Which of database, control and broker do not answer, as this web sees it."""

from __future__ import annotations

import msgspec

from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.wire.web_socket import Missing

WORKS = ("running", "waiting")


class _Health(msgspec.Struct, frozen=True):
    state: str = ""


_health = msgspec.json.Decoder(_Health)


class MissingParts:
    """Looks at what is known anyway: nothing is asked."""

    def __init__(self, parts: WebParts) -> None:
        """Follow which controls have said how they are."""
        self._parts = parts
        self._prefix = f"{parts.topics.platform}/health/control/"
        self._controls: list[int] = []
        parts.cache.when_new(self._new_topic)

    def _new_topic(self, slot: int) -> None:
        if self._parts.cache.topic(slot).startswith(self._prefix):
            self._controls.append(slot)

    def now(self) -> Missing:
        """What does not answer now, each with one sentence why."""
        detail = {}
        if self._parts.keeper.problem:
            detail["database"] = self._parts.keeper.problem
        client = self._parts.client
        if not client.connected:
            # What the broker would say of control is not known then.
            detail["broker"] = client.problem.message if client.problem is not None else "the broker is away"
        elif not any(self._works(slot) for slot in self._controls):
            detail["control"] = "no control is running" if self._controls else "no control has said that it runs"
        return Missing(parts=list(detail), detail=detail)

    def _works(self, slot: int) -> bool:
        try:
            return _health.decode(self._parts.cache.payload(slot) or b"{}").state in WORKS
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return False
