"""The program that validates, as a digest: a cache of another version, library or driver package holds nothing for it."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import msgspec
import pydantic

import nexus_cli
from nexus_cli.drivers.registry import broken, kinds
from nexus_cli.model.driver_kind import DriverKind

_PARTS = ("", "source", "model", "checks", "access", "wire", "diagnostics", "diagnostics/codes", "project", "drivers")
"""Packages whose code decides what is found; the folders of the drivers are added."""


@cache
def fingerprint() -> bytes:
    """Of our version and code, Python, the libraries, and the drivers that other packages bring.

    Code counts by the size and time of its files, so that a program under development knows its own changes.
    """
    package = Path(nexus_cli.__file__).parent
    drivers = (entry.path for entry in os.scandir(package / "drivers") if entry.is_dir())
    folders = [*(str(package / part) for part in _PARTS), *drivers]
    facts = (
        nexus_cli.__version__,
        sys.version,
        pydantic.VERSION,
        msgspec.__version__,
        _changed(Path(pydantic.__file__).parent.parent),
        sorted(broken().items()),
        sorted(kinds()),
        sorted(_files([*folders, *_of_others(kinds())])),
    )
    return hashlib.blake2b(repr(facts).encode(), digest_size=16).digest()


def _changed(folder: Path) -> int:
    """When something was last installed into a folder of libraries or removed from it, in ns."""
    return folder.stat().st_mtime_ns


def _of_others(known: Mapping[str, DriverKind]) -> Iterator[str]:
    """Folders of the packages that bring drivers of their own."""
    for kind in known.values():
        module = sys.modules.get(kind.tag.__module__.partition(".")[0])
        if module is not None and module is not nexus_cli and module.__file__ is not None:
            yield from (folder for folder, _, _ in os.walk(Path(module.__file__).parent))


def _files(folders: Iterable[str]) -> Iterator[tuple[str, int, int]]:
    """Path, size and time of every Python file in these folders."""
    for folder in folders:
        for entry in os.scandir(folder):
            if entry.name.endswith(".py"):
                seen = entry.stat()
                yield entry.path, seen.st_size, seen.st_mtime_ns
