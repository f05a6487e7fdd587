"""How long the operations of a process take, within its health, and the answer of web about every process."""

from __future__ import annotations

import msgspec

from nexus_cli.wire.field_types import Microseconds

MINUTE, HOUR = "1m", "1h"
"""Names of the windows."""


class LatencyWindow(msgspec.Struct, frozen=True, kw_only=True):
    """Times that operations took within a window, milliseconds.

    Attributes:
        count: Operations that ended within it.
        p50_ms, p95_ms, p99_ms: So many per cent took at most this long (up to 3.2 % less).
        max_ms: The longest.
    """

    count: int = 0
    p50_ms: float = 0.0
    p95_ms: float = 0.0
    p99_ms: float = 0.0
    max_ms: float = 0.0


class OperationLatency(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of operation: over the last minute (55 to 60 s) and the last hour (55 to 60 min)."""

    minute: LatencyWindow = LatencyWindow()
    hour: LatencyWindow = LatencyWindow()


class LatencyRow(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of operation of one process over one window.

    Attributes:
        role, name: The process, as in its health.
        operation: `read`, `poll`, `publish`, `live`, `write`, `commit`, `queue` or `api`.
        window: `1m` or `1h`.
        time: When the process said it, µs since 1970 UTC; 0 for now.
        count, p50_ms, p95_ms, p99_ms, max_ms: As in `LatencyWindow`.
    """

    role: str
    name: str
    operation: str
    window: str
    time: Microseconds = 0
    count: int = 0
    p50_ms: float = 0.0
    p95_ms: float = 0.0
    p99_ms: float = 0.0
    max_ms: float = 0.0


class LatencyTable(msgspec.Struct, frozen=True, kw_only=True):
    """Rows by role, name, operation and window.

    Attributes:
        rows: Of the processes that are known.
        missing: Processes that say nothing, as `role name: why`.
    """

    rows: list[LatencyRow] = []
    missing: list[str] = []


def rows_of(role: str, name: str, latencies: dict[str, OperationLatency], *, time_us: int = 0) -> list[LatencyRow]:
    """The rows of one process, in the order of its operations, the minute first."""
    return [
        LatencyRow(
            role=role,
            name=name,
            operation=operation,
            window=window,
            time=time_us,
            **msgspec.structs.asdict(found),
        )
        for operation, both in latencies.items()
        for window, found in ((MINUTE, both.minute), (HOUR, both.hour))
    ]
