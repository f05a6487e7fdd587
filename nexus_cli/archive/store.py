"""Where the archive is: a folder, or a bucket of an S3-compatible store. Blocking: call it in a thread.

A file appears under its name when it is whole: in a folder it is written beside, forced to the disk and renamed; in S3 an
upload becomes visible when it is completed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
from pyarrow import fs

from nexus_cli.archive.folder import Folder, Sink, Store
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.drivers.base import DriverError
from nexus_cli.drivers.secrets import resolve
from nexus_cli.model.resources import ArchiveConfig

S3 = "s3://"
CONNECT_S, REQUEST_S = 10.0, 60.0
_CHUNK = 1 << 20


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

    def require(self, folder: str) -> None:
        """A bucket that is not there refuses by itself."""


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


__all__ = ["Bucket", "Folder", "Sink", "Store", "away", "open_store", "sha256_of"]
