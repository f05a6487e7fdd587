"""The way of a tag from the device to the row, and what depends on it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Literal

import msgspec
import orjson
from fastapi import FastAPI, Query, Response

from nexus_cli.access.globs import matches_glob
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.explain.chain import Steps, others_steps, tag_steps
from nexus_cli.explain.open_lineage import Plant, lineage_events
from nexus_cli.model.expression_text import names_in
from nexus_cli.model.procedure_config import SequenceConfig
from nexus_cli.model.resources import AlertConfig, GatewayResource, decode, paths_of
from nexus_cli.runtime.api.bodies import answer
from nexus_cli.runtime.api.calling import CALLING
from nexus_cli.runtime.api.decisions import route
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.web.caller_rights import CallerRights, readable_tag
from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.runtime.web.rest.asking import PlantPath, described
from nexus_cli.runtime.web.rest.shown_tags import shown_device
from nexus_cli.runtime.web.site_view import SiteView
from nexus_cli.wire.web_plant import Lineage, Step

ROUTES = (route("GET", "/lineage/{path:path}", "values:read"),)


def add_lineage_routes(app: FastAPI, *, base: str, parts: WebParts) -> None:
    """Add them."""

    @app.get(base + "/lineage/{path:path}", responses=described(Lineage))
    async def lineage(
        path: PlantPath,
        form: Annotated[
            Literal["steps", "openlineage"],
            Query(alias="format", description="`openlineage`: job events of OpenLineage 2-0-2 instead, as a list."),
        ] = "steps",
        caller: Caller = CALLING,
    ) -> Response:
        """The chain of a tag from bytes to row, its inputs, and what uses it. As `nexus explain PATH`, with `--lineage`."""
        view = parts.keeper.view
        rights = await parts.callers.rights(view, caller)
        if form == "openlineage":
            readable_tag(view, rights, path)
            events = await asyncio.to_thread(lineage_events, _plant(view, rights), path, now_us=parts.clock.wall_us())
            return Response(orjson.dumps(events), media_type="application/json")
        return answer(await asyncio.to_thread(_lineage, view, rights, path))


def _lineage(view: SiteView, rights: CallerRights, path: str) -> Lineage:
    tag = view.by_path.get(path)
    if tag is None and rights.may_hear(view.topics.tag(path)):
        outside = _outside(view, path)
        if outside is not None:
            steps = others_steps(view.topics, path, device=outside[0], glob=outside[1])
            return Lineage(path=path, kind="external", steps=_shown(steps))
    if tag is None or not rights.may_read(tag):
        raise NexusError(f"There is no tag '{path[:200]}' that you may read.", code="NX6802")
    device = view.device(tag.device)
    assert device is not None  # each tag is of a device of its view
    device = shown_device(view, rights, device, tag.name)
    config = device.tags[tag.name]
    kind = "calculated" if config.expr else "device" if device.gateway else "external"
    return Lineage(
        path=path,
        kind=kind,
        steps=_shown(tag_steps(view.topics, device, tag.name, frames=_frames(view, device.gateway))),
        inputs=config.inputs,
        used_by=[each for each in _users(view, path) if rights.may_read(view.by_path[each])],
        alerts=[name for name in _alerts(view, path) if rights.may_hear(view.topics.alert(name))],
    )


def _plant(view: SiteView, rights: CallerRights) -> Plant:
    """The site as a caller may know it."""

    def may_read(path: str) -> bool:
        tag = view.by_path.get(path)
        return tag is not None and rights.may_read(tag)

    return Plant(
        topics=view.topics,
        device=lru_cache(maxsize=1024)(view.device),
        may_read=may_read,
        users=lambda path: _users(view, path),
        alerts=[
            (name, decode(alert, AlertConfig))
            for name, alert in view.of_kind("alert")
            if rights.may_hear(view.topics.alert(name))
        ],
        sequences=[
            (name, sequence)
            for name, sequence in ((name, decode(each, SequenceConfig)) for name, each in view.of_kind("sequence"))
            if rights.everything or all(map(may_read, _paths_in(sequence)))
        ],
    )


def _paths_in(sequence: SequenceConfig) -> set[str]:
    """The tags that a sequence reads and writes: its name and description show each of them."""
    read = (name for text in sequence.conditions() for name in names_in(text))
    return {*(name for name in read if "/" in name), *sequence.written()}


def _shown(steps: Steps) -> list[Step]:
    return [Step(step=name, text=text) for name, text in steps]


def _frames(view: SiteView, gateway: str) -> str:
    return decode(view.resources.get(f"gateway.{gateway}", {}), GatewayResource).frames


def _outside(view: SiteView, path: str) -> tuple[str, str] | None:
    """The external device whose glob means a path, and the glob."""
    for place in view.tree.places.values():
        for glob in place.globs if place.external else ():
            if matches_glob(glob, path):
                return place.path, glob
    return None


class _Inputs(msgspec.Struct):
    inputs: dict[str, str] = {}


class _Tags(msgspec.Struct):
    tags: dict[str, _Inputs] = {}


_tags = msgspec.json.Decoder(_Tags)


def _users(view: SiteView, path: str) -> Iterator[str]:
    """Calculated tags that have this one among their inputs, in path order."""
    quoted = orjson.dumps(path)
    for device in view.devices.values():
        if quoted in device.raw:
            for name, tag in sorted(_tags.decode(device.raw).tags.items()):
                if path in tag.inputs.values():
                    yield f"{device.path}/{name}"


def _alerts(view: SiteView, path: str) -> Iterator[str]:
    return (name for name, alert in view.of_kind("alert") if path in paths_of(alert))
