"""Passwords that the site file names (`password: ${env:…}`, `${file:…}`): read here, kept as hashes, followed when they change.

They stay in the first slot, so that the account at a broker keeps its name. One that can't be read leaves what is
stored: a control that starts without a variable locks no user out. See docs/decisions/0076.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from nexus_cli.access.grants import CONTROL
from nexus_cli.access.passwords import Hashes, hash_password, verify_at_broker
from nexus_cli.database import credentials
from nexus_cli.database import deployments as db
from nexus_cli.database.connect import Connection
from nexus_cli.drivers.base import DriverError
from nexus_cli.drivers.secrets import resolve
from nexus_cli.model.access_config import APPLICATION, UserConfig
from nexus_cli.model.resources import decode
from nexus_cli.model.snapshot import Attributes
from nexus_cli.runtime.logging import event

SITE_FILE = "site file"
"""Who made such a password."""
USER = "user."
_FILE = re.compile(r"\$\{file:([^}]+)\}")

_log = logging.getLogger("nexus.control")


class SitePasswords:
    """Follows the references of users and applications."""

    def __init__(self, site: str) -> None:
        """Nothing was read yet."""
        self._site = site
        self._problems: dict[str, str] = {}
        self._files: dict[str, tuple[int, int] | None] = {}
        self._key = secrets.token_bytes(32)
        self._kept: dict[str, tuple[bytes, int]] = {}

    def changed(self) -> bool:
        """True when a file that was read is another one now."""
        return any(_stamp(path) != seen for path, seen in self._files.items())

    def concern(self, states: Sequence[Mapping[str, Attributes]]) -> bool:
        """True when `follow` has something to do: a user refers to a password, or did so before."""
        return bool(self._files or _referring(states))

    async def follow(self, conn: Connection, states: Sequence[Mapping[str, Attributes]]) -> None:
        """Bring the stored hashes in line; of a user in several states the first one counts.

        Call inside a transaction, as the leader.
        """
        users = _referring(states)
        self._files = {path: _stamp(path) for user in users.values() for path in _files_in(user.password)}
        for name, user in users.items():
            try:
                text = await asyncio.to_thread(resolve, user.password)
                problem = "" if text else "it is empty"
            except DriverError as error:
                text, problem = "", error.message.replace("the gateway has", "there is").partition(":")[0]
            self._say(name, problem)
            if text:
                await self._keep(conn, name, text, login=user.kind != APPLICATION)

    async def _keep(self, conn: Connection, name: str, text: str, *, login: bool) -> None:
        slots = await credentials.valid(conn, self._site, name)
        first = next((each for each in slots if each.slot == credentials.SLOTS[0] and each.active), None)
        short = hashlib.blake2b(text.encode(), key=self._key).digest()  # a hash for storage takes 20 ms a user
        if first is not None:
            if self._kept.get(name) == (short, first.made):
                return
            if await asyncio.to_thread(_fits, text, first.hashes, login=login):
                self._kept[name] = (short, first.made)
                return
        hashes = await asyncio.to_thread(hash_password, text, argon2id=login)
        await credentials.put_first(conn, self._site, principal=name, hashes=hashes, made_by=SITE_FILE)
        detail = {"detail": "slot a, from the site file"}
        await db.write_audit(conn, self._site, who=CONTROL, what="rotate", subject=name, detail=detail)

    def _say(self, name: str, problem: str) -> None:
        """Log a change; never the password."""
        if problem == self._problems.get(name, ""):
            return
        self._problems[name] = problem
        if problem:
            event(_log, "a password of the site can't be read", level=logging.WARNING, user=name, cause=problem)
        else:
            event(_log, "a password of the site is read again", user=name)


def _referring(states: Sequence[Mapping[str, Attributes]]) -> dict[str, UserConfig]:
    """Users whose password the site names, sorted."""
    found: dict[str, UserConfig] = {}
    for state in states:
        for address in state:
            if address.startswith(USER) and state[address].get("password"):
                found.setdefault(address.removeprefix(USER), decode(state[address], UserConfig))
    return dict(sorted(found.items()))


def _fits(text: str, stored: Mapping[str, str], *, login: bool) -> bool:
    """Whether a stored password is this one, and has the forms that are needed (a user of the API's login has one more)."""
    hashes = msgspec.convert(stored, Hashes)
    return bool(hashes.argon2id) == login and verify_at_broker(text, hashes.sha512)


def _files_in(reference: str) -> list[str]:
    return [path.strip() for path in _FILE.findall(reference)]


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino
