"""The configuration that EMQX needs beside the rules: `base.hocon`, or a file that `emqx.conf` includes.

Written into `base.hocon` it stays below what the REST API changes later; the same keys in `emqx.conf` would silently take
those changes back at the next start. It holds no secret: passwords are hashes in another file, tokens are checked with a public key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Union

from nexus_cli.access.brokers.emqx.client import Version, is_at_least
from nexus_cli.access.brokers.emqx.engine import MAX_RULES
from nexus_cli.access.brokers.emqx.form import Form
from nexus_cli.access.brokers.emqx.jwt import AUDIENCE
from nexus_cli.access.passwords import ITERATIONS

FILE = "nexus.hocon"
_TOKENS = (
    "# For tokens (`nexus access token USER --for mqtt`) put this in front, with the key that fits the one they are signed with:",
    '#   { mechanism = jwt, from = password, use_jwks = false, algorithm = "public-key", public_key = "etc/nexus.pem",',
    '#     acl_claim_name = acl, disconnect_after_expire = true, verify_claims { username = "${username}", aud = "mqtt" } }',
)

Hocon = Union[str, int, bool, Mapping[str, "Hocon"], "Sequence[Hocon]", "Raw"]
"""A value: texts are written in quotes."""


@dataclass(frozen=True, slots=True)
class Raw:
    """A word that is written without quotes: `deny`, `built_in_database`."""

    word: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """The listener with TLS.

    Attributes:
        bind: Address and port. Written out, because the profile `hardened` binds to loopback without it.
        ca, certificate, key: Paths on the broker.
        mutual: Whether clients must show a certificate.
    """

    bind: str = "0.0.0.0:8883"
    ca: str = "etc/certs/nexus-ca.pem"
    certificate: str = "etc/certs/nexus-broker.pem"
    key: str = "etc/certs/nexus-broker.key"
    mutual: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to configure.

    Attributes:
        form: Where the rules are: `file` or `database`.
        version: Of EMQX.
        acl_path: `acl.conf` on the broker.
        users_path: The bootstrap users (JSON, hashed) on the broker.
        iterations: Of PBKDF2, as the hashes were made.
        most_rules: The most rules of one user in the database.
        public_key_path: PEM with which tokens are checked; "" for no tokens.
        audience: `aud` of tokens.
        disconnect: Whether a refused action ends the connection, instead of being dropped.
        tls: The listener; None leaves listeners alone.
    """

    form: Form = "file"
    version: Version = (5, 8)
    acl_path: str = "etc/acl.conf"
    users_path: str = "etc/users.json"
    iterations: int = ITERATIONS
    most_rules: int = 0
    public_key_path: str = ""
    audience: str = AUDIENCE
    disconnect: bool = False
    tls: Tls | None = None


def configuration(wanted: Wanted) -> str:
    """The text of the file."""
    lines = [
        "# Written by nexus. Put it into etc/base.hocon, or include it there: keys in emqx.conf would override what the",
        "# REST API changes. EMQX 5.8 to 6.3; under EMQX_SECURITY_PROFILE=hardened (from 6.3, the default of 7.0), too.",
        "",
        "# Who may connect. Without an authenticator EMQX lets everybody in.",
        *([] if wanted.public_key_path else _TOKENS),
        f"authentication = {_write(_authentication(wanted))}",
        "",
        "# What they may do. no_match is `allow` by default before 6.0; denials of `all` leave out `$…` topics before",
        "# 5.8.9, 5.9.2 and 5.10.1, so it must be `deny`.",
        f"authorization {_write(_authorization(wanted))}",
    ]
    if wanted.tls is not None:
        lines += ["", "# Clients with TLS only.", *_listeners(wanted.tls)]
    return "\n".join(lines) + "\n"


def _authentication(wanted: Wanted) -> list[Hocon]:
    """Tokens first: a password that is no token is passed on to the next one, while a wrong password ends the search."""
    chain: list[Hocon] = []
    if wanted.public_key_path:
        chain.append(
            {
                "mechanism": Raw("jwt"),
                "from": Raw("password"),
                "use_jwks": False,
                "algorithm": "public-key",
                "public_key": wanted.public_key_path,
                "acl_claim_name": Raw("acl"),
                "disconnect_after_expire": True,
                "verify_claims": {"username": "${username}", "aud": wanted.audience},
            }
        )
    chain.append(
        {
            "mechanism": Raw("password_based"),
            "backend": Raw("built_in_database"),
            "user_id_type": Raw("username"),
            "password_hash_algorithm": {
                "name": Raw("pbkdf2"),
                "mac_fun": Raw("sha256"),
                "iterations": wanted.iterations,
            },
            "bootstrap_file": wanted.users_path,
            "bootstrap_type": Raw("hash"),
        }
    )
    return chain


def _authorization(wanted: Wanted) -> dict[str, Hocon]:
    """One source alone: the shipped one ends in `{allow, all}` and would answer for all that come behind it."""
    source: dict[str, Hocon]
    if wanted.form == "file":
        source = {"type": Raw("file"), "enable": True, "path": wanted.acl_path}
    else:
        source = {"type": Raw("built_in_database"), "enable": True}
        if wanted.most_rules > MAX_RULES:
            source["max_rules"] = wanted.most_rules
    found: dict[str, Hocon] = {
        "no_match": Raw("deny"),
        "deny_action": Raw("disconnect" if wanted.disconnect else "ignore"),
        "cache": {"enable": True, "max_size": 64, "ttl": "1m"},
        "sources": [source],
    }
    if is_at_least(wanted.version, 6, 3, 0) and len(wanted.version) > 1:
        # Rules name topics as clients do; `hardened` would compare them with the mounted ones.
        found["include_mountpoint"] = False
    return found


def _listeners(tls: Tls) -> list[str]:
    options: dict[str, Hocon] = {
        "cacertfile": tls.ca,
        "certfile": tls.certificate,
        "keyfile": tls.key,
        "verify": Raw("verify_peer" if tls.mutual else "verify_none"),
        "fail_if_no_peer_cert": tls.mutual,
        "versions": ["tlsv1.3", "tlsv1.2"],
    }
    listener: dict[str, Hocon] = {"bind": tls.bind, "enable": True, "ssl_options": options}
    closed = [f"listeners.{kind}.default.enable = false" for kind in ("tcp", "ws", "wss")]
    return [f"listeners.ssl.default {_write(listener)}", *closed]


def _write(value: Hocon, depth: int = 0) -> str:
    inner, outer = "  " * (depth + 1), "  " * depth
    if isinstance(value, Raw):
        return value.word
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        lines = [
            f"{inner}{key} {'' if isinstance(each, Mapping) else '= '}{_write(each, depth + 1)}"
            for key, each in value.items()
        ]
        return "{\n" + "\n".join(lines) + f"\n{outer}}}"
    if all(isinstance(each, str) for each in value):
        return "[" + ", ".join(_write(each) for each in value) + "]"
    return "[\n" + ",\n".join(f"{inner}{_write(each, depth + 1)}" for each in value) + f"\n{outer}]"
