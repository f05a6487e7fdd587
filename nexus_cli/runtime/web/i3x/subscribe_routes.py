"""Subscriptions: made, filled, asked, streamed, ended."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from nexus_cli.runtime.api.bodies import documented
from nexus_cli.runtime.api.calling import CALLING
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.web.i3x.bodies import (
    NewSubscription,
    OneSubscription,
    Registration,
    SubscriptionIds,
    Sync,
    body_of,
)
from nexus_cli.runtime.web.i3x.envelopes import BASE, Problem, bulk, detail_of, each, no_element, one
from nexus_cli.runtime.web.i3x.spaces import Spaces
from nexus_cli.runtime.web.i3x.subscriptions.keeper import SubscriptionKeeper
from nexus_cli.runtime.web.i3x.subscriptions.stream import events
from nexus_cli.runtime.web.i3x.visible import shown_updates
from nexus_cli.runtime.web.parts import WebParts

SUB = BASE + "/subscriptions"
KEY = "subscriptionId"


def add_subscribe_routes(app: FastAPI, spaces: Spaces, parts: WebParts, keeper: SubscriptionKeeper) -> None:
    """Add them."""
    _add_whole(app, keeper)
    _add_registrations(app, spaces, keeper)
    _add_updates(app, spaces, parts, keeper)


def _add_whole(app: FastAPI, keeper: SubscriptionKeeper) -> None:
    new, some = Depends(body_of(NewSubscription)), Depends(body_of(SubscriptionIds))

    @app.post(SUB, openapi_extra=documented(NewSubscription))
    async def create(body: NewSubscription = new, caller: Caller = CALLING) -> Response:
        name = body.display_name or ""
        made = await keeper.create(keeper.identity(caller, body.client_id), caller, name)
        return one({"clientId": body.client_id, KEY: made, "displayName": name})

    @app.post(SUB + "/list", openapi_extra=documented(SubscriptionIds))
    async def listed(body: SubscriptionIds = some, caller: Caller = CALLING) -> Response:
        found = await keeper.listed(keeper.identity(caller, body.client_id), body.subscription_ids)

        def detail(asked: str) -> Any:
            if asked not in found:
                raise _not_found(asked)
            name, monitored = found[asked]
            objects = [{"elementId": element, "maxDepth": depth} for element, depth in monitored.items()]
            return {KEY: asked, "displayName": name, "monitoredObjects": objects}

        return bulk(each(body.subscription_ids, detail, key=KEY))

    @app.post(SUB + "/delete", openapi_extra=documented(SubscriptionIds))
    async def delete(body: SubscriptionIds = some, caller: Caller = CALLING) -> Response:
        gone = await keeper.remove(keeper.identity(caller, body.client_id), body.subscription_ids)

        def done(asked: str) -> None:
            if asked not in gone:
                raise _not_found(asked)

        return bulk(each(body.subscription_ids, done, key=KEY))


def _add_registrations(app: FastAPI, spaces: Spaces, keeper: SubscriptionKeeper) -> None:
    asked = Depends(body_of(Registration))

    @app.post(SUB + "/register", openapi_extra=documented(Registration))
    async def register(body: Registration = asked, caller: Caller = CALLING) -> Response:
        now = await spaces.current(await spaces.of(caller), body.element_ids)
        depth = 1 if body.max_depth is None else body.max_depth
        add = {element: depth for element in body.element_ids if element in now}
        await keeper.register(keeper.identity(caller, body.client_id), caller, body.subscription_id, add=add)

        def done(element: str) -> None:
            if element not in now:
                raise no_element(element)

        return bulk(each(body.element_ids, done))

    @app.post(SUB + "/unregister", openapi_extra=documented(Registration))
    async def unregister(body: Registration = asked, caller: Caller = CALLING) -> Response:
        identity = keeper.identity(caller, body.client_id)
        before = await keeper.register(identity, caller, body.subscription_id, drop=body.element_ids)

        def done(element: str) -> None:
            if element not in before:
                raise Problem(404, f"Element not registered: {element[:200]}")

        return bulk(each(body.element_ids, done))


def _add_updates(app: FastAPI, spaces: Spaces, parts: WebParts, keeper: SubscriptionKeeper) -> None:
    asked, which = Depends(body_of(Sync)), Depends(body_of(OneSubscription))

    @app.post(SUB + "/sync", openapi_extra=documented(Sync))
    async def sync(body: Sync = asked, caller: Caller = CALLING) -> Response:
        identity = keeper.identity(caller, body.client_id)
        batches, lost = await keeper.sync(identity, caller, body.subscription_id, body.last_sequence_number)
        space = await spaces.of(caller)
        result = [
            {
                "sequenceNumber": batch.sequence,
                "updates": [
                    {"elementId": update.element, **update.vqt.json()} for update in shown_updates(space, batch.updates)
                ],
            }
            for batch in batches
        ]
        title = "Updates dropped due to queue overflow"
        return one(result, partial=detail_of(206, lost, title=title) if lost else None)

    @app.post(SUB + "/stream", openapi_extra=documented(OneSubscription))
    async def stream(request: Request, body: OneSubscription = which, caller: Caller = CALLING) -> Response:
        identity = keeper.identity(caller, body.client_id)
        found, mine = await keeper.open_stream(identity, caller, body.subscription_id)
        shown = request.headers.get("authorization")
        source = events(parts, spaces, keeper, found, mine, authorization=shown, gone=request.is_disconnected)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return _Stream(source, partial(keeper.close_stream, found, mine), headers=headers)


class _Stream(StreamingResponse):
    """Ends its stream also where the client went away before the first event: then the events never begin."""

    def __init__(
        self, source: AsyncIterator[bytes], close: Callable[[], Awaitable[None]], *, headers: dict[str, str]
    ) -> None:
        super().__init__(source, media_type="text/event-stream", headers=headers)
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._close()


def _not_found(asked: str) -> Problem:
    return Problem(404, f"Subscription not found: {asked[:100]}")
