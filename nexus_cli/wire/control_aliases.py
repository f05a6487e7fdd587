"""Old paths under which live values are published for a while, as control says them; rules as in `control.py`."""

from __future__ import annotations

import msgspec


class Alias(msgspec.Struct, frozen=True, kw_only=True):
    """An old path under which live values are published, too.

    Attributes:
        old: `area`, `area/line`, `area/line/device` or `area/line/device/tag`.
        to: Where it is now; as deep.
        since: When it began.
        until: When it ends by itself, by the database's clock.
        left_us: How long from this answer on; 0 when it is over.
        gateways: Who publishes it.
    """

    old: str
    to: str
    since: int
    until: int
    left_us: int
    gateways: list[str] = []
