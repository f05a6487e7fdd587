"""`.nexus/credentials.json`: generated once, mode 0600; broker passwords, API tokens, database passwords."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from nexus_cli.access.grants import RESERVED
from nexus_cli.atomic import alone
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import CREDENTIALS_FILE

SECRET_BYTES = 24
"""192 bits: can't be guessed, whatever the hash."""

SECTIONS = ("broker", "api", "database", "signing", "signing_public")
"""The last two: what signs our commands, and the public keys of what was made here."""


def read_credentials(home: Path) -> dict[str, dict[str, str]]:
    """All secrets by section and principal; empty sections when there is no file yet.

    Raises:
        NexusError: NX6501, the file is unreadable or not JSON.
    """
    path = home / CREDENTIALS_FILE
    try:
        data: Any = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        data = {}
    except (OSError, ValueError) as error:
        raise NexusError(
            f"The credentials in {path} can't be read.",
            code="NX6501",
            cause=type(error).__name__,
            hint="move the file away; `nexus up` writes new credentials (an existing database keeps its old password)",
        ) from None
    return {section: dict(data.get(section, {})) for section in SECTIONS}


def ensure_credentials(
    home: Path, *, broker: Iterable[str] = (), api: Iterable[str] = (), database: Iterable[str] = ()
) -> Mapping[str, Mapping[str, str]]:
    """Generate missing secrets, keep existing ones, and return all.

    Args:
        home: The `.nexus` folder; made with mode 0700 when missing.
        broker: Principals that connect to the broker.
        api: Principals that call control's API.
        database: Roles of the database.
    """
    wanted = [
        (section, name)
        for section, names in (("broker", broker), ("api", api), ("database", database))
        for name in names
    ]
    have = read_credentials(home)
    if all(name in have[section] for section, name in wanted):
        return have
    with _alone(home):
        have = read_credentials(home)
        for section, name in wanted:
            have[section].setdefault(name, secrets.token_urlsafe(SECRET_BYTES))
        _write(home, have)
    return have


def replace_own(home: Path, names: Iterable[str]) -> tuple[str, ...]:
    """New passwords for the broker and new tokens for the API; roles take them when the old ones are refused.

    Args:
        home: The `.nexus` folder.
        names: Principals of NEXUS; those without a secret here are left out.

    Returns:
        Those that have new secrets, sorted.
    """
    with _alone(home):
        have = read_credentials(home)
        changed = set()
        for section in ("broker", "api"):
            for name in set(names) & set(have[section]):
                have[section][name] = secrets.token_urlsafe(SECRET_BYTES)
                changed.add(name)
        if changed:
            _write(home, have)
    return tuple(sorted(changed))


@contextmanager
def change_credentials(home: Path) -> Iterator[dict[str, dict[str, str]]]:
    """All secrets, to be changed in the block; written at its end if they were. Raises NexusError NX6501."""
    with _alone(home):
        have = read_credentials(home)
        before = {section: dict(values) for section, values in have.items()}
        yield have
        if have != before:
            _write(home, have)


def _write(home: Path, secrets_: Mapping[str, Mapping[str, str]]) -> None:
    data = orjson.dumps(secrets_, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
    write_private(home / CREDENTIALS_FILE, data)


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """No other process changes the secrets meanwhile: the supervisor and commands do."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with alone(home / f".{CREDENTIALS_FILE}.lock"):
        yield


def ensure_own(home: Path, names: Iterable[str]) -> Mapping[str, str]:
    """Passwords for the broker of NEXUS's own principals among these names, made where they are missing.

    Declared users have none here: theirs are kept as hashes (`access.passwords`). One that an earlier version made
    is still among the answer.
    """
    return ensure_credentials(home, broker=[name for name in names if name.startswith(RESERVED)])["broker"]


def write_private(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write a temporary file with the final mode, then rename it: never incomplete, never readable by others."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
