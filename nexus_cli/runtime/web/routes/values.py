"""Newest values."""

from __future__ import annotations

import msgspec
from fastapi import Depends, FastAPI, Response

from nexus_cli.runtime.api.bodies import documented, reader
from nexus_cli.runtime.api.calling import CALLING
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.web.caller_rights import readable_tag
from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.runtime.web.site_view import TagView
from nexus_cli.wire.web import TagPaths, TagValue, TagValues

encode = msgspec.json.Encoder().encode
"""Several times as fast as `bodies.answer`, which asks Python for each Struct."""


def add_value_routes(app: FastAPI, *, base: str, parts: WebParts) -> None:
    """Add them."""
    paths = Depends(reader(TagPaths))

    @app.get(base + "/values/{path:path}")
    async def value(path: str, caller: Caller = CALLING) -> Response:
        view = parts.keeper.view
        tag = readable_tag(view, await parts.callers.rights(view, caller), path)
        return Response(encode(shown(parts, tag)), media_type="application/json")

    @app.post(base + "/values", openapi_extra=documented(TagPaths))
    async def values(body: TagPaths = paths, caller: Caller = CALLING) -> Response:
        view = parts.keeper.view
        rights = await parts.callers.rights(view, caller)
        found = TagValues(values=[shown(parts, readable_tag(view, rights, path)) for path in body.paths])
        return Response(encode(found), media_type="application/json")


def shown(parts: WebParts, tag: TagView) -> TagValue:
    """The newest value of a tag."""
    newest = parts.cache.read(tag.slot)
    return TagValue(
        path=tag.path,
        value=newest.value,
        quality=newest.quality.name,
        reason=newest.reason,
        time=newest.time_us,
        received=newest.received_us,
        unit=newest.unit or tag.unit,
        label=newest.label,
    )
