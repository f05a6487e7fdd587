"""What there is: namespaces, types, objects and their relationships."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import Depends, FastAPI, Query, Request, Response

from nexus_cli.runtime.api.bodies import documented
from nexus_cli.runtime.api.calling import CALLING
from nexus_cli.runtime.api.compression import expanded, wants_gzip
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.web.i3x.address_space import AddressSpace
from nexus_cli.runtime.web.i3x.bodies import ElementIds, ObjectList, Related, body_of
from nexus_cli.runtime.web.i3x.envelopes import BASE, Problem, bulk, each, no_element, one
from nexus_cli.runtime.web.i3x.object_types import RELATION_TYPES
from nexus_cli.runtime.web.i3x.spaces import Spaces

_RELATIONS = {record["elementId"]: record for record in RELATION_TYPES}
MOST_RELATED = 100_000
"""Related objects of one answer; what is beyond is left out, and the answer is 206."""


def add_explore_routes(app: FastAPI, spaces: Spaces) -> None:
    """Add them."""
    _add_types(app, spaces)
    _add_objects(app, spaces)
    _add_related(app, spaces)


def _add_types(app: FastAPI, spaces: Spaces) -> None:
    asked = Depends(body_of(ElementIds))

    @app.get(BASE + "/namespaces")
    async def namespaces(caller: Caller = CALLING) -> Response:
        return one((await spaces.of(caller)).namespaces)

    @app.get(BASE + "/objecttypes")
    async def types(namespace: str | None = Query(None, alias="namespaceUri"), caller: Caller = CALLING) -> Response:
        return one(_of_namespace((await spaces.of(caller)).types.values(), namespace))

    @app.post(BASE + "/objecttypes/query", openapi_extra=documented(ElementIds))
    async def some_types(body: ElementIds = asked, caller: Caller = CALLING) -> Response:
        known = (await spaces.of(caller)).types
        return bulk(each(body.element_ids, lambda found: _known(known, found, "Object type")))

    @app.get(BASE + "/relationshiptypes")
    async def relations(namespace: str | None = Query(None, alias="namespaceUri"), _: Caller = CALLING) -> Response:
        return one(_of_namespace(RELATION_TYPES, namespace))

    @app.post(BASE + "/relationshiptypes/query", openapi_extra=documented(ElementIds))
    async def some_relations(body: ElementIds = asked, _: Caller = CALLING) -> Response:
        return bulk(each(body.element_ids, lambda found: _known(_RELATIONS, found, "Relationship type")))


def _of_namespace(records: Any, namespace: str | None) -> list[dict[str, Any]]:
    return [record for record in records if namespace is None or record["namespaceUri"] == namespace]


def _known(known: Any, element: str, what: str) -> Any:
    if element not in known:
        raise Problem(404, f"{what} not found: {element[:200]}")
    return known[element]


def _add_objects(app: FastAPI, spaces: Spaces) -> None:
    asked = Depends(body_of(ObjectList))

    @app.get(BASE + "/objects")
    async def objects(
        request: Request,
        type_id: str | None = Query(None, alias="typeElementId"),
        metadata: bool = Query(False, alias="includeMetadata"),
        root: bool = Query(False),
        caller: Caller = CALLING,
    ) -> Response:
        if type_id is None and not root:
            return await _everything(spaces, caller, request, metadata=metadata)
        space = await spaces.of(caller)
        if root:
            found = [space.record(space.root, metadata=metadata)]
            return one([record for record in found if type_id in (None, record["typeElementId"])])
        return await asyncio.to_thread(_of_type, space, str(type_id), metadata)

    @app.post(BASE + "/objects/list", openapi_extra=documented(ObjectList))
    async def some_objects(body: ObjectList = asked, caller: Caller = CALLING) -> Response:
        space = await spaces.of(caller)
        now = await spaces.current(space, body.element_ids)
        metadata = bool(body.include_metadata)

        def record(element: str) -> Any:
            if element not in now:
                raise no_element(element)
            return space.record(now[element], metadata=metadata)

        return await asyncio.to_thread(lambda: bulk(each(body.element_ids, record)))


async def _everything(spaces: Spaces, caller: Caller, request: Request, *, metadata: bool) -> Response:
    packed = await spaces.listing(caller, metadata=metadata)
    if wants_gzip(request.scope):
        headers = {"content-encoding": "gzip", "vary": "Accept-Encoding"}
        return Response(packed, media_type="application/json", headers=headers)
    return Response(await asyncio.to_thread(expanded, packed), media_type="application/json")


def _of_type(space: AddressSpace, type_id: str, metadata: bool) -> Response:
    records = (space.record(element, metadata=metadata) for element in space.elements())
    return one([record for record in records if record["typeElementId"] == type_id])


def _add_related(app: FastAPI, spaces: Spaces) -> None:
    asked = Depends(body_of(Related))

    @app.post(BASE + "/objects/related", openapi_extra=documented(Related))
    async def related(body: Related = asked, caller: Caller = CALLING) -> Response:
        space = await spaces.of(caller)
        now = await spaces.current(space, body.element_ids)
        return await asyncio.to_thread(_related, space, body, now)


def _related(space: AddressSpace, body: Related, now: dict[str, str]) -> Response:
    left, cut = MOST_RELATED, False
    metadata = bool(body.include_metadata)

    def edges(element: str) -> Any:
        nonlocal left, cut
        if element not in now:
            raise no_element(element)
        found = []
        for name, other in space.edges(now[element]):
            if body.relationship_type not in (None, name):
                continue
            left -= 1 + (len(space.edges(other)) if metadata else 0)
            if left < 0:
                cut = True
                break
            found.append({"sourceRelationship": name, "object": space.record(other, metadata=metadata)})
        return found

    items = each(body.element_ids, edges)
    partial = f"One answer has {MOST_RELATED:,} related objects; ask for fewer elementIds." if cut else ""
    return bulk(items, partial=partial)
