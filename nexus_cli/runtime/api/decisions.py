"""Which right a route needs, and how large its body may be: the table that each API has. A route that is not in it is refused.

See docs/decisions/0072.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

BASE = "/v1/sites/{enterprise}/{site}"
MIB = 2**20
SMALL_BODY = 64 * 1024
"""Default limit of a body, in bytes."""
LARGE_BODY = 64 * MIB
"""Limit of a deployment, in bytes: a first one of 41,000 tags is about 15 MB."""
NAMES_BODY = 2 * MIB
"""Limit of a list of names, in bytes: 20,000 of them."""
LOGIN_BODY = 16 * 1024
"""Limit of a login, in bytes: it is read for anybody."""
OIDC_BODY = 40 * 1024
"""Limit of a login with a token of an OpenID provider (`LONGEST_ID_TOKEN`), in bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a route needs.

    Attributes:
        method, path: As in `/openapi.json`.
        rights: One of these scopes; none: a valid token is enough.
        open: True needs no token at all.
        limit: Largest body, in bytes; 0 reads none.
    """

    method: str
    path: str
    rights: tuple[str, ...] = ()
    open: bool = False
    limit: int = SMALL_BODY


def route(method: str, path: str, *rights: str, limit: int = SMALL_BODY, base: str = BASE) -> Decision:
    """A route below `base` that needs one of the rights."""
    return Decision(method=method, path=base + path, rights=rights, limit=limit)


def open_route(method: str, path: str, *, limit: int = 0, base: str = BASE) -> Decision:
    """A route that anybody may ask."""
    return Decision(method=method, path=base + path, open=True, limit=limit)


class Decisions:
    """The table of one API."""

    def __init__(self, table: Iterable[Decision]) -> None:
        """Take it over; a fixed path goes before one with a pattern."""
        self.table = tuple(table)
        self._fixed = {(each.method, each.path): each for each in self.table if "{" not in each.path}
        self._patterns = tuple((each, _pattern(each.path)) for each in self.table if "{" in each.path)

    def of(self, method: str, path: str) -> Decision | None:
        """What a request needs; None when there is no such route. HEAD is as GET."""
        wanted = "GET" if method == "HEAD" else method
        found = self._fixed.get((wanted, path))
        if found is not None:
            return found
        return next((each for each, pattern in self._patterns if each.method == wanted and pattern.match(path)), None)


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"(\{[^}]*\})", path)
    found = "".join(
        (".+" if part.endswith(":path}") else "[^/]+") if part.startswith("{") else re.escape(part) for part in parts
    )
    return re.compile(found + r"\Z", re.DOTALL)


def site_of(path: str) -> str:
    """`enterprise/site` of a path; "" of one outside of `BASE`."""
    parts = path.split("/")
    return f"{parts[3]}/{parts[4]}" if path.startswith("/v1/sites/") and len(parts) > 5 else ""
