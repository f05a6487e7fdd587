"""Where exports are: a folder, or a bucket of an object store. Blocking: call it in a thread.

Each export has a folder of its name with one file; a try that died may have left another one.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from nexus_cli.archive.folder import Folder, Store
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.resources import ArchiveConfig
from nexus_cli.settings import Settings

S3 = "s3://"
FOLDER = "exports"


def open_place(settings: Settings) -> Store:
    """The place that the settings name; nothing is connected yet.

    Raises:
        NexusError: NX6480 an object store needs pyarrow, which is missing; NX6481 the address can't be used.
    """
    place = settings.exports
    if not place.to.startswith(S3):
        return Folder(Path(place.to) if place.to else settings.home / FOLDER)
    store: Any
    try:
        from nexus_cli.archive import store  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise NexusError(
            "pyarrow is not installed, which an object store needs.",
            code="NX6480",
            cause=str(error),
            hint="pip install 'nexus-cli[archive]' where worker and web run, then start them again",
        ) from None
    config = ArchiveConfig(
        to=place.to, endpoint=place.endpoint, region=place.region, user=place.user, password=place.password
    )
    opened: Store = store.open_store(config)
    return opened


def remove_export(store: Store, export: str, *, but: str = "") -> None:
    """Remove the files of an export, but for one of them. Raises what the store raises."""
    for name in store.names(export):
        if f"{export}/{name}" != but:
            store.remove(f"{export}/{name}")
    if not but:
        with suppress(FileNotFoundError):
            store.remove_folder(export)
