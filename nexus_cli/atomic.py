"""Files that are replaced at once: a reader sees the old content or the new one, also after a power cut."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def replace_file(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Write beside a file and rename; behind a symbolic link, its target is replaced and the link stays.

    Args:
        path: May not be there yet; its folder must be.
        data: The new content.
        mode: Permissions; None keeps those of the file, and gives a new one 0644.

    Raises:
        OSError: It can't be written; the file is as it was.
    """
    path = path.resolve()
    if mode is None:
        mode = path.stat().st_mode & 0o7777 if path.exists() else 0o644
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.chmod(mode)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
