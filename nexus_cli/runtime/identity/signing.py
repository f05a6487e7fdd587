"""The keys that sign API tokens: made by control in `.nexus/signing.json` (mode 0600), two valid while one replaces the
other. Every control of a site needs the same file.

See docs/decisions/0072.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from nexus_cli.atomic import create_file, replace_file
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings

SIGNING_FILE = "signing.json"
KEY_BYTES = 32
"""As long as the hash: RFC 7518 §3.2 demands at least that."""


class SigningKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key: its id, the secret in hexadecimal, and when it was made (µs since 1970 UTC)."""

    kid: str
    secret: str
    made: int

    @property
    def bytes(self) -> bytes:
        """The secret."""
        return bytes.fromhex(self.secret)


class _File(msgspec.Struct, frozen=True, kw_only=True):
    """The newest key first."""

    keys: list[SigningKey]


@dataclass(frozen=True, slots=True)
class _Seen:
    stamp: tuple[int, int] | None = None
    keys: tuple[SigningKey, ...] = ()


class SigningKeys:
    """The keys of a site; the file is read again when it changed."""

    def __init__(self, file: Path) -> None:
        """Read and write this file; nothing happens yet."""
        self._file = file
        self._seen = _Seen()

    @classmethod
    def of(cls, settings: Settings) -> SigningKeys:
        """Those in the `.nexus` folder."""
        return cls(settings.home / SIGNING_FILE)

    def current(self) -> SigningKey:
        """The key that signs; it is made when there is none.

        Raises:
            NexusError: NX6424, the file can't be read or written.
        """
        keys = self._read()
        if keys:
            return keys[0]
        self._create()
        keys = self._read()
        if not keys:
            raise _unusable(self._file, "it was written, and is not there")
        return keys[0]

    def find(self, kid: str) -> SigningKey | None:
        """The key of this id, while it is valid."""
        return next((key for key in self._read() if key.kid == kid), None)

    def renew(self) -> tuple[SigningKey, SigningKey | None]:
        """Make a new key; gives it, and the one before it, which stays valid until the next renewal.

        Raises:
            NexusError: NX6424, the file can't be read or written.
        """
        previous = next(iter(self._read()), None)
        made = _new_key()
        self._write([made, *([previous] if previous else [])])
        return made, previous

    def _read(self) -> tuple[SigningKey, ...]:
        stamp = _stamp(self._file)
        if stamp is None:
            self._seen = _Seen()
        elif stamp != self._seen.stamp:
            try:
                found = msgspec.json.decode(self._file.read_bytes(), type=_File)
                keys = tuple(key for key in found.keys if len(key.bytes) >= KEY_BYTES)
            except (OSError, ValueError, msgspec.MsgspecError) as error:
                raise _unusable(self._file, type(error).__name__) from None
            self._seen = _Seen(stamp, keys)
        return self._seen.keys

    def _write(self, keys: list[SigningKey]) -> None:
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(self._file, msgspec.json.encode(_File(keys=keys)), mode=0o600)
        except OSError as error:
            raise _unusable(self._file, type(error).__name__) from None

    def _create(self) -> None:
        """Write the first key unless another control just did: the name appears at once, with its content."""
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                create_file(self._file, msgspec.json.encode(_File(keys=[_new_key()])), mode=0o600)
        except OSError as error:
            raise _unusable(self._file, type(error).__name__) from None


def _new_key() -> SigningKey:
    return SigningKey(kid=secrets.token_hex(8), secret=secrets.token_hex(KEY_BYTES), made=time.time_ns() // 1000)


def _unusable(file: Path, cause: str) -> NexusError:
    return NexusError(f"The signing keys in {file} can't be used.", code="NX6424", cause=cause)


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino
