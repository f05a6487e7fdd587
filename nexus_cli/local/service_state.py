"""How the supervisor's services are: `run/state.json`, which the supervisor writes and every command reads."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class ServiceState(msgspec.Struct, frozen=True, kw_only=True):
    """The known state of a service.

    Attributes:
        state: `waiting`, `starting`, `running`, `backoff`, `stopped`.
        pid: 0 while no process runs.
        restarts: Since the supervisor began.
        since: Seconds since 1970.
        detail: Why it is not running, in one line; of one that is started again, why it ended.
        failed: Starts in a row that came to nothing.
    """

    state: str = "waiting"
    pid: int = 0
    restarts: int = 0
    since: float = 0.0
    detail: str = ""
    failed: int = 0


States = Mapping[str, ServiceState]
"""By service."""


class _File(msgspec.Struct, frozen=True):
    pid: int
    services: dict[str, ServiceState]


_decoder = msgspec.json.Decoder(_File)


def encode_states(states: States, *, pid: int) -> bytes:
    """The file; `pid` is the supervisor's."""
    return msgspec.json.format(msgspec.json.encode(_File(pid, dict(states))), indent=2)


def decode_states(data: bytes) -> dict[str, ServiceState]:
    """Read the file. Raises ValueError."""
    return _decoder.decode(data).services
