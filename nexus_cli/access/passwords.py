"""Passwords of people and programs: made once, shown once, and kept as hashes that the API and each broker check.

NEXUS's own processes present theirs at each connect, so those stay in `.nexus/credentials.json`; those of others do not.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

MADE_BYTES = 24
"""192 bits: can't be guessed, whatever the hash."""
ITERATIONS = 20_000
"""Of PBKDF2. A broker computes it at each connect; what we make needs none, what a person chose needs many."""
SALT_BYTES = 12
"""Mosquitto 2.0 refuses any other length."""
KEY_BYTES = 64

_argon2 = PasswordHasher()


class Hashes(msgspec.Struct, frozen=True, kw_only=True):
    """One password in every form that is checked somewhere.

    Attributes:
        argon2id: For the API's login (RFC 9106, in PHC form).
        sha512: For Mosquitto and HiveMQ: `iterations$salt$key`, PBKDF2-HMAC-SHA512, salt of 12 and key of 64 bytes
            in base64.
        sha256: For EMQX: `iterations$salt$key`, PBKDF2-HMAC-SHA256; the salt is its own hexadecimal text, the key 32 bytes in hexadecimal.
    """

    argon2id: str
    sha512: str
    sha256: str


def make_password() -> str:
    """A new password: URL-safe letters and digits."""
    return secrets.token_urlsafe(MADE_BYTES)


def hash_password(password: str, *, argon2id: bool = True, iterations: int = ITERATIONS) -> Hashes:
    """Hash a password in every form.

    Args:
        password: Clear text.
        argon2id: False leaves that form empty: who has no login at the API needs none, and it costs 50 ms.
        iterations: Of PBKDF2, at least 1.
    """
    salt, text = os.urandom(SALT_BYTES), os.urandom(16).hex()
    key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, iterations, KEY_BYTES)
    other = hashlib.pbkdf2_hmac("sha256", password.encode(), text.encode(), iterations, 32)
    return Hashes(
        argon2id=_argon2.hash(password) if argon2id else "",
        sha512=f"{iterations}${base64.b64encode(salt).decode()}${base64.b64encode(key).decode()}",
        sha256=f"{iterations}${text}${other.hex()}",
    )


def verify(password: str, hashes: Hashes) -> bool:
    """True when it is the password, by its argon2id form; a form that is empty or damaged fits nothing."""
    try:
        return _argon2.verify(hashes.argon2id, password)
    except (VerifyMismatchError, VerificationError, InvalidHashError):
        return False


def verify_at_broker(password: str, hashed: str) -> bool:
    """True when it is the password, by its `sha512` form (for a broker that we are ourselves)."""
    iterations, _, rest = hashed.partition("$")
    salt, _, key = rest.partition("$")
    try:
        made = hashlib.pbkdf2_hmac("sha512", password.encode(), base64.b64decode(salt), int(iterations), KEY_BYTES)
        return hmac.compare_digest(made, base64.b64decode(key))
    except ValueError:  # it is damaged
        return False
