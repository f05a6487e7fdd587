"""Exports: files of stored samples that the worker writes. Who may read a tag may have it exported, and download it."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Path, Query, Response
from starlette.responses import StreamingResponse
from ulid import ULID

from nexus_cli.archive.export_place import open_place
from nexus_cli.database import exports as stored_exports
from nexus_cli.database.connect import plain_errors
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.history.choice import chosen_series
from nexus_cli.history.query import read_span
from nexus_cli.runtime.api.bodies import answer, documented, reader
from nexus_cli.runtime.api.calling import CALLING
from nexus_cli.runtime.api.decisions import route
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.identity.held import WHOLE
from nexus_cli.runtime.web.caller_rights import CallerRights
from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.runtime.web.rest.asking import described
from nexus_cli.runtime.web.rest.histories import zone_of
from nexus_cli.runtime.web.rest.stored import Stored
from nexus_cli.runtime.web.site_view import SiteView
from nexus_cli.wire.web_exports import Export, ExportQuestion, Exports

ROUTES = (
    route("POST", "/exports", "values:read"),
    route("GET", "/exports", "values:read"),
    route("GET", "/exports/{export}", "values:read"),
    route("GET", "/exports/{export}/content", "values:read"),
    route("DELETE", "/exports/{export}", "values:read"),
)
EVERYBODY = "state:read"
"""The scope with which jobs, and so exports, of all callers are seen."""
CHUNK = 1 << 18
TYPES = {"parquet": "application/vnd.apache.parquet", "csv": "text/csv; charset=utf-8"}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file.", "content": {kind.partition(";")[0]: _BINARY for kind in TYPES.values()}},
    206: {"description": "One range of it."},
    416: {"description": "The range is beyond its end."},
}
ExportId = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9]+$")]
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def add_export_routes(app: FastAPI, *, base: str, parts: WebParts, stored: Stored) -> None:
    """Add them."""
    site, question = parts.settings.site, Depends(reader(ExportQuestion))
    serving = _Serving(parts, stored)

    @app.post(base + "/exports", status_code=202, openapi_extra=documented(ExportQuestion))
    async def export(caller: Caller = CALLING, body: ExportQuestion = question) -> Response:
        """Let the worker write the stored samples of tags to a file; of those that the caller may read."""
        start, end, _ = read_span(body.since, body.until, every=None, zone=zone_of(body.zone), now=datetime.now(UTC))
        view = parts.keeper.view
        rights = await parts.callers.rights(view, caller)
        async with stored.reading() as conn:
            known = await stored_exports.series_paths(conn, site)
        chosen = await asyncio.to_thread(_chosen, view, rights, known, body.selectors)
        new = stored_exports.NewExport(
            id=str(ULID()),
            who=caller.principal,
            format=body.format,
            selectors=body.selectors,
            series=chosen,
            start=start,
            end=end,
        )
        with plain_errors(parts.settings):
            async with parts.pool.acquire() as conn:
                made = await stored_exports.add_export(conn, site, new)
        found = answer(made, status=202)
        found.headers["location"] = f"/v1/sites/{site}/exports/{made.id}"
        return found

    @app.get(base + "/exports", responses=described(Exports))
    async def listing(
        limit: Annotated[int, Query(ge=1, le=stored_exports.MOST_LISTED)] = 50, caller: Caller = CALLING
    ) -> Response:
        """The caller's exports, the newest first; with the right to see jobs everybody's."""
        who = None if EVERYBODY in caller.scopes else caller.principal
        async with stored.reading() as conn:
            found = await stored_exports.list_exports(conn, site, who=who, limit=limit)
        return answer(Exports(exports=found))

    @app.get(base + "/exports/{export}", responses=described(Export))
    async def one(export: ExportId, caller: Caller = CALLING) -> Response:
        """One export: how far it is."""
        return answer(await serving.find(export, caller))

    @app.get(base + "/exports/{export}/content", response_class=Response, responses=FILE)
    async def content(
        export: ExportId,
        caller: Caller = CALLING,
        range_: Annotated[str, Header(alias="range", max_length=200)] = "",
        if_range: Annotated[str, Header(alias="if-range", max_length=200)] = "",
    ) -> Response:
        """The file. `ETag` is its SHA-256; one range of bytes may be asked for."""
        return await serving.content(export, caller, span=range_, if_tag=if_range)

    @app.delete(base + "/exports/{export}", status_code=204)
    async def remove(export: ExportId, caller: Caller = CALLING) -> Response:
        """Remove an export of the caller's own; who may apply the whole site, any."""
        found = await serving.find(export, caller)
        whole = "apply" in caller.scopes and (caller.held.admin or WHOLE in caller.held.apply)
        if found.who != caller.principal and not whole:
            raise NexusError(f"{caller.principal} may not remove an export of {found.who}.", code="NX6403")
        with plain_errors(parts.settings):
            async with parts.pool.acquire() as conn:
                await stored_exports.remove(conn, site, export, who=caller.principal)
        return Response(status_code=204)


class _Serving:
    """Exports that are there, for who may have them."""

    def __init__(self, parts: WebParts, stored: Stored) -> None:
        self._parts, self._stored, self._site = parts, stored, parts.settings.site

    async def find(self, export: str, caller: Caller) -> Export:
        """One that the caller may see. Raises NexusError NX6488."""
        async with self._stored.reading() as conn:
            found = await stored_exports.find_export(conn, self._site, export)
        if found is None or (found.who != caller.principal and EVERYBODY not in caller.scopes):
            raise NexusError(f"There is no export '{export}'.", code="NX6488")
        return found

    async def content(self, export: str, caller: Caller, *, span: str, if_tag: str) -> Response:
        """The file, or one range of it, for who may read every tag in it now. Raises NexusError NX6488, NX6489, NX6802."""
        found = await self.find(export, caller)
        if found.state != stored_exports.DONE:
            raise NexusError(f"The export '{export}' is not done: {found.state}.", code="NX6489", cause=found.reason)
        view = self._parts.keeper.view
        rights = await self._parts.callers.rights(view, caller)
        async with self._stored.reading() as conn:
            name, paths = await stored_exports.content_of(conn, self._site, export)
        if not all(may_export(view, rights, path) for path in paths):
            raise NexusError("The export has tags that you may not read any more.", code="NX6802")
        file = await asyncio.to_thread(self._open, name, found)
        try:
            with plain_errors(self._parts.settings):
                async with self._parts.pool.acquire() as conn:
                    await stored_exports.audit(conn, self._site, found, who=caller.principal, what="download-export")
        except BaseException:
            await asyncio.to_thread(file.close)
            raise
        tag = f'"{found.sha256}"'
        head = {
            "content-disposition": f'attachment; filename="nexus-export-{found.id}.{found.format}"',
            "etag": tag,
            "accept-ranges": "bytes",
            "repr-digest": f"sha-256=:{base64.b64encode(bytes.fromhex(found.sha256)).decode()}:",
            "cache-control": "private, no-store",
        }
        asked = _part(span, found.size) if span and if_tag in ("", tag) else None
        if asked == (0, 0):
            await asyncio.to_thread(file.close)
            return Response(status_code=416, headers={"content-range": f"bytes */{found.size}"})
        first, count = asked or (0, found.size)
        head["content-length"] = str(count)
        if asked:
            head["content-range"] = f"bytes {first}-{first + count - 1}/{found.size}"
        body = self._pieces(file, first, count)
        return StreamingResponse(
            body, status_code=206 if asked else 200, headers=head, media_type=TYPES.get(found.format)
        )

    def _open(self, name: str, found: Export) -> Any:
        """The open file. Raises NexusError NX6489: it is not there, or not what the worker wrote."""
        try:
            file = open_place(self._parts.settings).read(name)
        except OSError as error:
            raise _away(found, error.strerror or str(error)) from None
        if file.seek(0, 2) != found.size and file.tell() != found.size:
            file.close()
            raise _away(found, f"it has not {found.size} bytes")
        return file

    def _pieces(self, file: Any, first: int, count: int) -> Iterator[bytes]:
        """Bytes of the file, in a thread; fewer than announced when it was cut, or web stops: the client sees that."""
        with file:
            file.seek(first)
            while count > 0 and not self._parts.stopping():
                data = file.read(min(CHUNK, count))
                if not data:
                    return
                count -= len(data)
                yield data


def _away(found: Export, cause: str) -> NexusError:
    return NexusError(
        f"The file of the export '{found.id}' is not where web reads it.",
        code="NX6489",
        cause=cause,
        hint="NEXUS_EXPORTS_TO has to name the same place for the worker and for web",
    )


def may_export(view: SiteView, rights: CallerRights, path: str) -> bool:
    """Whether a stored tag may be read, as in its history; of one that is not declared the right to its topic counts."""
    tag = view.by_path.get(path)
    return rights.may_hear(view.topics.tag(path)) if tag is None else rights.may_read(tag)


def _chosen(view: SiteView, rights: CallerRights, known: dict[int, str], selectors: list[str]) -> list[int]:
    """The series to export. Raises NexusError NX6802: nothing fits a selector that the caller may read."""
    mine = {each: path for each, path in known.items() if may_export(view, rights, path)}
    try:
        return chosen_series(mine, selectors)
    except NexusError as error:
        raise NexusError(
            error.message.removesuffix(".") + " that you may read.", code="NX6802", hint=error.hint
        ) from None


def _part(span: str, size: int) -> tuple[int, int] | None:
    """First byte and count of a range; None when it is none that is understood, (0, 0) when it is beyond the file.

    Source: RFC 9110, 14.1.2.
    """
    asked = _RANGE.fullmatch(span.strip())
    if asked is None or asked[1] == asked[2] == "":
        return None
    if not asked[1]:
        count = min(int(asked[2]), size)
        return size - count, count
    first, last = int(asked[1]), min(int(asked[2] or size - 1), size - 1)
    if asked[2] and int(asked[2]) < first:
        return None
    return (first, last - first + 1) if first < size else (0, 0)
