"""Mosquitto's `acl_file` and `password_file`.

Source: mosquitto.conf(5), mosquitto_passwd(1), and mosquitto 2.0.11 run: a bad line at reload leaves *no* rules and
everything is allowed, so both files are checked before they are written, written beside and renamed.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Iterable, Mapping

from nexus_cli.access.grants import Grant
from nexus_cli.diagnostics.errors import NexusError

ITERATIONS = 1_000
"""Generated passwords hold 192 random bits, so iterations add nothing but time at each connect."""
SALT_BYTES = 12
"""Mosquitto 2.0 refuses any other length."""
KEY_BYTES = 64

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,127}\Z")
_LEVEL = re.compile(r"[A-Za-z0-9._@-]+\Z")


def render_acl(grants: Iterable[Grant]) -> str:
    """The `acl_file`: a section a principal, `read`, `write` or `readwrite` a filter; what is not there is refused.

    Raises:
        NexusError: NX7010, a name or filter that Mosquitto would misread.
    """
    rights: dict[str, dict[str, set[str]]] = {}
    for grant in grants:
        check_name(grant.principal)
        check_filter(grant.filter)
        rights.setdefault(grant.principal, {}).setdefault(grant.filter, set()).add(grant.action)
    lines = ["# Written by nexus; edits are lost. Rules come from `access:` and the devices of the site."]
    for principal in sorted(rights):
        lines += ["", f"user {principal}"]
        for filter_, actions in sorted(rights[principal].items()):
            word = "readwrite" if len(actions) == 2 else "write" if "publish" in actions else "read"
            lines.append(f"topic {word} {filter_}")
    return "\n".join(lines) + "\n"


def render_passwords(
    passwords: Mapping[str, str],
    *,
    hashed: Mapping[str, str] | None = None,
    salts: Mapping[str, bytes] | None = None,
) -> str:
    """The `password_file`: `user:$7$iterations$salt$hash`, PBKDF2-HMAC-SHA512.

    Args:
        passwords: Clear text by principal.
        hashed: `iterations$salt$hash` of those whose clear text nobody keeps (`passwords.Hashes.sha512`).
        salts: 12 bytes by principal instead of fresh ones (to keep the file equal when nothing changed, and in tests).

    Raises:
        NexusError: NX7010, a name that Mosquitto would misread.
    """
    lines = []
    for name, hash_ in sorted((hashed or {}).items()):
        check_name(name)
        lines.append(f"{name}:$7${hash_}")
    for name, password in sorted(passwords.items()):
        check_name(name)
        salt = (salts or {}).get(name) or os.urandom(SALT_BYTES)
        key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS, KEY_BYTES)
        lines.append(f"{name}:$7${ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(key).decode()}")
    return "\n".join(sorted(lines)) + "\n"


def read_salts(text: str) -> dict[str, bytes]:
    """The salts of a password file that is in use, by principal."""
    salts = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        parts = rest.split("$")
        if len(parts) == 5 and parts[1] == "7":
            salts[name] = base64.b64decode(parts[3])
    return salts


def check_name(name: str) -> None:
    """Refuse a name that ends a line, opens a comment, or breaks out of a `%u` pattern (`+`, `#`, `/`)."""
    if not _NAME.match(name):
        raise NexusError(
            f"'{name[:60]}' can't be a user of the broker.",
            code="NX7010",
            hint="use letters, digits, '.', '_', '-' and '@', at most 128",
        )


def check_filter(filter_: str) -> None:
    """Refuse what is not an MQTT filter of plain levels: an invalid one never matches, or breaks the file."""
    levels = filter_.split("/")
    for position, level in enumerate(levels):
        if level == "+" or (level == "#" and position == len(levels) - 1) or _LEVEL.match(level):
            continue
        raise NexusError(
            f"'{filter_[:200]}' can't be a topic filter of the broker's rules.",
            code="NX7010",
            cause=f"level {position + 1} is '{level[:60]}'",
        )
