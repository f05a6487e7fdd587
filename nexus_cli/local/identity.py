"""The unprivileged system user that servers run as when `nexus` itself runs as root.

Nothing is created and no parent folder is opened: the server's own folder is given to the user, and the server is
started *inside* it, so that relative paths (and `/proc/self/cwd`) reach it although its parents stay closed.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from nexus_cli.diagnostics.errors import NexusError


class PopenArguments(TypedDict, total=False):
    """Keyword arguments of `subprocess`."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Identity:
    """A system user to run a server as."""

    name: str
    uid: int
    gid: int

    def popen_arguments(self) -> PopenArguments:
        """Keyword arguments of `subprocess` that drop to this user, supplementary groups included."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def unprivileged(*candidates: str) -> Identity | None:
    """The first of these users that exists, if this process is root; None if it is not, and so already unprivileged.

    Raises:
        NexusError: NX6503, this process is root and none of them exists.
    """
    if sys.platform == "win32" or os.geteuid() != 0:
        return None
    import pwd  # noqa: PLC0415 - not on every system

    for name in candidates:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Identity(name, entry.pw_uid, entry.pw_gid)
    raise NexusError(
        "Servers must not run as root, and no unprivileged system user was found.",
        code="NX6503",
        cause=f"looked for {', '.join(candidates)}",
    )


SERVER_USERS = ("mosquitto", "nexus", "postgres", "nobody")
"""Candidates for the user of servers when this process is root."""


def server_users() -> frozenset[int]:
    """The ids of those users that exist."""
    if sys.platform == "win32":
        return frozenset()
    import pwd  # noqa: PLC0415 - not on every system

    found = set()
    for name in SERVER_USERS:
        with suppress(KeyError):
            found.add(pwd.getpwnam(name).pw_uid)
    return frozenset(found)


def private_folder(path: Path, identity: Identity | None) -> Path:
    """Make a folder that only its server can read (mode 0700), owned by the identity."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    if identity is not None:
        os.chown(path, identity.uid, identity.gid)
    return path


def hand_over(path: Path, identity: Identity | None, *, mode: int = 0o600) -> None:
    """Give a file to the identity, with this mode."""
    path.chmod(mode)
    if identity is not None:
        os.chown(path, identity.uid, identity.gid)
