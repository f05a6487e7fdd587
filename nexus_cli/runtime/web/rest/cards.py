"""The card of a tag: everything that is declared about it, in numbers and in words, and who may write it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import FastAPI, Response

from nexus_cli.access.lines import TagFacts
from nexus_cli.access.people import Moment
from nexus_cli.access.questions import Book, ask
from nexus_cli.access.subjects import Subject
from nexus_cli.diagnostics.wording import duration
from nexus_cli.explain.chain import rules_text
from nexus_cli.model.access import DEFAULT_CLASS
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.runtime.api.bodies import answer
from nexus_cli.runtime.api.calling import CALLING
from nexus_cli.runtime.api.decisions import route
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.web.caller_rights import CallerRights, readable_tag
from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.runtime.web.rest.asking import PlantPath, described
from nexus_cli.runtime.web.rest.shown_tags import shown_tag
from nexus_cli.runtime.web.site_view import SiteView, TagView
from nexus_cli.wire.web_find import TagCard, Writer

ROUTES = (route("GET", "/tags/{path:path}", "values:read"),)
_ASKED = ("role.", "user.", "group.")


def add_card_routes(app: FastAPI, *, base: str, parts: WebParts) -> None:
    """Add them."""

    @app.get(base + "/tags/{path:path}", responses=described(TagCard))
    async def tag(path: PlantPath, caller: Caller = CALLING) -> Response:
        """Everything that is declared about a tag, and who may write it. As `nexus show PATH` and `nexus access who-can write PATH`."""
        view = parts.keeper.view
        rights = await parts.callers.rights(view, caller)
        found = readable_tag(view, rights, path)
        made = await asyncio.to_thread(card, view, found, rights, now_us=parts.clock.wall_us())
        return answer(made)


def card(view: SiteView, tag: TagView, rights: CallerRights, *, now_us: int) -> TagCard:
    """The card of a tag of the view, for a caller that may read it."""
    device = view.device(tag.device)
    assert device is not None  # each tag is of a device of its view
    config = shown_tag(view, rights, device.tags[tag.name], device=device.path)
    labels = {**view.tree.places[device.path].labels, **config.labels}
    facts = TagFacts(
        path=tag.path,
        protocol=device.protocol,
        gateway=device.gateway,
        labels=labels,
        classification=config.classification or DEFAULT_CLASS,
        writable=view.tree.external(tag.path) or config.writable,
        external=view.tree.external(tag.path),
    )
    return TagCard(
        path=tag.path,
        name=tag.name,
        device=tag.device,
        topic=view.topics.tag(tag.path),
        type=tag.type,
        device_type=config.type,
        unit=tag.unit,
        device_unit=config.unit,
        description=tag.description,
        protocol=device.protocol,
        gateway=device.gateway,
        link=device.link,
        address=tag.address,
        options=config.options,
        mode=config.mode,
        poll_ms=config.poll_ms,
        scale=config.scale,
        offset=config.offset,
        range=None if config.range is None else list(config.range),
        deadband=config.deadband,
        heartbeat_ms=config.heartbeat_ms,
        names=config.values,
        retention=config.retention,
        keep_ms=_keep_ms(view, config),
        classification=tag.classification,
        labels=labels,
        writable=tag.writable,
        may_write=rights.may_write(tag),
        read_back=config.read_back,
        enabled=tag.enabled,
        expr=config.expr,
        inputs=config.inputs,
        words=dict(_words(view, tag, device, config)),
        writers=list(writers(view, facts, now_us=now_us)),
        owner=config.owner or device.owner,
        pii=config.pii,
        quality=rules_text(config),
        readers=readers_of(view, facts, now_us=now_us),
    )


def _keep_ms(view: SiteView, config: TagConfig) -> int:
    return int(view.resources.get(f"retention.{config.retention}", {}).get("keep_ms", 0))


def writers(view: SiteView, facts: TagFacts, *, now_us: int) -> Iterator[Writer]:
    """Who may write a tag at this moment, by name."""
    if not facts.writable:
        return
    book = _book(view, now_us)
    subject = Subject(kind="tags", text=facts.path, tags=(facts,))
    for holder in book.holders:
        if holder.kind == "nexus":
            continue
        for found in ask(book, holder, "write", subject):
            if found.allowed and found.line is not None:
                line = found.line.text
                yield Writer(name=holder.name, kind=holder.kind, role=found.role, via=found.via, line=line)


def readers_of(view: SiteView, facts: TagFacts, *, now_us: int) -> list[str]:
    """Who may read a tag at this moment, by name."""
    book = _book(view, now_us)
    subject = Subject(kind="tags", text=facts.path, tags=(facts,))
    people = (holder for holder in book.holders if holder.kind != "nexus")
    return [holder.name for holder in people if any(one.allowed for one in ask(book, holder, "read", subject))]


def _book(view: SiteView, now_us: int) -> Book:
    resources = {address: each for address, each in view.resources.items() if address.startswith(_ASKED)}
    resources["site"] = view.resources.get("site", {})
    return Book(Snapshot(view.topics.enterprise, view.topics.site, resources), Moment(at_us=now_us))


@dataclass(frozen=True, slots=True)
class _Pace:
    """How often a tag is read, in words."""

    config: TagConfig

    def __str__(self) -> str:
        every = duration(self.config.poll_ms)
        if self.config.expr:
            return "computed when an input changes"
        if self.config.mode == "poll":
            return f"every {every}"
        return f"reported by the device ({self.config.mode}, {every})"


def _words(view: SiteView, tag: TagView, device: DeviceConfig, config: TagConfig) -> Iterator[tuple[str, str]]:
    unit = f" {tag.unit}" if tag.unit else ""
    if device.gateway:
        yield "read", str(_Pace(config))
    else:
        yield "read", "published by others"
    if not tag.enabled:
        yield "enabled", "out of service by the site file: publishes BAD out_of_service"
    if config.scale != 1.0 or config.offset:
        yield "scaled", f"raw * {config.scale:g} + {config.offset:g}"
    if config.range is not None:
        low, high = ("open" if bound is None else f"{bound:g}" for bound in config.range)
        yield "range", f"{low} to {high}{unit}; outside it UNCERTAIN out_of_range"
    if config.deadband:
        yield "deadband", f"published when it moved by more than {config.deadband:g}{unit}"
    if config.heartbeat_ms:
        yield "heartbeat", f"published at least every {duration(config.heartbeat_ms)}"
    keep_ms = _keep_ms(view, config)
    yield "retention", f"{config.retention}: kept {duration(keep_ms)}" if keep_ms else config.retention
    if tag.writable:
        proof = {"": "read back", "none": "not read back"}.get(config.read_back, f"proved with {config.read_back}")
        yield "write", f"takes commands; {proof}"
