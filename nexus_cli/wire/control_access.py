"""The bodies of control's HTTP API about logins, tokens, passwords and elevation; rules as in `control.py`.

No answer holds a password or a token, except the one that made it. All times are µs since 1970 UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from nexus_cli.wire.control import NO_NUL, Body, Question

SCOPES: Mapping[str, str] = {
    "state:read": "recorded state, resources and the lock",
    "deployments:read": "deployments and their journals",
    "apply": "deployments, within the `apply` globs of the roles",
    "lock:break": "take the lock of a deployment away",
    "gateway:read": "configuration of a gateway, each its own",
    "alerts:read": "alerts and their changes",
    "alerts:ack": "acknowledge alerts",
    "sequences:run": "see, start and abort sequences",
    "messages:publish": "see and publish messages",
    "audit:read": "the audit trail",
    "values:read": "live and stored values of the tags that the roles read",
    "values:write": "commands to the tags that the roles write",
    "devices:service": "devices out of service and in again: those of which the roles write a tag, or that `apply` covers",
    "access:read": "who has passwords, tokens and elevation",
    "access:admin": "passwords, elevation, tokens of others, the signing key",
    "tokens:own": "own tokens: make, list, revoke",
}
"""Scopes of a token, and the rights behind them. A request needs the one of its route."""
ALL = "*"
"""The scope of a token that may do all that its principal may."""
LONGEST_TOKEN = 8 * 1024
"""Characters of a token; a longer one is refused unread."""
LONGEST_ID_TOKEN = 32 * 1024
"""Characters of a token of an OpenID provider, which lists its user's groups: 200 object ids of Entra are 10,400."""
LONGEST_TTL_S = 366 * 86_400
LONGEST_ELEVATION_S = 8 * 3600
KEEP_OLD_S = 24 * 3600
"""How long the replaced password stays valid unless asked otherwise."""

Principal = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=NO_NUL)]
Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=1000, pattern=NO_NUL)]
Note = Annotated[str, msgspec.Meta(max_length=200, pattern=NO_NUL)]
Secret = Annotated[str, msgspec.Meta(min_length=1, max_length=1024, pattern=NO_NUL)]
Token = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_TOKEN, pattern=NO_NUL)]
IdToken = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_ID_TOKEN, pattern=NO_NUL)]
Scope = Annotated[str, msgspec.Meta(min_length=1, max_length=50, pattern=NO_NUL)]


class LoginRequest(Question, frozen=True, kw_only=True):
    """Name and password of a declared user."""

    user: Principal
    password: Secret


class OidcLoginRequest(Question, frozen=True, kw_only=True):
    """An id token (or an access token that is a JWT) of the configured OpenID provider."""

    token: IdToken


class Session(Body, frozen=True, kw_only=True):
    """A login.

    Attributes:
        id: Of the session, for its revocation.
        token: Bearer token; a secret, in this answer alone.
        principal: Who logged in.
        roles: Names of the roles that a group of the OpenID provider gave; the declared ones are not among them.
        expires: When the session ends.
    """

    id: str
    token: str
    principal: str
    roles: list[str] = []
    expires: int


class OidcProvider(Body, frozen=True, kw_only=True):
    """What a page needs to send a person to the OpenID provider.

    Attributes:
        issuer: Its address.
        client_id: Of NEXUS there.
        authorization_endpoint, token_endpoint: As its discovery document has them.
    """

    issuer: str
    client_id: str
    authorization_endpoint: str = ""
    token_endpoint: str = ""


class Identity(Body, frozen=True, kw_only=True):
    """Who the caller is, and what it may do here.

    Attributes:
        principal: Its name.
        kind: `platform`, `user` or `application`.
        roles: Names of its roles at this moment.
        scopes: What the caller may do with this token: names of `SCOPES`, sorted.
        expires: When the token ends; None for one without an end.
    """

    principal: str
    kind: str
    roles: list[str] = []
    scopes: list[str] = []
    expires: int | None = None


class TokenRequest(Question, frozen=True, kw_only=True):
    """A token that is asked for.

    Attributes:
        principal: Whose rights it has at most; "" is the caller.
        scopes: What it may do at most; `*` is all that the principal may.
        ttl_s: How long it is valid, 60 s to 366 days.
        note: What it is for.
    """

    principal: Annotated[str, msgspec.Meta(max_length=200, pattern=NO_NUL)] = ""
    scopes: Annotated[list[Scope], msgspec.Meta(min_length=1, max_length=50)] = msgspec.field(
        default_factory=lambda: [ALL]
    )
    ttl_s: Annotated[int, msgspec.Meta(ge=60, le=LONGEST_TTL_S)] = 3600
    note: Note = ""


class TokenInfo(Body, frozen=True, kw_only=True):
    """A token, without itself.

    Attributes:
        id: ULID.
        principal: Whose rights it has at most.
        kind: `token`, or `session` for a login.
        scopes: As in a `TokenRequest`.
        made, expires: Begin and end.
        revoked: When it was revoked; None while it was not.
        made_by: Principal.
        note: What it is for.
    """

    id: str
    principal: str
    kind: str
    scopes: list[str]
    made: int
    expires: int
    revoked: int | None = None
    made_by: str = ""
    note: str = ""


class NewToken(TokenInfo, frozen=True, kw_only=True):
    """A token that was made; `token` is in this answer alone."""

    token: str


class TokenList(Body, frozen=True, kw_only=True):
    """The newest first; those that ended more than a day ago are left out."""

    tokens: list[TokenInfo]


class Revoked(Body, frozen=True, kw_only=True):
    """Whether the token was valid before it was revoked."""

    revoked: bool


class ElevationRequest(Question, frozen=True, kw_only=True):
    """The role `admin` for a user, for at most 8 hours."""

    user: Principal
    for_s: Annotated[int, msgspec.Meta(ge=60, le=LONGEST_ELEVATION_S)]
    reason: Reason


class Elevation(Body, frozen=True, kw_only=True):
    """A user that has the role `admin`, too, for a while."""

    id: str
    principal: str
    reason: str
    given_by: str
    begins: int
    ends: int


class Elevations(Body, frozen=True, kw_only=True):
    """Those that have not ended, the newest first."""

    elevations: list[Elevation]


class ElevationEnded(Body, frozen=True, kw_only=True):
    """Whether the elevation was in force before."""

    ended: bool


class RotateRequest(Question, frozen=True, kw_only=True):
    """New passwords.

    Attributes:
        principals: Declared users and applications; none is all of them.
        keep_old_s: How long the old password stays valid, 0 to 7 days.
    """

    principals: Annotated[list[Principal], msgspec.Meta(max_length=10_000)] = []
    keep_old_s: Annotated[int, msgspec.Meta(ge=0, le=7 * 86_400)] = KEEP_OLD_S


class NewPassword(Body, frozen=True, kw_only=True):
    """A password that was made; it is in this answer alone.

    Attributes:
        principal: Whose.
        password: Clear text.
        slot: `a` or `b`.
        old_expires: When the old one ends; None without one.
    """

    principal: str
    password: str
    slot: str
    old_expires: int | None = None


class NewPasswords(Body, frozen=True, kw_only=True):
    """By principal."""

    passwords: list[NewPassword]


class Account(Body, frozen=True, kw_only=True):
    """A declared user or application.

    Attributes:
        principal: Its name.
        kind: `user` or `application`.
        roles: Names of its roles at this moment, those of its groups among them.
        password: Whether it has one.
        password_made: When the newest was made.
        old_expires: When the one before it ends, while both are valid.
        tokens: How many are valid, sessions left out.
        sessions: How many logins are valid.
        elevated_until: While it has the role `admin`, too.
    """

    principal: str
    kind: str
    roles: list[str] = []
    password: bool = False
    password_made: int | None = None
    old_expires: int | None = None
    tokens: int = 0
    sessions: int = 0
    elevated_until: int | None = None


class AccessOverview(Body, frozen=True, kw_only=True):
    """Every account by name, and the elevations in force."""

    accounts: list[Account]
    elevations: list[Elevation] = []


class KeyRenewed(Body, frozen=True, kw_only=True):
    """The signing key was replaced.

    Attributes:
        key: Id of the new one.
        previous: Id of the one whose tokens stay valid until they end, or until the next renewal.
    """

    key: str
    previous: str = ""
