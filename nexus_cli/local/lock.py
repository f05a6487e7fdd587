"""The locks of the supervisors on this machine, one per `.nexus` folder, stored outside of it.

One file per folder, in a folder of the user (`/tmp/nexus-UID`, or `NEXUS_LOCKS`). The supervisor holds the file's lock
while it runs, and the file names it; so the lock survives `rm -rf .nexus`, ends with its process, and a second runtime
of the same site is detected before it polls the same devices.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.local.layout import Home
from nexus_cli.local.processes import Running, is_alive

LOCKS = "NEXUS_LOCKS"
PATIENCE_S = 2.0
"""How long to wait for the lock, in seconds: `nexus up` holds it briefly, to name the supervisor that it started."""


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """The holder of a lock.

    Attributes:
        pid: Process id.
        started: Its start, as in `processes.Running`.
        site: `enterprise/site`.
        home: The folder when it started.
        instance: The runtime.
        beside: True when it was started to run beside another runtime of its site.
    """

    pid: int
    started: float
    site: str
    home: str
    instance: str
    beside: bool = False

    @property
    def process(self) -> Running:
        """The holder's process."""
        return Running(pid=self.pid, started=self.started)


def lock_folder(environ: Mapping[str, str] | None = None) -> Path:
    """The folder of this user's locks; created when missing.

    Raises:
        NexusError: NX6516, it can't be created, or belongs to another user.
    """
    given = (os.environ if environ is None else environ).get(LOCKS, "")
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(given) if given else Path(tempfile.gettempdir(), f"nexus-{user}")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        seen = folder.lstat()
    except OSError as error:
        raise _unusable(folder, str(error)) from None
    # Through a folder that another user made in /tmp he could direct signals to any process.
    if not given and (not stat.S_ISDIR(seen.st_mode) or seen.st_uid != user or seen.st_mode & 0o022):
        raise _unusable(folder, "it is not a folder of this user alone")
    return folder


def _unusable(folder: Path, cause: str) -> NexusError:
    return NexusError(
        f"The folder {folder} can't hold the locks of runtimes.",
        code="NX6516",
        cause=cause,
        hint=f"remove it, or name another folder in {LOCKS}",
    )


def holders(folder: Path) -> list[Holder]:
    """The running supervisors, by their locks."""
    found = (_read(file) for file in sorted(folder.glob("*.lock")))
    return [holder for holder in found if holder is not None and is_alive(holder.process)]


def holder_of(home: Home, folder: Path) -> Holder | None:
    """The supervisor of a folder, also if the folder was moved since its start."""
    instance = home.instance()
    for holder in holders(folder):
        if holder.home == str(home.path):
            return holder
        if instance and holder.instance == instance and Home(Path(holder.home)).instance() != instance:
            return holder
    return None


def announce(home: Home, holder: Holder, folder: Path) -> None:
    """Write the name of a supervisor that was just started and has not taken its lock yet."""
    with _file(home, folder).open("a+b") as file:
        if _taken(file.fileno()):
            _write(file.fileno(), holder)


@contextmanager
def held(home: Home, holder: Holder, folder: Path) -> Iterator[None]:
    """Hold the folder's lock; the operating system releases it when the process ends.

    Raises:
        NexusError: NX6515, another supervisor has it; the hint names its process.
    """
    path = _file(home, folder)
    with path.open("a+b") as file:
        deadline = time.monotonic() + PATIENCE_S
        while not _taken(file.fileno()):
            if time.monotonic() > deadline:
                other = _read(path)
                who = f" (process {other.pid})" if other is not None else ""
                raise NexusError(
                    f"Another supervisor{who} runs for {home.path}.",
                    code="NX6515",
                    hint="`nexus status` shows it, `nexus down` ends it",
                )
            time.sleep(0.02)
        _write(file.fileno(), holder)
        try:
            yield
        finally:
            os.ftruncate(file.fileno(), 0)


def keep_fresh(home: Home, folder: Path) -> None:
    """Touch the lock's file, since cleaners of `/tmp` delete old files."""
    try:
        os.utime(_file(home, folder))
    except OSError:
        pass  # it was removed: the lock is still held, and the processes still have their variables


def _file(home: Home, folder: Path) -> Path:
    return folder / (hashlib.sha256(os.fsencode(home.path)).hexdigest()[:24] + ".lock")


def _taken(descriptor: int) -> bool:
    import fcntl  # noqa: PLC0415 - POSIX only, and `nexus status` runs on any system

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _write(descriptor: int, holder: Holder) -> None:
    data = msgspec.json.encode(holder)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, data, 0)


def _read(path: Path) -> Holder | None:
    for _ in range(3):
        try:
            data = path.read_bytes()
            return msgspec.json.decode(data, type=Holder) if data else None
        except OSError:
            return None
        except msgspec.MsgspecError:
            time.sleep(0.01)  # it is being written
    return None
