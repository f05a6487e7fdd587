"""The body of the HTTP API of the role web about what has another path now."""

from __future__ import annotations

from nexus_cli.wire.control import Body


class Renamed(Body, frozen=True, kw_only=True):
    """The present path of what once had another one.

    Attributes:
        former: The path that was asked for.
        path: Where it is now.
    """

    former: str
    path: str
