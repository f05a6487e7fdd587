"""How a gateway reads each of its devices: a block of its health message, short since a gateway may have a thousand devices."""

from __future__ import annotations

import msgspec


class DeviceReads(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Counts of one device since it was configured, as an array in this order.

    Attributes:
        polls: Poll cycles begun.
        missed: Cycles skipped because the one before was late.
        skipped: Cycles not begun during a back-off.
        errors: Reads that failed.
        answered_s: When it answered last, seconds since 1970 UTC; 0 for never.
        read_ms: How long a read takes until it is answered, smoothed, ms.
        kinds: Failures by reason, those of the whole link among them.
    """

    polls: int = 0
    missed: int = 0
    skipped: int = 0
    errors: int = 0
    answered_s: int = 0
    read_ms: float = 0.0
    kinds: dict[str, int] = {}
