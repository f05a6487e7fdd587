"""`nexus down`: the supervisor ends everything in order; what a killed supervisor left behind is ended by its id."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.local.layout import Home
from nexus_cli.local.postgres import EmbeddedPostgres
from nexus_cli.local.processes import PidFile, Running, identify, stop
from nexus_cli.local.services import BROKER, DATABASE, SUPERVISOR

PATIENCE_S = 90.0
ORDER = ("gateway", "historian", "control", BROKER, DATABASE)


def stop_runtime(home: Home, *, progress: Callable[[str], None]) -> bool:
    """End everything of this folder; False when nothing ran. Blocking.

    Raises:
        NexusError: NX6515, a process does not end.
    """
    found = False
    supervisor = PidFile(home.pid_file(SUPERVISOR)).read()
    if supervisor is not None:
        found = True
        progress("stopping")
        _end(SUPERVISOR, supervisor, signals=((signal.SIGTERM, PATIENCE_S), (signal.SIGKILL, 5.0)))
    for name, process in left_behind(home):
        found = True
        progress(f"stopping {name}, which runs without a supervisor")
        first = signal.SIGINT if name == DATABASE else signal.SIGTERM
        _end(name, process, signals=((first, 15.0), (signal.SIGKILL, 5.0)))
        PidFile(home.pid_file(name)).remove()
    (home.path / "access.applied").unlink(missing_ok=True)
    home.state_file.unlink(missing_ok=True)
    return found


def left_behind(home: Home) -> list[tuple[str, Running]]:
    """Living processes of ours by name, in the order in which they should end."""
    alive = []
    for file in home.run.glob("*.pid"):
        process = PidFile(file).read()
        if process is not None and file.stem != SUPERVISOR:
            alive.append((file.stem, process))
    if DATABASE not in dict(alive) and (home.path / "postgres" / "data").is_dir():
        pid = EmbeddedPostgres(home.path).postmaster()
        running = identify(pid) if pid is not None else None
        if running is not None:
            alive.append((DATABASE, running))
    return sorted(alive, key=lambda entry: (ORDER.index(entry[0].partition("-")[0]), entry[0]))


def _end(name: str, process: Running, *, signals: tuple[tuple[signal.Signals, float], ...]) -> None:
    if not stop(process, signals=signals):
        raise NexusError(f"{name} (process {process.pid}) does not end.", code="NX6515", exit_code=6)


def wipe(home: Home) -> bool:
    """Remove the folder with everything in it: rows, credentials, certificates, logs. False when it is not ours."""
    if not home.runtime_file.exists():
        return False
    shutil.rmtree(home.path)
    return True
