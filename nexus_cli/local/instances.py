"""Finds the processes of a `.nexus` folder by their environment.

Each process that a supervisor starts has three environment variables: the folder at its start, the id of the runtime,
and the name of the part. Files in the folder may be removed, moved or copied while processes run; the variables stay
correct.

See docs/decisions/0045.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from nexus_cli.local.identity import server_users
from nexus_cli.local.layout import Home
from nexus_cli.local.processes import Running, identify

HOME = "NEXUS_HOME"
INSTANCE = "NEXUS_INSTANCE"
PART = "NEXUS_PART"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A running process of one of this user's runtimes.

    Attributes:
        name: `supervisor`, `broker`, `database`, `control`, `historian`, `web`, `worker`, `gateway-NAME`.
        instance: The id of its runtime.
        home: The `.nexus` folder at its start.
    """

    name: str
    process: Running
    instance: str
    home: Path


def marks(home: Home, instance: str, name: str) -> dict[str, str]:
    """The variables that identify a part."""
    return {HOME: str(home.path), INSTANCE: instance, PART: name}


def original_of(home: Home) -> Path | None:
    """The folder of which this one is a copy, while the original's runtime runs: the addresses in the files are that
    runtime's."""
    instance = home.instance()
    elsewhere = (part.home for part in living_parts() if instance and part.instance == instance)
    return next((path for path in elsewhere if not _same(path, home.path) and holds(path, instance)), None)


def _same(one: Path, other: Path) -> bool:
    """Whether two paths are the same folder, also through a link or a bind mount."""
    try:
        return one == other or one.samefile(other)
    except OSError:
        return False


def parts_of(home: Home) -> list[Part]:
    """The running parts that were started with this folder, also under the path from which it was moved.

    A *copied* folder has the instance of its original, whose processes are not included.
    """
    instance = home.instance()
    return [
        part
        for part in living_parts()
        if part.home == home.path or (instance and part.instance == instance and not holds(part.home, instance))
    ]


def own(home: Home, process: Running | None) -> Running | None:
    """A process that a file of this folder names, if it may belong to the folder, else None.

    The files of a copied folder name processes of the original, whose environment shows that. A process without the
    variables (started by hand, or unreadable) may belong.
    """
    if process is None:
        return None
    named = [part for part in living_parts() if part.process == process]
    return process if not named or any(part.process == process for part in parts_of(home)) else None


def holds(folder: Path, instance: str) -> bool:
    """True when the folder belongs to this runtime."""
    return Home(folder).instance() == instance


def living_parts() -> list[Part]:
    """All running parts of all runtimes that this user may inspect, without children of parts."""
    found: dict[int, tuple[Part, int]] = {}
    for pid, parent, user, environment in _environments():
        process = identify(pid)
        if process is not None and _may_be(user, Path(environment.get(HOME, ""))):
            part = Part(
                name=environment[PART],
                process=process,
                instance=environment.get(INSTANCE, ""),
                home=Path(environment.get(HOME, "")),
            )
            found[pid] = (part, parent)

    def is_child(part: Part, parent: int) -> bool:
        above = found.get(parent)
        return above is not None and (above[0].instance, above[0].name) == (part.instance, part.name)

    return [part for part, parent in found.values() if not is_child(part, parent)]


def _may_be(user: int, home: Path) -> bool:
    """Whether a process of this user may be a part of that folder: any user can set these variables on his own
    processes, and root sees them all."""
    if not hasattr(os, "getuid") or user == os.getuid():
        return True
    if os.getuid() != 0:
        return False
    there = next((folder for folder in (home, *home.parents) if folder.exists()), None)
    return user in server_users() or (there is not None and user == there.stat().st_uid)


def _environments() -> Iterator[tuple[int, int, int, Mapping[str, str]]]:
    """Process id, parent, user and environment of the processes with `NEXUS_PART`."""
    if sys.platform == "linux":
        for folder in Path("/proc").iterdir():
            if not folder.name.isdecimal():
                continue
            try:
                data = (folder / "environ").read_bytes()
                if f"{PART}=".encode() not in data:
                    continue
                # proc(5): "Uid:" begins with the real user. The folder's owner is root where a process hides its memory.
                status = dict(
                    line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line
                )
                parent, user = int(status["PPid"]), int(status["Uid"].split()[0])
            except (OSError, ValueError, KeyError, IndexError):
                continue  # another user's process, or it has just ended
            pairs = (os.fsdecode(entry).partition("=") for entry in data.split(b"\0"))
            environment = {name: value for name, _, value in pairs}
            if environment.get(PART):
                yield int(folder.name), parent, user, environment
        return
    for process in psutil.process_iter():
        try:
            environment = process.environ()
            if environment.get(PART):
                yield process.pid, process.ppid(), process.uids().real, environment
        except (psutil.Error, OSError):
            continue
