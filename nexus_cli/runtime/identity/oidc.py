"""Tokens of an OpenID provider: verified with its published keys, and read for user and groups.

Source: OpenID Connect Core 1.0 §3.1.3.7 (issuer, audience, azp, times); RFC 8725 §3.1 (algorithms).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from jwt.types import Options

from nexus_cli.access.grants import RESERVED
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.json_value import JsonObject
from nexus_cli.model.access_config import OidcConfig
from nexus_cli.wire.control_access import LONGEST_ID_TOKEN

KEY_TYPE = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    **dict.fromkeys(("ES256", "ES384", "ES512"), "EC"),
}
"""Algorithms that are taken: signed with a private key that the provider alone has."""
CURVE = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
LEAST_RSA_BITS = 2048
MOST_KEYS = 100
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,199}\Z")
_CHECKED: Options = {
    "require": ["iss", "aud", "exp", "iat"],
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
}
"""Times are checked against the injected clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """`alg` and `kid` of a token, unverified; `kid` is "" without one."""

    algorithm: str
    kid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Whom a token names, and the groups of it that the site maps to roles."""

    user: str
    groups: tuple[str, ...]


def header_of(token: str) -> Header:
    """Raises NexusError NX6419 when it is no token, or one of an algorithm that is not taken."""
    if len(token) > LONGEST_ID_TOKEN:
        raise refused(f"longer than {LONGEST_ID_TOKEN} characters")
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise refused("it is no JWT") from None
    algorithm, kid = header.get("alg"), header.get("kid", "")
    if not isinstance(algorithm, str) or algorithm not in KEY_TYPE:
        raise refused("its algorithm is not taken")
    if not isinstance(kid, str):
        raise refused("its kid is not a text")
    return Header(algorithm=algorithm, kid=kid)


def key_for(header: Header, keys: JsonObject) -> jwt.PyJWK | None:
    """The key of a JWK set that a token was signed with; None when the set has it not."""
    listed = keys.get("keys")
    candidates = [one for one in (listed if isinstance(listed, list) else [])[:MOST_KEYS] if _fits(one, header)]
    if header.kid:
        candidates = [one for one in candidates if one.get("kid") == header.kid]
    if len(candidates) != 1:
        return None
    try:
        key = jwt.PyJWK(candidates[0], algorithm=header.algorithm)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    bits = getattr(key.key, "key_size", 0)
    return key if KEY_TYPE[header.algorithm] != "RSA" or bits >= LEAST_RSA_BITS else None


def _fits(key: object, header: Header) -> bool:
    """A public key for signatures by this algorithm, by what it says of itself."""
    return (
        isinstance(key, dict)
        and key.get("kty") == KEY_TYPE[header.algorithm]
        and key.get("use", "sig") == "sig"
        and key.get("alg", header.algorithm) == header.algorithm
        and key.get("crv") == CURVE.get(header.algorithm)
    )


def claims_of(
    token: str, key: jwt.PyJWK, *, header: Header, config: OidcConfig, issuer: str, now_s: float
) -> JsonObject:
    """The claims of a token, all checks done.

    Args:
        token: As it was sent.
        key: From `key_for`.
        header: Of the token.
        config: Audience and leeway.
        issuer: As the discovery document writes it.
        now_s: Seconds since 1970 UTC.

    Raises:
        NexusError: NX6419, with the check that failed.
    """
    try:
        claims: dict[str, Any] = jwt.decode(
            token, key, algorithms=[header.algorithm], audience=config.audience, issuer=issuer, options=_CHECKED
        )
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise refused(_words(error)) from None
    _check_times(claims, leeway_s=config.leeway_ms / 1000, now_s=now_s)
    audiences, party = claims.get("aud"), claims.get("azp")
    if isinstance(audiences, list) and len(audiences) > 1 and party is None:
        raise refused("several audiences, and no azp")
    if party is not None and party != config.audience:
        raise refused("azp is another client")
    return claims


def _check_times(claims: Mapping[str, Any], *, leeway_s: float, now_s: float) -> None:
    times = {name: claims[name] for name in ("exp", "nbf", "iat") if name in claims}
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in times.values()):
        raise refused("a time is not a number")
    if times["exp"] + leeway_s <= now_s:
        raise refused("it has ended")
    if times.get("nbf", 0) - leeway_s > now_s:
        raise refused("it is not valid yet")
    if times["iat"] - leeway_s > now_s:
        raise refused("it was issued in the future")


def person_of(claims: Mapping[str, Any], config: OidcConfig) -> Person:
    """User and groups.

    Raises:
        NexusError: NX6419, the claims name no user that the site could have.
    """
    user = _inside(claims, config.user_claim)
    if not isinstance(user, str) or not _USER.match(user) or user.lower().startswith(RESERVED):
        raise refused(f"the claim {config.user_claim[:50]} names no user")
    if config.user_claim == "email" and claims.get("email_verified", True) not in (True, "true"):
        raise refused("the provider has not verified this e-mail address")
    given = _inside(claims, config.groups_claim)
    if given is None and isinstance(claims.get("_claim_names"), dict):
        raise refused("it leaves the groups out: too many; let the provider send only those of this application")
    groups = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    return Person(user=user, groups=tuple(dict.fromkeys(one for one in groups if _is_mapped(one, config))))


def _is_mapped(group: object, config: OidcConfig) -> bool:
    return isinstance(group, str) and group in config.groups


def _inside(claims: Mapping[str, Any], path: str) -> object:
    """The value of a claim; a path with dots reaches inside, unless a claim has that very name."""
    if path in claims:
        return claims[path]
    found: object = claims
    for level in path.split("."):
        found = found.get(level) if isinstance(found, Mapping) else None
    return found


def _words(error: Exception) -> str:
    words = {
        jwt.InvalidAudienceError: "it is for another audience",
        jwt.InvalidIssuerError: "another issuer",
        jwt.InvalidSignatureError: "the signature is wrong",
    }
    return next((text for kind, text in words.items() if isinstance(error, kind)), "a claim is missing or wrong")


def refused(cause: str) -> NexusError:
    """The token is not taken."""
    return NexusError("The login with the OpenID provider was refused.", code="NX6419", cause=cause)
