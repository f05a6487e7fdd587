"""Tokens for EMQX: who connects shows one as its password, and its `acl` claim holds its rules.

The form for thousands of clients: nothing is stored at the broker. All rights of the client come from the token until it
expires; an old token is not taken back before.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Any

import jwt as pyjwt

from nexus_cli.access.accounts import Accounts
from nexus_cli.access.brokers.emqx.acl_conf import CLOSED
from nexus_cli.access.brokers.emqx.names import check_name
from nexus_cli.access.brokers.emqx.rules import user_rules
from nexus_cli.access.grants import Grant
from nexus_cli.diagnostics.errors import NexusError

MAX_TOKEN_BYTES = 8 * 1024
"""A token is the password of a CONNECT, read at each one; clients' buffers are small."""
AUDIENCE = "mqtt"
MIN_SECRET_BYTES = 32
"""Of HMAC-SHA-256. Source: RFC 7518 §3.2, a key of the hash's length at least."""
ALGORITHMS = ("HS256", "RS256", "ES256")
_CLOSING: tuple[dict[str, Any], ...] = ({"topics": list(CLOSED), "permission": "deny", "action": "all"},)
"""The list falls through to the broker's sources where nothing matches: a token's client gets nothing from them."""


def token(
    user: str,
    grants: Iterable[Grant],
    accounts: Accounts,
    *,
    key: str | bytes,
    ttl_s: int,
    now_s: float,
    algorithm: str = "HS256",
    audience: str = AUDIENCE,
    kid: str | None = None,
    token_id: str | None = None,
) -> str:
    """A signed token with a user's rights at the broker.

    Args:
        user: The principal.
        grants: Of the site; only the user's own are taken.
        accounts: How the user is called at the broker.
        key: The shared secret (HS256, at least 32 bytes) or the private key in PEM.
        ttl_s: How long it is valid, in seconds, at least 1.
        now_s: Now, in seconds since 1970.
        algorithm: HS256, RS256 or ES256.
        audience: `aud`.
        kid: Which key it is, for JWKS.
        token_id: `jti`; a random one without.

    Raises:
        NexusError: NX7023, larger than 8 KiB, or a key or lifetime that will not do. NX7010, NX7020.
    """
    account = accounts.account(user)
    check_name(account)
    if ttl_s < 1:
        raise NexusError("A token is valid for at least one second.", code="NX7023")
    issued = int(now_s)
    acl = [*user_rules([grant for grant in grants if grant.principal == user]), *_CLOSING]
    claims = {
        "sub": user,
        "username": account,
        "aud": audience,
        "iat": issued,
        "exp": issued + ttl_s,
        "jti": token_id or secrets.token_hex(16),
        "acl": acl,
    }
    signed = _signed(claims, key, algorithm, kid)
    if len(signed) > MAX_TOKEN_BYTES:
        raise NexusError(
            f"The token of '{user}' would have {len(signed):,} bytes; the most is {MAX_TOKEN_BYTES:,}.",
            code="NX7023",
            cause=f"{len(acl)} rules",
            hint="give whole lines and areas, or let the user log in with a password: its rules are then in the "
            "built-in database",
        )
    return signed


def _signed(claims: Mapping[str, Any], key: str | bytes, algorithm: str, kid: str | None) -> str:
    if algorithm not in ALGORITHMS:
        raise NexusError(f"Tokens are signed with {', '.join(ALGORITHMS)}, not {algorithm}.", code="NX7023")
    if algorithm == "HS256" and len(key) < MIN_SECRET_BYTES:
        raise NexusError(f"The secret has fewer than {MIN_SECRET_BYTES} bytes.", code="NX7023")
    try:
        return pyjwt.encode(dict(claims), key, algorithm=algorithm, headers={"kid": kid} if kid else None)
    except (pyjwt.PyJWTError, ValueError, TypeError):
        # The library's text may quote the key.
        raise NexusError(f"The key can't sign with {algorithm}.", code="NX7023") from None


def read_token(
    signed: str, *, key: str | bytes, now_s: float, algorithm: str = "HS256", audience: str = AUDIENCE
) -> dict[str, Any]:
    """The claims of a token that is valid now, as the broker checks it.

    Args:
        signed: The token.
        key: The shared secret or the public key in PEM.
        now_s: Now, in seconds since 1970.
        algorithm: The only one that is accepted.
        audience: The one that is wanted.

    Raises:
        NexusError: NX7023, a forged, expired, or foreign token.
    """
    try:
        claims: dict[str, Any] = pyjwt.decode(
            signed,
            key,
            algorithms=[algorithm],
            audience=audience,
            options={"require": ["exp", "aud", "username"], "verify_exp": False, "verify_iat": False},
        )
    except pyjwt.PyJWTError as error:
        raise NexusError("The token is not valid.", code="NX7023", cause=type(error).__name__) from None
    if not isinstance(claims["exp"], int) or claims["exp"] <= now_s:
        raise NexusError("The token is not valid.", code="NX7023", cause="it has expired")
    return claims
