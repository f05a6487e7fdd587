"""The likely correction of a path that does not exist: the nearest name in its folder, or the folder that is missing."""

from __future__ import annotations

import os
from pathlib import Path

from nexus_cli.diagnostics.suggest import nearest


def hint_of_missing(path: Path | str) -> str:
    """One sentence for the finding that names the path; "" when no name there is similar.

    Files and folders that begin with a dot are never proposed.
    """
    missing = Path(path)
    while not os.path.lexists(missing.parent):
        missing = missing.parent
    name, folder = missing.name, missing.parent
    try:
        names = [item.name for item in folder.iterdir() if not item.name.startswith(".")]
    except OSError:
        return ""
    near = nearest(name, names)
    offered = f"did you mean '{(folder / near).as_posix()}'?" if near else ""
    if missing == Path(path):
        return offered
    return f"there is no folder '{missing.as_posix()}'" + (f"; {offered}" if offered else "")
