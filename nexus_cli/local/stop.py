"""`nexus down`: the supervisor stops everything in order; processes without a supervisor are ended by their ids.

Running processes are found by their environment (`instances`), by the lock (`lock`) and by the pid files, in this order
of trust: files can be removed and moved while processes run.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterable

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.local.instances import own, parts_of
from nexus_cli.local.layout import SUPERVISOR, Home
from nexus_cli.local.lock import holder_of, lock_folder
from nexus_cli.local.postgres import EmbeddedPostgres
from nexus_cli.local.processes import PidFile, Running, identify, stop
from nexus_cli.local.services import BROKER, DATABASE

PATIENCE_S = 90.0
ORDER = (SUPERVISOR, "web", "worker", "gateway", "simulator", "historian", "control", BROKER, DATABASE)


def stop_runtime(home: Home, *, progress: Callable[[str], None]) -> bool:
    """Stop everything of this folder; False when nothing ran. Blocking.

    Raises:
        NexusError: NX6515, a process does not end.
    """
    supervisors = supervisors_of(home)
    if supervisors:
        progress("stopping")
    for process in supervisors:
        _end(SUPERVISOR, process, signals=((signal.SIGTERM, PATIENCE_S), (signal.SIGKILL, 5.0)))
    found = bool(supervisors)
    for name, process in left_behind(home):
        found = True
        progress(f"stopping {name}, which runs without a supervisor")
        end_parts([(name, process)])
        PidFile(home.pid_file(name)).remove(process)
    (home.path / "access.applied").unlink(missing_ok=True)
    home.state_file.unlink(missing_ok=True)
    return found


def supervisors_of(home: Home) -> list[Running]:
    """The running supervisors of this folder; several if `.nexus` was removed and created again."""
    holder = holder_of(home, lock_folder())
    found = [own(home, PidFile(home.pid_file(SUPERVISOR)).read()), holder.process if holder is not None else None]
    found += [part.process for part in parts_of(home) if part.name == SUPERVISOR]
    alive = {process.pid: process for process in found if process is not None and identify(process.pid) == process}
    return list(alive.values())


def left_behind(home: Home) -> list[tuple[str, Running]]:
    """The running processes of this folder by name, without supervisors, in the order in which they should be ended."""
    alive: dict[int, tuple[str, Running]] = {}
    for file in home.run.glob("*.pid"):
        if (process := own(home, PidFile(file).read())) is not None:
            alive[process.pid] = (file.stem, process)
    for part in parts_of(home):
        alive[part.process.pid] = (part.name, part.process)
    if (home.path / "postgres" / "data").is_dir():
        pid = EmbeddedPostgres(home.path).postmaster()
        if pid is not None and (running := own(home, identify(pid))) is not None:
            alive[running.pid] = (DATABASE, running)
    return _in_order(entry for entry in alive.values() if entry[0] != SUPERVISOR)


def end_parts(parts: Iterable[tuple[str, Running]]) -> None:
    """End processes by their ids, in the order of the data flow. Blocking.

    Raises:
        NexusError: NX6515, one does not end.
    """
    for name, process in _in_order(parts):
        # PostgreSQL's fast shutdown; a smart one (SIGTERM) waits until all clients have disconnected.
        first = signal.SIGINT if name == DATABASE else signal.SIGTERM
        _end(name, process, signals=((first, 15.0), (signal.SIGKILL, 5.0)))


def _in_order(parts: Iterable[tuple[str, Running]]) -> list[tuple[str, Running]]:
    def place(entry: tuple[str, Running]) -> tuple[int, str]:
        kind = entry[0].partition("-")[0]
        return (ORDER.index(kind) if kind in ORDER else 0, entry[0])

    return sorted(parts, key=place)


def _end(name: str, process: Running, *, signals: tuple[tuple[signal.Signals, float], ...]) -> None:
    if not stop(process, signals=signals):
        raise NexusError(f"{name} (process {process.pid}) does not end.", code="NX6515", exit_code=6)


def wipe(home: Home) -> bool:
    """Remove the folder with everything in it: rows, credentials, certificates, logs. False when it is not a `.nexus`
    folder."""
    if not home.runtime_file.exists():
        return False
    shutil.rmtree(home.path)
    return True
