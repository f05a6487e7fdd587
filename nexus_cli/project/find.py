"""The verb of `nexus find`: search what the site's files declare; where a web of the same site answers, with newest values."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from nexus_cli.access.people import Moment
from nexus_cli.access.questions import Book
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.json_value import JsonObject
from nexus_cli.local.layout import home_of
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.project.text import Sourced, load
from nexus_cli.project.web_values import readable_values
from nexus_cli.search.declared import declared_in
from nexus_cli.search.index import SearchIndex
from nexus_cli.search.places import spans_of
from nexus_cli.search.uses import readers
from nexus_cli.settings import Settings, load_settings
from nexus_cli.wire.web_find import Hit

MOST_READ = 50
"""Finds of which it is said who may read them."""
ASK_S = 3.0
"""How long web is waited for, in seconds; the finds are there without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was found.

    Attributes:
        site: `enterprise/site`.
        hits: The best first.
        total: How many there are.
        values: Newest value by path as web gives it (`TagValue`); without those that the caller may not read.
        problem: Why there are no values; "" when they were not asked for, or are there.
        search_ms: How long the search took, the index made before it, in ms.
    """

    site: str
    hits: list[Hit]
    total: int
    values: Mapping[str, JsonObject] = field(default_factory=dict)
    problem: str = ""
    search_ms: float = 0.0


def find(
    words: str,
    *,
    site: str | None = None,
    env: str | None = None,
    variables: Mapping[str, str] | None = None,
    limit: int = 50,
    with_values: bool = True,
    use_cache: bool = True,
) -> Sourced[Found]:
    """Search path, description, unit, address, labels and names of codes.

    Args:
        words: All of them must be found, in upper or lower case.
        site: Site file or folder; None for the only one here.
        env, variables: Of that site.
        limit: Most finds.
        with_values: Ask web for newest values.
        use_cache: Whether an earlier run's findings about unchanged devices count.
    """
    loaded = load(site, env=env, variables=variables, use_cache=use_cache)
    if loaded.value is None:
        return Sourced(None, loaded.findings, loaded.files)
    snapshot = loaded.value.snapshot
    declared = declared_in(snapshot)
    index = SearchIndex(declared, spans_of(declared.devices, tags=len(declared.tags)))
    began = time.perf_counter()
    hits, total = index.find(words, limit=limit)
    search_ms = (time.perf_counter() - began) * 1000
    hits = _with_readers(hits, snapshot)
    name = f"{snapshot.enterprise}/{snapshot.site}"
    paths = [hit.path for hit in hits if hit.kind == "tag"]
    values, problem = _values(name, paths) if with_values and paths else ({}, "")
    return Sourced(Found(site=name, hits=hits, total=total, values=values, problem=problem, search_ms=search_ms))


def _with_readers(hits: list[Hit], snapshot: Snapshot) -> list[Hit]:
    """The first finds with who may read them by the access rules of the files."""
    paths = [hit.path for hit in hits if hit.kind == "tag"][:MOST_READ]
    if not paths or not any(address.startswith("role.") for address in snapshot.resources):
        return hits
    found = readers(Book(snapshot, Moment(at_us=time.time_ns() // 1000)), paths)
    return [msgspec.structs.replace(hit, readers=found[hit.path]) if hit.path in found else hit for hit in hits]


def _values(site: str, paths: Sequence[str]) -> tuple[Mapping[str, JsonObject], str]:
    """Newest values by path, and why there are none. Where no runtime of this site is known here nothing is asked."""
    try:
        settings = load_settings()
        url = home_of(settings).read_runtime().web_url
        if not url or settings.site != site:
            return {}, ""
        return asyncio.run(_ask(url, settings, paths)), ""
    except (NexusError, TimeoutError) as error:
        return {}, error.message if isinstance(error, NexusError) else "web does not answer in time"


async def _ask(url: str, settings: Settings, paths: Sequence[str]) -> Mapping[str, JsonObject]:
    from nexus_cli.wire.web_client import WebClient, WebDoor  # noqa: PLC0415 - HTTP client: only beside a runtime

    async with asyncio.timeout(ASK_S), WebDoor(url, settings, timeout_s=ASK_S) as door:
        return await readable_values(WebClient(door, settings), paths)
