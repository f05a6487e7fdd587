"""Files by name: what a store is, and one in a folder. Blocking: call it in a thread. See `store` for the other one.

A file appears under its name when it is whole: it is written beside, forced to the disk and renamed.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[[], T]) -> T:
    """Do it in a thread; cancelled, wait until it has ended: nothing may write to a file that is closed meanwhile."""
    working = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.wait({working})
    except asyncio.CancelledError:
        await asyncio.wait({working})
        raise
    return working.result()


class Sink:
    """A file that is being written, with the digest of what was; for `pyarrow`, which wants `write`, `flush` and `close`.

    Attributes:
        size: Bytes so far.
    """

    closed = False

    def __init__(self, file: Any) -> None:
        """Write to an open binary file or stream."""
        self._file, self._hash, self.size = file, hashlib.sha256(), 0

    @property
    def sha256(self) -> str:
        """Of what was written, hexadecimal."""
        return self._hash.hexdigest()

    def write(self, data: Any) -> int:
        """Write bytes."""
        view = memoryview(data)
        self._file.write(view)
        self._hash.update(view)
        self.size += view.nbytes
        return view.nbytes

    def flush(self) -> None:
        """The file is flushed when it is whole."""

    def close(self) -> None:
        """The store closes the file."""


class Store(Protocol):
    """Files by name, with `/` between folders."""

    def write(self, name: str) -> Any:
        """A context with a `Sink`; the file is there when it ends, and not when it raises."""
        ...

    def read(self, name: str) -> Any:
        """An open file, with `read`, `seek` and `close`. Raises FileNotFoundError."""
        ...

    def names(self, folder: str) -> list[str]:
        """The names of the files in a folder, sorted; none when there is no such folder."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file; one that is missing is no error."""
        ...

    def remove_folder(self, folder: str) -> None:
        """Remove an empty folder."""
        ...

    def require(self, folder: str) -> None:
        """Raise FileNotFoundError when a folder that has days is not there: its disk is not mounted."""
        ...


class Folder:
    """The archive in a folder."""

    def __init__(self, root: Path) -> None:
        """Below this folder; it is made with the first file, its parent must be there (a disk that is not mounted)."""
        self._root = root

    @contextmanager
    def write(self, name: str) -> Iterator[Sink]:
        """See `Store.write`."""
        path = self._root / name
        if not self._root.parent.is_dir():
            raise FileNotFoundError(f"{self._root.parent} is not there")
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            with beside.open("wb") as file:
                yield Sink(file)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        for folder in (path.parent, path.parent.parent):
            _force(folder)

    def read(self, name: str) -> Any:
        """See `Store.read`."""
        return (self._root / name).open("rb")

    def names(self, folder: str) -> list[str]:
        """See `Store.names`; what a process that died left half-written is not among them, and is removed."""
        path, found = self._root / folder, []
        if not path.is_dir():
            return []
        for each in path.iterdir():
            if each.name.startswith("."):
                each.unlink(missing_ok=True)
            elif each.is_file():
                found.append(each.name)
        return sorted(found)

    def remove(self, name: str) -> None:
        """See `Store.remove`."""
        (self._root / name).unlink(missing_ok=True)

    def remove_folder(self, folder: str) -> None:
        """See `Store.remove_folder`."""
        with suppress(OSError):
            (self._root / folder).rmdir()

    def require(self, folder: str) -> None:
        """See `Store.require`."""
        if not (self._root / folder).is_dir():
            raise FileNotFoundError(
                f"days are archived, and {self._root / folder} is not there: mount its disk, or bring them there"
            )


def _force(folder: Path) -> None:
    """Let the names in a folder survive a power cut."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # a folder that we may write to and not list
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
