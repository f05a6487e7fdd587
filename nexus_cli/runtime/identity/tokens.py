"""Tokens of the API as JWT: signed by HS256 alone, for one site. What one is worth the database says at each request.

See docs/decisions/0072. Source: RFC 7519 (claims), RFC 8725 (algorithm pinned, audience and issuer checked).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import jwt
from jwt.types import Options

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.identity.signing import SigningKey, SigningKeys
from nexus_cli.wire.control_access import LONGEST_TOKEN

ALGORITHM = "HS256"
ISSUER = "nexus"
LEEWAY_US = 5_000_000
"""How far the clocks of two controls may be apart, in µs."""
LATEST = 253_402_300_800
"""`exp` is before this, in seconds: the year 10000."""
_TOKEN_ID = re.compile(r"[0-9A-Za-z]{1,64}\Z")
_REQUIRED = ["iss", "aud", "sub", "jti", "exp", "iat"]
_CHECKED: Options = {"require": _REQUIRED, "verify_exp": False, "verify_iat": False, "verify_nbf": False}
"""PyJWT would ask the machine's clock; the time is injected here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a token says.

    Attributes:
        token_id: ULID, by which it is revoked.
        principal: Whose it is.
        expires: µs since 1970 UTC.
        issuer, groups: Of a login at an OpenID provider: which one, and those of its groups that the site names.
    """

    token_id: str
    principal: str
    expires: int
    issuer: str = ""
    groups: tuple[str, ...] = ()


def audience(site: str) -> str:
    """`aud` of the tokens of a site."""
    return f"nexus-api:{site}"


def looks_signed(token: str) -> bool:
    """True for the form of a JWT: three parts, the first a JSON object."""
    return token.startswith("eyJ") and token.count(".") == 2


def sign(keys: SigningKeys, claims: Claims, *, site: str, scopes: list[str], now_us: int) -> str:
    """The signed token. Raises NexusError NX6424 when there is no key."""
    key: SigningKey = keys.current()
    body: dict[str, Any] = {
        "iss": ISSUER,
        "aud": audience(site),
        "sub": claims.principal,
        "jti": claims.token_id,
        "scope": " ".join(scopes),
        "iat": now_us // 1_000_000,
        "exp": claims.expires // 1_000_000,
    }
    if claims.issuer:
        body |= {"idp": claims.issuer, "groups": list(claims.groups)}
    return jwt.encode(body, key.bytes, algorithm=ALGORITHM, headers={"kid": key.kid})


def read(keys: SigningKeys, token: str, *, site: str, now_us: int) -> Claims:
    """Verify a token.

    Raises:
        NexusError: NX6401, it is not ours, or not for this site; NX6412, it has ended; NX6424 no key can be read.
    """
    if len(token) > LONGEST_TOKEN:
        raise NexusError("The token was refused.", code="NX6401", cause=f"longer than {LONGEST_TOKEN} characters")
    try:
        header = jwt.get_unverified_header(token)
        key = keys.find(str(header.get("kid", "")))
        if key is None:
            raise jwt.InvalidSignatureError("unknown key")
        body = jwt.decode(
            token, key.bytes, algorithms=[ALGORITHM], audience=audience(site), issuer=ISSUER, options=_CHECKED
        )
        claims = _claims(body)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise NexusError("The token was refused.", code="NX6401", cause=_cause(error)) from None
    if claims.expires + LEEWAY_US <= now_us:
        raise NexusError("The token has ended.", code="NX6412")
    return claims


def _claims(body: dict[str, Any]) -> Claims:
    token_id, principal, expires = body["jti"], body["sub"], body["exp"]
    issuer, groups = body.get("idp", ""), body.get("groups", [])
    plain = all(isinstance(each, str) for each in (token_id, principal, issuer, *groups))
    if not plain or type(expires) is not int or not isinstance(groups, list):
        raise ValueError("claims of another type")
    if not 0 < expires < LATEST or not _TOKEN_ID.match(token_id):
        raise ValueError("claims out of range")
    return Claims(
        token_id=token_id, principal=principal, expires=expires * 1_000_000, issuer=issuer, groups=tuple(groups)
    )


_CAUSES: tuple[tuple[type[Exception], str], ...] = (
    (jwt.InvalidSignatureError, "its signature is not control's: changed, or signed with a key that is gone"),
    (jwt.InvalidAudienceError, "it is for another site"),
    (jwt.InvalidIssuerError, "it was made by somebody else"),
    (jwt.DecodeError, "it is no whole token: was it copied in part?"),
    (jwt.PyJWTError, "it does not hold what a token of control holds"),
)
"""The first that fits; a signature that does not fit is a DecodeError, too."""


def _cause(error: Exception) -> str:
    """Which check failed; nothing of the token."""
    for kind, text in _CAUSES:
        if isinstance(error, kind):
            return text
    return "not a token of control"
