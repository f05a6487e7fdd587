"""Carrying out the faults of a schedule on a running plant."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.deploying import Deploying
from tests.chaos.hostile import Target, attack
from tests.chaos.network import PASS, SLOW, Proxy, State
from tests.chaos.parts import ChaosRuntime
from tests.chaos.schedule import Fault

FULL_PIECE = 64 << 10
OLDER_AFTER_S = 4.0
"""Age of the copy that an outbox folder is set back to."""


@dataclass(slots=True, kw_only=True)
class Done:
    """One fault as it happened.

    Attributes:
        begun_us: True time, µs.
        ended_us: True time, µs; 0 while it lasts.
        note: What came of it; "" when there is nothing to say.
        skipped: It could not be carried out here, and why is in `note`.
    """

    fault: Fault
    begun_us: int
    ended_us: int = 0
    note: str = ""
    skipped: bool = False

    def to_json(self) -> dict[str, Any]:
        """For the report."""
        return {
            **self.fault.to_json(),
            "begun_us": self.begun_us,
            "ended_us": self.ended_us,
            "note": self.note,
            "skipped": self.skipped,
        }


@dataclass(kw_only=True)
class Chaos:
    """Carries faults out, each in a task of its own.

    Attributes:
        done: What happened so far, in order of the beginning.
    """

    runtime: ChaosRuntime
    proxies: Mapping[str, Proxy]
    deploying: Deploying
    target: Target
    done: list[Done] = field(default_factory=list)

    async def run(self, faults: tuple[Fault, ...], *, seconds: float, tell: Any) -> None:
        """Carry out a schedule; returns when the time is up and the last fault is over."""
        began_s = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                await asyncio.sleep(max(0.0, began_s + fault.at_s - time.monotonic()))
                group.create_task(self._one(fault, tell), name=f"{fault.kind} {fault.target}")
            await asyncio.sleep(max(0.0, began_s + seconds - time.monotonic()))

    async def _one(self, fault: Fault, tell: Any) -> None:
        done = Done(fault=fault, begun_us=time.time_ns() // 1000)
        self.done.append(done)
        tell(f"{fault.kind} {fault.target} {fault.lasts_s:g} s {dict(fault.detail) or ''}")
        try:
            done.note = await ACTS[fault.kind](self, fault) or ""
        except NotPossible as error:
            done.skipped, done.note = True, str(error)
        finally:
            done.ended_us = time.time_ns() // 1000
        if done.note:
            tell(f"{fault.kind} {fault.target}: {done.note}")

    async def kill(self, fault: Fault) -> str:
        """SIGKILL; the part is started again after its time."""
        await asyncio.to_thread(self.runtime.kill_part, fault.target)
        await asyncio.sleep(fault.lasts_s)
        await asyncio.to_thread(self.runtime.start_part, fault.target)
        return ""

    async def stop(self, fault: Fault) -> str:
        """SIGSTOP to the part and its children, and SIGCONT after its time."""
        self.runtime.send(fault.target, signal.SIGSTOP)
        try:
            await asyncio.sleep(fault.lasts_s)
        finally:
            self.runtime.send(fault.target, signal.SIGCONT)
        return ""

    async def network(self, fault: Fault) -> str:
        """Cut or slow one connection."""
        mode = str(fault.detail["mode"])
        proxy = self.proxies[fault.target]
        proxy.set(State(mode, float(fault.detail.get("delay_s", 0.0)) if mode == SLOW else 0.0))
        try:
            await asyncio.sleep(fault.lasts_s)
        finally:
            proxy.set(State(PASS))
        return ""

    async def clock(self, fault: Fault) -> str:
        """Set a role's wall clock off, and right again."""
        self.runtime.set_clock(fault.target, float(fault.detail["offset_s"]))
        try:
            await asyncio.sleep(fault.lasts_s)
        finally:
            self.runtime.set_clock(fault.target, 0.0)
        return ""

    async def disk(self, fault: Fault) -> str:
        """Fill a disk, and make room again. A database that gave up is started again, as a service manager does."""
        database = fault.target == "database"
        folder = self.runtime.database_disk if database else self.runtime.outbox(fault.target)
        if folder not in self.runtime.disks.mounted:
            raise NotPossible("this user may not mount a small disk")
        filler = folder / "filler"
        await asyncio.to_thread(fill, filler)
        try:
            await asyncio.sleep(fault.lasts_s)
        finally:
            filler.unlink(missing_ok=True)
        if database and not self.runtime.pids("database"):
            await asyncio.to_thread(self.runtime.start_part, "database")
            return "PostgreSQL had given up and was started again"
        return ""

    async def broken(self, fault: Fault) -> str:
        """Kill a gateway, damage its outbox or set it back to an older copy, and start it."""
        folder, mode = self.runtime.outbox(fault.target), fault.detail["mode"]
        rng = random.Random(int(fault.detail["seed"]))
        copy = self.runtime.folder / f"older-{fault.target}"
        if mode == "older":
            await asyncio.to_thread(copy_files, folder, copy)
            await asyncio.sleep(OLDER_AFTER_S)
        await asyncio.to_thread(self.runtime.kill_part, fault.target)
        if mode == "older":
            note = "set back"
            await asyncio.to_thread(set_back, folder, copy)
        else:
            note = await asyncio.to_thread(damage, folder, str(mode), rng)
        await asyncio.sleep(fault.lasts_s)
        await asyncio.to_thread(self.runtime.start_part, fault.target)
        return note

    async def hostile(self, fault: Fault) -> str:
        """Attack for a while."""
        return f"{await attack(fault.target, self.target, lasts_s=fault.lasts_s)} attempts"

    async def deploy(self, fault: Fault) -> str:
        """Change the site and apply it; tried again until it is applied."""
        return await self.deploying.change(str(fault.detail["change"]), random.Random(int(fault.detail["seed"])))


class NotPossible(Exception):
    """A fault that this machine or user can't carry out."""


def fill(path: Path) -> None:
    """Write until the disk is full."""
    piece = b"\0" * FULL_PIECE
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while len(piece):
            written = file.write(piece)
            piece = piece if written == len(piece) else piece[: len(piece) // 2]


def copy_files(folder: Path, copy: Path) -> None:
    """Copy what an outbox folder holds while it is in use, as a snapshot of a disk would."""
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for file in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # a segment that was committed meanwhile
            if file.is_file():
                shutil.copy2(file, copy / file.name)


def set_back(folder: Path, copy: Path) -> None:
    """Make a folder what the copy is."""
    for file in folder.iterdir():
        if file.is_file():
            file.unlink()
    for file in copy.iterdir():
        shutil.copy2(file, folder / file.name)


def damage(folder: Path, mode: str, rng: random.Random) -> str:
    """Flip bytes in the last written part of the newest segment, or cut its end off; gives what was done.

    Args:
        mode: `flip` or `truncate`.
    """
    segments = sorted(file for file in folder.iterdir() if file.is_file() and file.stat().st_size > 4096)
    if not segments:
        return "nothing to damage"
    file = max(segments, key=lambda one: one.stat().st_mtime_ns)
    data = file.read_bytes()
    used = len(data.rstrip(b"\0"))
    if used < 64:
        return "nothing to damage"
    if mode == "truncate":
        cut = rng.randrange(used // 2, used)
        os.truncate(file, cut)
        return f"{file.name} cut at {cut} of {used} bytes"
    with file.open("r+b") as opened:
        for _ in range(3):
            place = rng.randrange(used // 3, used)
            opened.seek(place)
            opened.write(bytes([data[place] ^ (1 << rng.randrange(8))]))
    return f"3 bits of {file.name} flipped"


ACTS = {
    "kill": Chaos.kill,
    "stop": Chaos.stop,
    "cut": Chaos.network,
    "slow": Chaos.network,
    "clock": Chaos.clock,
    "disk": Chaos.disk,
    "broken": Chaos.broken,
    "hostile": Chaos.hostile,
    "deploy": Chaos.deploy,
}
