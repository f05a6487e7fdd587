"""The verb of `nexus down`: stop the runtime of this folder."""

from __future__ import annotations

import os
from collections.abc import Callable

from nexus_cli.local.layout import Home
from nexus_cli.local.stop import stop_runtime
from nexus_cli.local.stop import wipe as remove
from nexus_cli.settings import home_folder


def down(*, wipe: bool = False, progress: Callable[[str], None]) -> bool:
    """Stop the runtime of this folder in order; with `wipe` remove rows, credentials and logs too.

    Returns:
        False when nothing ran (and nothing was wiped).
    """
    home = Home(home_folder(os.environ).resolve())  # also where a file in it is broken
    found = stop_runtime(home, progress=progress)
    return (remove(home) if wipe else False) or found
