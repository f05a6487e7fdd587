"""Where the archive is: a folder, or a bucket of an S3-compatible store. Blocking: call it in a thread.

A file appears under its name when it is whole: in a folder it is written beside, forced to the disk and renamed; in S3 an
upload becomes visible when it is completed.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import pyarrow as pa
from pyarrow import fs

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.drivers.base import DriverError
from nexus_cli.drivers.secrets import resolve
from nexus_cli.model.resources import ArchiveConfig

S3 = "s3://"
CONNECT_S, REQUEST_S = 10.0, 60.0
_CHUNK = 1 << 20


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


class Bucket:
    """The archive in an S3-compatible store."""

    def __init__(self, files: Any, root: str) -> None:
        """Below `bucket/prefix` of a file system of pyarrow."""
        self._files, self._root = files, root.strip("/")

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextmanager
    def write(self, name: str) -> Iterator[Sink]:
        """See `Store.write`."""
        stream = self._files.open_output_stream(self._path(name), compression=None)
        try:
            yield Sink(stream)
        except BaseException:
            # A stream can't be given up: it completes what it has, which is then removed.
            with suppress(OSError, pa.ArrowException):
                stream.close()
            with suppress(OSError, pa.ArrowException):
                self.remove(name)
            raise
        stream.close()

    def read(self, name: str) -> Any:
        """See `Store.read`."""
        return self._files.open_input_file(self._path(name))

    def names(self, folder: str) -> list[str]:
        """See `Store.names`."""
        found = self._files.get_file_info(fs.FileSelector(self._path(folder), allow_not_found=True))
        return sorted(each.base_name for each in found if each.type == fs.FileType.File)

    def remove(self, name: str) -> None:
        """See `Store.remove`."""
        with suppress(FileNotFoundError):
            self._files.delete_file(self._path(name))

    def remove_folder(self, folder: str) -> None:
        """A bucket has no folders; some stores keep a mark of one."""
        with suppress(OSError, pa.ArrowException):
            self._files.delete_dir(self._path(folder))


def open_store(config: ArchiveConfig) -> Store:
    """The archive's store; nothing is connected yet.

    Raises:
        NexusError: NX6481, a secret is missing where this runs, or `to` can't be used.
    """
    if not config.to.startswith(S3):
        return Folder(Path(config.to))
    try:
        user, password = (resolve(each) if each else None for each in (config.user, config.password))
    except DriverError as error:
        raise away(config, str(error).replace("the gateway", "the process that reads the archive")) from None
    where = urlsplit(config.endpoint) if config.endpoint else None
    arguments: dict[str, Any] = {
        "access_key": user,
        "secret_key": password,
        "region": config.region or ("us-east-1" if where else None),
        "connect_timeout": CONNECT_S,
        "request_timeout": REQUEST_S,
        "retry_strategy": fs.AwsStandardS3RetryStrategy(max_attempts=3),
        "check_directory_existence_before_creation": False,
    }
    if where is not None:
        arguments |= {"endpoint_override": where.netloc, "scheme": where.scheme}
    try:
        return Bucket(fs.S3FileSystem(**arguments), config.to.removeprefix(S3))
    except (OSError, pa.ArrowException, TypeError, ValueError) as error:
        raise away(config, str(error)) from None


def away(config: ArchiveConfig, cause: str) -> NexusError:
    """The store can't be used now."""
    return NexusError(
        f"The archive at {config.to} can't be used.",
        code="NX6481",
        cause=" ".join(cause.split())[:400],
        hint="nothing is dropped meanwhile; look at the disk or the store, and at the user's rights there",
        retriable=True,
    )


def sha256_of(store: Store, name: str) -> tuple[str, int]:
    """Digest and size of a file as it is now. Raises FileNotFoundError."""
    found, size = hashlib.sha256(), 0
    with store.read(name) as file:
        while data := file.read(_CHUNK):
            found.update(data)
            size += len(data)
    return found.hexdigest(), size


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
