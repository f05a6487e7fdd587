"""The supervisor of a folder, and its state of each service. Loads no MQTT."""

from __future__ import annotations

from nexus_cli.local.instances import own, parts_of
from nexus_cli.local.layout import SUPERVISOR, Home
from nexus_cli.local.lock import holder_of, lock_folder
from nexus_cli.local.processes import PidFile, Running
from nexus_cli.local.service_state import ServiceState, decode_states


def supervisor_runs(home: Home) -> bool:
    """True while a supervisor of this folder runs."""
    return supervisor_of(home) is not None


def supervisor_of(home: Home) -> Running | None:
    """The supervisor of this folder: by its pid file, by its lock, or by its environment."""
    named = own(home, PidFile(home.pid_file(SUPERVISOR)).read())
    if named is not None:
        return named
    holder = holder_of(home, lock_folder())
    if holder is not None:
        return holder.process
    return next((part.process for part in parts_of(home) if part.name == SUPERVISOR), None)


def read_state(home: Home) -> dict[str, ServiceState]:
    """The supervisor's state by service; empty when none runs."""
    if not supervisor_runs(home):
        return {}
    try:
        return decode_states(home.state_file.read_bytes())
    except (OSError, ValueError):
        return {}
