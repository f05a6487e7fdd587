"""What objects are worth: now, and over a span."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import Depends, FastAPI, Response

from nexus_cli.runtime.api.bodies import documented
from nexus_cli.runtime.api.calling import CALLING
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.web.i3x.bodies import HistoryQuery, ValueQuery, body_of
from nexus_cli.runtime.web.i3x.current_values import MOST_COMPONENTS, Reader
from nexus_cli.runtime.web.i3x.envelopes import BASE, Problem, bulk, each, no_element
from nexus_cli.runtime.web.i3x.leaf_values import time_of
from nexus_cli.runtime.web.i3x.spaces import Spaces
from nexus_cli.runtime.web.i3x.stored_values import HistoryReader, Span
from nexus_cli.runtime.web.parts import WebParts

QUICK = 50
"""Answers of so many elements are made on the loop: a thread would cost more."""
_CUT = f"One answer has {MOST_COMPONENTS:,} component values; ask for the others by their elementId."

_AWAY = "The broker is away: these are the last values that came, with their times."


def add_query_routes(app: FastAPI, spaces: Spaces, parts: WebParts) -> None:
    """Add them."""
    asked, span_asked = Depends(body_of(ValueQuery)), Depends(body_of(HistoryQuery))

    @app.post(BASE + "/objects/value", openapi_extra=documented(ValueQuery))
    async def values(body: ValueQuery = asked, caller: Caller = CALLING) -> Response:
        space = await spaces.of(caller)
        now = await spaces.current(space, body.element_ids)
        note = "" if parts.client.connected else _AWAY
        reader = Reader(parts.cache, space, depth=_depth(body.max_depth), now_us=parts.clock.wall_us())

        def value(element: str) -> Any:
            if element not in now:
                raise no_element(element)
            return reader.read(now[element])

        def answer() -> Response:
            items = each(body.element_ids, value)
            return bulk(items, partial=_CUT if reader.cut else "", note=note)

        await reader.load(dict.fromkeys(now.values()))
        return answer() if len(body.element_ids) <= QUICK else await asyncio.to_thread(answer)

    @app.post(BASE + "/objects/history", openapi_extra=documented(HistoryQuery))
    async def history(body: HistoryQuery = span_asked, caller: Caller = CALLING) -> Response:
        span = _span(body)
        space = await spaces.of(caller)
        now = await spaces.current(space, body.element_ids)
        reader = HistoryReader(parts, space, span, depth=_depth(body.max_depth))
        await reader.load(list(dict.fromkeys(now.values())))

        def stored(element: str) -> Any:
            if element not in now:
                raise no_element(element)
            return reader.read(now[element])

        def answer() -> Response:
            items = each(body.element_ids, stored)
            return bulk(items, partial=reader.cut)

        return await asyncio.to_thread(answer)


def _depth(asked: int | None) -> int:
    return 1 if asked is None else asked


def _span(body: HistoryQuery) -> Span:
    try:
        start_us, end_us = time_of(body.start_time), time_of(body.end_time)
    except ValueError as error:
        raise Problem(400, f"startTime and endTime are RFC 3339 times: {error}") from None
    if start_us > end_us:
        raise Problem(400, "endTime lies before startTime.")
    return Span(start_us=start_us, end_us=end_us)
