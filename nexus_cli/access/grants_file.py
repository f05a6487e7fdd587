"""From control to the broker that `nexus up` runs: `.nexus/access.json` holds grants and password hashes, the supervisor applies them.

Control writes the file before it notifies gateways of a deployment (old and new rights together), once more when
the deployment is final, and whenever a password or a period changes them. The supervisor renders and reloads, then
writes the digest of what is in force into `.nexus/access.applied`. Where another broker is used there is no answer,
and control does not wait.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import orjson

from nexus_cli.access.grants import Grant, from_json, to_json
from nexus_cli.access.passwords import Hashes
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.config import digest

GRANTS_FILE = "access.json"
APPLIED_FILE = "access.applied"
POLL_S = 0.02
ALTERED = "altered "
"""Begins `APPLIED_FILE` in the place of a digest."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What control wants to be in force at the broker.

    Attributes:
        grants: Every grant.
        people: Password of each declared user that has one, by account, in the forms that brokers check.
    """

    grants: tuple[Grant, ...]
    people: Mapping[str, Hashes] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Equal for equal rights and passwords."""
        return digest(self._plain())

    def _plain(self) -> Any:
        """A list of grants, as earlier versions wrote it, where no user has a password."""
        listed = to_json(self.grants)
        people = {name: msgspec.to_builtins(hashes) for name, hashes in sorted(self.people.items())}
        return {"grants": listed, "people": people} if people else listed

    def encoded(self) -> bytes:
        """The contents of the file."""
        return orjson.dumps(self._plain(), option=orjson.OPT_INDENT_2)

    def write(self, home: Path) -> str:
        """Ask for it in a `.nexus` folder; gives the digest to wait for."""
        data = self.encoded()
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = home / f".{GRANTS_FILE}.{os.getpid()}.{secrets.token_hex(4)}"
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
        beside.replace(home / GRANTS_FILE)
        return self.digest


NOTHING = Wanted(())


def is_asked(home: Path, wanted: Wanted) -> bool:
    """Whether a `.nexus` folder asks for exactly this, and the local broker obeys, where there is one. Writing it again would change nothing.

    What is asked for and not in force is worth asking again: the supervisor looks at a file that changes.
    """
    if in_force(home) not in (wanted.digest, ""):
        return False
    try:
        return (home / GRANTS_FILE).read_bytes() == wanted.encoded()
    except OSError:
        return False


def read_wanted(home: Path) -> Wanted | None:
    """What control asked for; None before the first deployment.

    Raises:
        NexusError: NX7011, the file is not what control writes.
    """
    try:
        data = orjson.loads((home / GRANTS_FILE).read_bytes())
        grants, people = (data["grants"], data["people"]) if isinstance(data, dict) else (data, {})
        return Wanted(from_json(grants), msgspec.convert(people, dict[str, Hashes]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise NexusError(
            f"The rights in {home / GRANTS_FILE} can't be read; those in force stay.",
            code="NX7011",
            cause=str(error)[:200],
        ) from None


def mark_applied(home: Path, applied: str) -> None:
    """The supervisor's word: these rights are in force."""
    beside = home / f".{APPLIED_FILE}.{os.getpid()}"
    beside.write_text(applied, encoding="ascii")
    beside.replace(home / APPLIED_FILE)


def mark_altered(home: Path, names: Sequence[str]) -> None:
    """The supervisor's word: another hand changed these files of the broker, so that what is in force is not known."""
    mark_applied(home, f"{ALTERED}{' '.join(names)}")


def altered_by_hand(applied: str) -> str:
    """The names of the files that `in_force` says another hand changed; "" for none."""
    return applied.removeprefix(ALTERED) if applied.startswith(ALTERED) else ""


def in_force(home: Path) -> str:
    """Digest of the rights in force; "" when no local broker obeys us; no digest while the broker's files are altered."""
    try:
        return (home / APPLIED_FILE).read_text(encoding="ascii").strip()
    except OSError:
        return ""


async def wait_in_force(home: Path, wanted: str, *, timeout_s: float = 5.0) -> bool:
    """Wait until the local broker has taken the rights over; True at once when no local broker obeys us."""
    if not in_force(home):
        return True
    try:
        async with asyncio.timeout(timeout_s):
            while in_force(home) not in (wanted, ""):  # noqa: ASYNC110 - another process writes the file
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        return False
    return True
