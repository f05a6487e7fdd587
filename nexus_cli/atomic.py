"""Files that are replaced at once: a reader sees the old content or the new one, also after a power cut."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def alone(lock: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock of a file that every process opens which does the same; it is made, with mode 0600, and stays.

    Args:
        lock: Its folder must be there.
        wait: False raises BlockingIOError while another process holds it.

    Raises:
        OSError: It can't be opened.
    """
    import fcntl  # noqa: PLC0415 - not on every system

    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _beside(path: Path, data: bytes) -> Iterator[Path]:
    """A file beside another one, with the new content on the disk; it is gone afterwards, unless it took the other's place.

    Failures name the file that was asked for: the one beside it is gone when one looks for it.
    """
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        beside = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield beside
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def replace_file(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Write beside a file and rename; behind a symbolic link, its target is replaced and the link stays.

    A file keeps its owner and group where this process may give files away (root): a broker reads its files as its own user.

    Args:
        path: May not be there yet; its folder must be.
        data: The new content.
        mode: Permissions; None keeps those of the file, and gives a new one 0644.

    Raises:
        OSError: It can't be written; the file is as it was.
    """
    path = path.resolve()
    old = path.stat() if path.exists() else None
    if mode is None:
        mode = old.st_mode & 0o7777 if old is not None else 0o644
    with _beside(path, data) as beside:
        if old is not None:
            _keep_owner(beside, old)
        beside.chmod(mode)
        beside.replace(path)


def create_file(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Create a file whose name appears together with its content; where the file system has no hard links, the name is first.

    Args:
        path: Must not be there; its folder must be.
        data: The content.
        mode: Permissions.

    Raises:
        FileExistsError: It is there; it stays as it was.
        OSError: It can't be written.
    """
    with _beside(path, data) as beside:
        beside.chmod(mode)
        try:
            os.link(beside, path)
        except FileExistsError:
            raise
        except OSError:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                file.write(data)


def _keep_owner(file: Path, old: os.stat_result) -> None:
    new = file.stat()
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        with contextlib.suppress(PermissionError):
            os.chown(file, old.st_uid, old.st_gid)
