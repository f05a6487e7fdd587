"""Passwords in the form that an authenticator of EMQX checks. A password itself never goes to EMQX. Pure but for salts.

Source: `emqx_passwd.erl` of EMQX 5.8.9: the salt is used as the text that is stored, not as the bytes it may mean.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nexus_cli.access.passwords import ITERATIONS, Hashes

_DIGESTS = {"sha256": 32, "sha512": 64}
_PREFIX, _SUFFIX, _PBKDF2 = "prefix", "suffix", "pbkdf2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """How an authenticator hashes.

    Attributes:
        digest: `sha256` or `sha512`.
        salt_position: `prefix` or `suffix`; "" for PBKDF2.
        iterations: Of PBKDF2; 0 for one round of the digest.
    """

    digest: str
    salt_position: str = ""
    iterations: int = 0

    def __str__(self) -> str:
        return f"pbkdf2-{self.digest}-{self.iterations}" if self.iterations else f"{self.digest}-{self.salt_position}"


OURS = Algorithm(digest="sha256", iterations=ITERATIONS)
"""Of an authenticator that the push makes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserHash:
    """One password, hashed. Its representation shows nothing of it.

    Attributes:
        algorithm: By its name.
        salt: Text.
        key: Hexadecimal.
    """

    algorithm: str
    salt: str
    key: str

    def __repr__(self) -> str:
        return f"UserHash({self.algorithm})"

    @property
    def kept(self) -> str:
        """As `.nexus/emqx.json` keeps it."""
        return f"{self.algorithm}${self.salt}${self.key}"


def read_kept(text: str) -> UserHash | None:
    """The form of `UserHash.kept`; None when it is not one."""
    parts = text.split("$")
    return UserHash(algorithm=parts[0], salt=parts[1], key=parts[2]) if len(parts) == 3 else None


def algorithm_of(plain: Mapping[str, Any]) -> Algorithm | None:
    """`password_hash_algorithm` of an authenticator; None for one that can check none of our hashes (bcrypt, md5, …)."""
    name = str(plain.get("name", ""))
    if name == _PBKDF2:
        digest, iterations = str(plain.get("mac_fun", "")), plain.get("iterations")
        ours = digest in _DIGESTS and isinstance(iterations, int) and not plain.get("dk_length")
        return Algorithm(digest=digest, iterations=int(iterations or 0)) if ours else None
    position = str(plain.get("salt_position", _PREFIX))
    if name in _DIGESTS and position in (_PREFIX, _SUFFIX):
        return Algorithm(digest=name, salt_position=position)
    return None


def written(algorithm: Algorithm) -> dict[str, Any]:
    """`password_hash_algorithm` as the API takes it."""
    if algorithm.iterations:
        return {"name": _PBKDF2, "mac_fun": algorithm.digest, "iterations": algorithm.iterations}
    return {"name": algorithm.digest, "salt_position": algorithm.salt_position}


def hash_for(algorithm: Algorithm, password: str, *, salt: str = "") -> UserHash:
    """Hash a password as the authenticator will check it; a new salt of 128 bits unless one is given."""
    salt = salt or os.urandom(16).hex()
    if algorithm.iterations:
        size = _DIGESTS[algorithm.digest]
        key = hashlib.pbkdf2_hmac(algorithm.digest, password.encode(), salt.encode(), algorithm.iterations, size)
        return UserHash(algorithm=str(algorithm), salt=salt, key=key.hex())
    text = salt + password if algorithm.salt_position == _PREFIX else password + salt
    return UserHash(algorithm=str(algorithm), salt=salt, key=hashlib.new(algorithm.digest, text.encode()).hexdigest())


def fits(algorithm: Algorithm, password: str, have: UserHash) -> bool:
    """True when `have` is this password in the authenticator's form."""
    if have.algorithm != str(algorithm):
        return False
    return hmac.compare_digest(hash_for(algorithm, password, salt=have.salt).key, have.key)


def of_hashes(algorithm: Algorithm, hashes: Hashes) -> UserHash | None:
    """The EMQX form of stored hashes; None when the authenticator checks another one."""
    parts = hashes.sha256.split("$")
    if len(parts) != 3 or str(algorithm) != f"pbkdf2-sha256-{parts[0]}":
        return None
    return UserHash(algorithm=str(algorithm), salt=parts[1], key=parts[2])
