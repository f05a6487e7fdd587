"""`nexus export --later` and `nexus exports`: files that the worker writes and web hands out."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from nexus_cli.archive.folder import Folder, in_thread
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.history.moment import parse_moment
from nexus_cli.json_value import read_fields
from nexus_cli.local.layout import home_of
from nexus_cli.settings import Settings, load_settings
from nexus_cli.wire.web_client import WebClient, WebDoor
from nexus_cli.wire.web_exports import Export, Exports

LOOK_S = 1.0


async def export_later(
    selectors: Sequence[str],
    *,
    since: str,
    until: str,
    format_: str,
    zone: tzinfo | None = None,
    web: str = "",
    settings: Settings | None = None,
) -> Export:
    """Let the worker write the samples of tags to a file.

    Args:
        selectors: Paths or globs; none is everything that the caller may read.
        since, until: As in `nexus history`; the end is exclusive.
        format_: `parquet` or `csv`.
        zone: In which times are read.
        web: Address of the role web; "" is that of this folder.
        settings: Instead of those of this folder.

    Raises:
        NexusError: NX6211 the span can't be used; NX6487 too many wait; NX6802 there are no such tags; NX6941 web is away.
    """
    now = datetime.now(UTC)
    start, end = parse_moment(since, now=now, zone=zone), parse_moment(until, now=now, zone=zone)
    body = {"selectors": list(selectors), "from": start.isoformat(), "to": end.isoformat(), "format": format_}
    async with _web(web, settings) as client:
        return read_fields(await client.post("/exports", body), Export)


async def list_exports(*, limit: int = 50, web: str = "", settings: Settings | None = None) -> Exports:
    """The newest first. Raises NexusError NX6941, and what web refuses."""
    async with _web(web, settings) as client:
        return read_fields(await client.get("/exports", limit=limit), Exports)


async def find_export(export: str, *, web: str = "", settings: Settings | None = None) -> Export:
    """One export. Raises as `list_exports`, and NX6488 there is none."""
    async with _web(web, settings) as client:
        return read_fields(await client.get(f"/exports/{_id(export)}"), Export)


async def delete_export(export: str, *, web: str = "", settings: Settings | None = None) -> None:
    """Remove an export. Raises as `find_export`."""
    async with _web(web, settings) as client:
        await client.delete(f"/exports/{_id(export)}")


async def fetch_export(
    export: str, *, out: Path | None = None, wait: bool = False, web: str = "", settings: Settings | None = None
) -> tuple[Export, Path]:
    """Bring the file of an export here, whole and with the right SHA-256, or not at all.

    Args:
        export: Its id.
        out: The file; None names it after the export, in the current folder.
        wait: Until it is done.
        web: Address of the role web; "" is that of this folder.
        settings: Instead of those of this folder.

    Raises:
        NexusError: As `find_export`; NX6486 it can't be written here; NX6489 it is not done, failed, or arrived changed.
    """
    async with _web(web, settings) as client:
        found = read_fields(await client.get(f"/exports/{_id(export)}"), Export)
        while wait and found.state in ("waiting", "running"):
            await asyncio.sleep(LOOK_S)
            found = read_fields(await client.get(f"/exports/{_id(export)}"), Export)
        if found.state != "done":
            hint = f"nexus exports fetch {found.id} --wait" if found.state != "failed" else "ask for it again"
            raise NexusError(f"The export is not done: {found.state}.", code="NX6489", cause=found.reason, hint=hint)
        file = out or Path(f"nexus-export-{found.id}.{found.format}")
        if not await asyncio.to_thread(file.parent.is_dir):
            raise _not_written(file, "there is no such folder")
        try:
            await _bring(client, found, file)
        except OSError as error:
            raise _not_written(file, error.strerror or str(error)) from None
    return found, file


async def _bring(client: WebClient, found: Export, file: Path) -> None:
    digest = hashlib.sha256()
    writing = Folder(file.parent).write(file.name)
    sink = await in_thread(writing.__enter__)
    try:
        async with client.stream(f"/exports/{found.id}/content") as pieces:
            async for data in pieces:
                digest.update(data)
                sink.write(data)
        if digest.hexdigest() != found.sha256:
            raise NexusError("The file did not arrive as it was written.", code="NX6489", hint="fetch it again")
    except BaseException as error:
        writing.__exit__(type(error), error, error.__traceback__)
        raise
    await in_thread(lambda: writing.__exit__(None, None, None))


def _not_written(file: Path, cause: str) -> NexusError:
    hint = "look at the folder and its free space; no half file is left"
    return NexusError(f"{file} can't be written.", code="NX6486", cause=cause, hint=hint)


def _id(export: str) -> str:
    if not (export.isascii() and export.isalnum()):
        raise NexusError(f"There is no export '{export[:100]}'.", code="NX6488")
    return export


@asynccontextmanager
async def _web(web: str, settings: Settings | None) -> AsyncIterator[WebClient]:
    chosen = settings or load_settings()
    async with WebDoor(web or home_of(chosen).read_runtime().web_url, chosen) as door:
        yield WebClient(door, chosen)
