"""Mosquitto's `password_file`: `user:$7$iterations$salt$key`, PBKDF2-HMAC-SHA512.

An entry that Mosquitto can't read (a salt of another length than 12 bytes, a name with ':') is dropped with an error
line, and its user is locked out: `check_passwords` finds it before the file is used.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Mapping

from nexus_cli.access.brokers.names import check_name
from nexus_cli.access.passwords import KEY_BYTES, SALT_BYTES
from nexus_cli.diagnostics.errors import NexusError

ITERATIONS = 1_000
"""Generated passwords hold 192 random bits, so iterations add nothing but time at each connect."""


def render_passwords(passwords: Mapping[str, str], *, salts: Mapping[str, bytes] | None = None) -> str:
    """The `password_file` of passwords in clear text: of NEXUS's own processes.

    Args:
        passwords: Clear text by user.
        salts: 12 bytes by user instead of fresh ones (to keep the file equal when nothing changed, and in tests).

    Raises:
        NexusError: NX7010, a name that Mosquitto would misread.
    """
    lines = {}
    for name, password in passwords.items():
        salt = (salts or {}).get(name) or os.urandom(SALT_BYTES)
        key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS, KEY_BYTES)
        lines[name] = f"{ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(key).decode()}"
    return _file(lines)


def render_hashes(hashed: Mapping[str, str]) -> str:
    """The `password_file` of stored hashes: of people and programs; the same hashes give the same file.

    Args:
        hashed: `access.passwords.Hashes.sha512` by user.

    Raises:
        NexusError: NX7010, a name that Mosquitto would misread.
    """
    return _file(hashed)


def join_passwords(*files: str) -> str:
    """One file of several; a user of two has the entry of the later one."""
    return _file({name: rest.removeprefix("$7$") for file in files for name, rest in _entries(file)})


def read_salts(text: str) -> dict[str, bytes]:
    """The salts of a password file that is in use, by user; an entry that is damaged is left out."""
    salts = {}
    for name, rest in _entries(text):
        parts = rest.split("$")
        if len(parts) == 5 and parts[1] == "7" and (salt := _decoded(parts[3])) and len(salt) == SALT_BYTES:
            salts[name] = salt
    return salts


def check_passwords(text: str) -> tuple[str, ...]:
    """The users of a password file, in its order.

    Raises:
        NexusError: NX7037, Mosquitto would drop an entry and lock its user out.
    """
    names = []
    for name, rest in _entries(text):
        parts = rest.split("$")
        problem = ""
        if len(parts) not in (4, 5) or parts[0] or parts[1] != {4: "6", 5: "7"}[len(parts)]:
            problem = "its form is not $7$iterations$salt$key"
        elif len(parts) == 5 and not (parts[2].isdecimal() and int(parts[2]) > 0):
            problem = "its iterations are not a number above 0"
        elif len(_decoded(parts[-2])) != SALT_BYTES:
            problem = f"its salt is not {SALT_BYTES} bytes in base64"
        elif len(_decoded(parts[-1])) != KEY_BYTES:
            problem = f"its key is not {KEY_BYTES} bytes in base64"
        elif name in names:
            problem = "it is there twice"
        if problem:
            raise NexusError(
                f"Mosquitto would drop the password of '{name[:60]}': {problem}.", code="NX7037", cause=problem
            )
        names.append(name)
    return tuple(names)


def _file(lines: Mapping[str, str]) -> str:
    for name in lines:
        check_name(name)
    return "".join(f"{name}:$7${rest}\n" for name, rest in sorted(lines.items())) or "\n"


def _entries(text: str) -> list[tuple[str, str]]:
    """User and the rest, as Mosquitto takes a line apart: comments and lines without ':' are skipped."""
    found = []
    for line in text.split("\n"):
        if not line.startswith("#") and ":" in line:
            name, _, rest = line.lstrip(":").partition(":")
            found.append((name.strip(), rest.partition(":")[0].strip()))
    return found


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
