"""Child processes of tests that are sent signals."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any


def bare_environment(locks: Path) -> dict[str, str]:
    """Our environment without NEXUS_* variables, on a machine of its own as far as other runtimes are concerned.

    Args:
        locks: A folder for the locks of runtimes (`local.lock`).
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NEXUS_")}
    return {**kept, "NEXUS_LOCKS": str(locks)}


def hearing_signals() -> dict[str, Any]:
    """Arguments of `Popen` for a child with the default SIGINT and SIGHUP.

    A test run that a script started in the background, or `nohup`, has them ignored, and children inherit that.
    """
    return {} if sys.platform == "win32" else {"preexec_fn": _defaults}


def _defaults() -> None:
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def deaf_to(*numbers: signal.Signals) -> dict[str, Any]:
    """Arguments of `Popen` for a child that inherits these signals as ignored (`&` in a script, `nohup`)."""
    assert os.name == "posix"

    def ignore() -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)

    return {"preexec_fn": ignore}
