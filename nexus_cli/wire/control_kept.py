"""Bodies of control's HTTP API about series that are never dropped; rules as in `control.py`."""

from __future__ import annotations

from nexus_cli.wire.control import Body


class KeptSeries(Body, frozen=True, kw_only=True):
    """A series whose samples retention never drops.

    Attributes:
        path: `area/line/device/tag`, the current one; of a series that is forgotten the last.
        since: When the protection began.
        deployment: Number of the deployment that declared it.
        retention: Class that its samples belong to.
        active: Whether its tag is declared.
        declared: Whether its tag is declared with `keep: always`; then the protection can't end.
    """

    path: str
    since: int
    deployment: int
    retention: str
    active: bool
    declared: bool


class KeptList(Body, frozen=True, kw_only=True):
    """Those that are, by path."""

    series: list[KeptSeries]


class KeepEnded(Body, frozen=True, kw_only=True):
    """A protection that was ended."""

    path: str
