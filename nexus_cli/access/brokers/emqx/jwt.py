"""Tokens for EMQX: who connects shows one as its password, and its `acl` claim holds its rules.

The form for thousands of clients: nothing is stored at the broker. All rights of the client come from the token until it
expires; an old token is not taken back before.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Any

import jwt as pyjwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

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
_CLOSING: tuple[dict[str, Any], ...] = ({"topics": list(CLOSED), "permission": "deny", "action": "all"},)
"""The list falls through to the broker's sources where nothing matches: a token's client gets nothing from them."""


def token(
    grants: Iterable[Grant],
    accounts: Accounts,
    user: str,
    *,
    secret: str | bytes,
    ttl_s: int,
    issued_s: int,
    audience: str = AUDIENCE,
    kid: str | None = None,
    token_id: str | None = None,
) -> str:
    """A signed token with a user's rights at the broker.

    Args:
        grants: Of the site; only the user's own are taken.
        accounts: How the user is called at the broker.
        user: The principal.
        secret: A private key in PEM (RSA: RS256, P-256: ES256), or a shared secret of at least 32 bytes (HS256).
        ttl_s: How long it is valid, in seconds, at least 1.
        issued_s: Now, in seconds since 1970.
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
    acl = [*user_rules([grant for grant in grants if grant.principal == user]), *_CLOSING]
    claims = {
        "sub": user,
        "username": account,
        "aud": audience,
        "iat": issued_s,
        "exp": issued_s + ttl_s,
        "jti": token_id or secrets.token_hex(16),
        "acl": acl,
    }
    signed = _signed(claims, secret.encode() if isinstance(secret, str) else secret, kid)
    if len(signed) > MAX_TOKEN_BYTES:
        raise NexusError(
            f"The token of '{user}' would have {len(signed):,} bytes; the most is {MAX_TOKEN_BYTES:,}.",
            code="NX7023",
            cause=f"{len(acl)} rules",
            hint="give whole lines and areas, or let the user log in with a password: its rules are then in the "
            "built-in database",
        )
    return signed


def _signed(claims: Mapping[str, Any], secret: bytes, kid: str | None) -> str:
    try:
        key, algorithm = _key(secret)
        return pyjwt.encode(dict(claims), key, algorithm=algorithm, headers={"kid": kid} if kid else None)
    except (pyjwt.PyJWTError, ValueError, TypeError, UnsupportedAlgorithm):
        # The library's text may quote the key.
        raise NexusError(
            "The key can't sign tokens.", code="NX7023", cause="no RSA or P-256 key without a passphrase"
        ) from None


def _key(secret: bytes) -> tuple[Any, str]:
    """What to sign with, and how."""
    if not secret.startswith(b"-----BEGIN"):
        if len(secret) < MIN_SECRET_BYTES:
            raise NexusError(f"The secret has fewer than {MIN_SECRET_BYTES} bytes.", code="NX7023")
        return secret, "HS256"
    key = load_pem_private_key(secret, password=None)
    if isinstance(key, RSAPrivateKey):
        return key, "RS256"
    if isinstance(key, EllipticCurvePrivateKey) and key.curve.name == "secp256r1":
        return key, "ES256"
    raise ValueError("neither RSA nor P-256")


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
