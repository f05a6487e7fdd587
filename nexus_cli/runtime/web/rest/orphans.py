"""Retained messages below the site's live topics without an owner: no declared tag, no external device, no message."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from fastapi import FastAPI, Query, Response

from nexus_cli.access.globs import matches_glob
from nexus_cli.model.procedure_config import MessageConfig, filter_of
from nexus_cli.model.resources import decode
from nexus_cli.model.unowned import why_owned
from nexus_cli.runtime.api.bodies import answer
from nexus_cli.runtime.api.calling import CALLING
from nexus_cli.runtime.api.decisions import route
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.web.caller_rights import CallerRights
from nexus_cli.runtime.web.live_cache import LiveCache
from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.runtime.web.rest.asking import described
from nexus_cli.runtime.web.site_view import SiteView
from nexus_cli.wire.web_record import RetainedTopic, RetainedTopics

ROUTES = (route("GET", "/retained", "values:read"),)
SHOWN = 200
"""Characters of a payload."""


def add_orphan_routes(app: FastAPI, *, base: str, parts: WebParts) -> None:
    """Add them."""

    @app.get(base + "/retained", responses=described(RetainedTopics))
    async def retained(limit: Annotated[int, Query(ge=1, le=5_000)] = 500, caller: Caller = CALLING) -> Response:
        """Retained topics without an owner, as far as the caller may subscribe to them. As `nexus retained list`."""
        view = parts.keeper.view
        rights = await parts.callers.rights(view, caller)
        await parts.interruptions.ask_for_kept()
        slots = orphans(view, parts.cache, rights)
        shown = [_shown(parts.cache, slot) for slot in slots[:limit]]
        return answer(RetainedTopics(topics=shown, total=len(slots)))


def orphans(view: SiteView, cache: LiveCache, rights: CallerRights) -> list[int]:
    """The slots of retained messages without an owner that the caller may subscribe to, by topic."""
    others = np.ones(len(cache), np.bool_)
    others[view.slots] = False
    messages = [filter_of(decode(one, MessageConfig).topic) for _, one in view.of_kind("message")]
    globs = view.tree.outside
    found: list[tuple[str, int]] = []
    for slot in np.nonzero(others)[0].tolist():
        if not cache.retained(slot) or not cache.payload(slot):
            continue
        topic = cache.topic(slot)
        owned = why_owned(
            topic,
            view.topics,
            declared=lambda path: path in view.by_path,
            external=lambda path: any(matches_glob(glob, path) for glob in globs),
            messages=messages,
        )
        if not owned and rights.may_hear(topic):
            found.append((topic, slot))
    return [slot for _, slot in sorted(found)]


def _shown(cache: LiveCache, slot: int) -> RetainedTopic:
    payload = cache.payload(slot) or b""
    return RetainedTopic(
        topic=cache.topic(slot),
        received=cache.read(slot).received_us,
        size=len(payload),
        payload=payload[: SHOWN * 4].decode("utf-8", "replace")[:SHOWN],
    )
