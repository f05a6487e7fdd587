"""Bodies about sessions of the page. Times are µs since 1970 UTC."""

from __future__ import annotations

import msgspec


class PageSession(msgspec.Struct, frozen=True, kw_only=True):
    """Who uses the page.

    Attributes:
        site: `enterprise/site`.
        user: Name of the caller.
        kind: `platform`, `user` or `application`.
        roles: Names of its roles at this moment.
        scopes: What it may do with this session.
        expires: When the session ends; null for a token without an end.
    """

    site: str
    user: str
    kind: str
    roles: list[str] = []
    scopes: list[str] = []
    expires: int | None = None


class LoginWays(msgspec.Struct, frozen=True, kw_only=True):
    """How people log in here, and who is logged in already; anybody may ask.

    Attributes:
        site: `enterprise/site`.
        session: Of who asks; null for who is not logged in.
        oidc: Issuer of the OpenID provider; "" without one.
        version: Of NEXUS.
    """

    site: str
    session: PageSession | None = None
    oidc: str = ""
    version: str = ""


class SessionEnded(msgspec.Struct, frozen=True, kw_only=True):
    """The cookie is gone; `revoked` says that control ended the session too."""

    revoked: bool
