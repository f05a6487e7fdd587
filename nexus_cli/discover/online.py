"""Browse a device and collect what it offers: filters, limits, progress, interruption, resumption."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple, cast

from nexus_cli.discover.facts import Facts
from nexus_cli.discover.filters import Wanted, left_out
from nexus_cli.discover.found import Discovery, Found, Skipped
from nexus_cli.discover.importers.units import unit_of
from nexus_cli.discover.journal import Noting
from nexus_cli.discover.site_keys import TagKeys
from nexus_cli.discover.target import Target
from nexus_cli.drivers.base import Browsed
from nexus_cli.drivers.registry import kinds

PROGRESS_EVERY_S = 0.1


class Progress(NamedTuple):
    """How far a walk is; when something is away and waited for, `name` says what."""

    found: int
    skipped: int
    waiting: int
    name: str
    away: bool = False


OnProgress = Callable[[Progress], None]


class Collector:
    """Turns what a driver browses into a `Discovery`; counts everything once."""

    def __init__(self, target: Target, wanted: Wanted) -> None:
        self.discovery = Discovery(protocol=target.protocol, connection=dict(target.connection), source=target.text)
        self.discovery.facts["target"] = target.text
        self._wanted = wanted
        self._key = kinds()[target.protocol].address_key if target.device is not None else "address"
        self._addresses: set[tuple[Any, ...]] = set()
        self._recognised: dict[str, list[str]] = {}

    def take(self, browsed: Browsed) -> None:
        """Add one thing."""
        detail = browsed.detail
        if detail.get("beat"):
            return
        if facts := detail.get("facts"):
            texts = {key: value for key, value in facts.items() if isinstance(value, str)}
            self.discovery.facts.setdefault("identity", {}).update(texts)
            others = {key: value for key, value in facts.items() if key not in texts}
            self.discovery.facts.update(cast("Facts", others))  # a driver may know more than `Facts` lists
            return
        name = "/".join(browsed.path)
        if "object" in detail:
            self._recognised.setdefault(str(detail["object"]), []).append(name)
            self.discovery.facts["recognised"] = self._recognised
            return
        identity = (browsed.address, str(detail.get("keys", {})), browsed.type if browsed.address == "" else "")
        if detail.get("unseen"):
            self.discovery.facts["unseen"] = self.discovery.facts.get("unseen", 0) + 1
        reason = self._reason(browsed, name, identity)
        if reason:
            self.discovery.skipped.append(Skipped(name or browsed.address, reason))
            self.discovery.facts.setdefault("present", []).append(browsed.address)
            return
        self._addresses.add(identity)
        self.discovery.found.append(Found(device="", name=browsed.path, tag=self._tag(browsed)))

    def _reason(self, browsed: Browsed, name: str, identity: tuple[Any, ...]) -> str:
        if "skipped" in browsed.detail:
            return str(browsed.detail["skipped"])
        if "${" in browsed.address:
            return "its address holds '${', which a site file reads as a reference"
        if not browsed.type:
            return "no type of the site language fits it"
        if identity in self._addresses:
            return "the same value was found before"
        if reason := left_out(browsed.path, self._wanted):
            return reason
        if browsed.detail.get("property") and not self._wanted.properties:
            return "a property (--properties takes it)"
        return ""

    def _tag(self, browsed: Browsed) -> TagKeys:
        detail = browsed.detail
        tag = cast("TagKeys", {self._key: browsed.address, "type": browsed.type})
        unit = unit_of(browsed.unit) or unit_of(str(detail.get("unit_name", "")))
        if unit:
            tag["unit"] = unit
        elif unknown := browsed.unit or detail.get("unit_name"):
            tag["labels"] = {"unit": str(unknown)}
        if detail.get("range"):
            tag["range"] = detail["range"]
        if detail.get("values"):
            tag["values"] = detail["values"]
        if browsed.description:
            tag["description"] = " ".join(browsed.description.split())
        tag.update(cast("TagKeys", detail.get("keys", {})))
        return tag


async def collect(
    source: AsyncIterator[Browsed],
    collector: Collector,
    *,
    wanted: Wanted,
    stop: asyncio.Event,
    on_progress: OnProgress,
    journal: Noting | None = None,
) -> Discovery:
    """Take from a walk until it ends, enough was found, or the person has had enough.

    Args:
        source: What the driver (or a gateway) browses.
        collector: Where it goes; may hold what an earlier run found.
        wanted: Limits.
        stop: Ends the walk; what was found so far is kept.
        on_progress: Called with the progress now and then.
        journal: Where the walk is noted, for protocols that can continue later.

    Returns:
        `facts` says how it ended: `complete`, `seconds`, `per_s`, `resumed`.
    """
    discovery = collector.discovery
    began_s = told_s = time.monotonic()
    already = len(discovery.found) + len(discovery.skipped)
    waiting, ended, complete, name = len(journal.resume.get("queue", ())) if journal else 0, "", False, ""
    try:
        async for browsed in source:
            if journal is not None:
                journal.note(browsed)
            collector.take(browsed)
            waiting += len(browsed.detail.get("queued", ())) - int(browsed.detail.get("done", 0))
            name = "/".join(browsed.path) or name
            seen = len(discovery.found) + len(discovery.skipped)
            now_s = time.monotonic()
            away = str(browsed.detail.get("waiting", ""))
            if away or now_s - told_s >= PROGRESS_EVERY_S:
                told_s = now_s
                on_progress(
                    Progress(len(discovery.found), len(discovery.skipped), max(0, waiting), away or name, bool(away))
                )
            if stop.is_set():
                ended = "interrupted"
                break
            if wanted.max_nodes and seen >= wanted.max_nodes:
                ended = f"ended at --max-nodes {wanted.max_nodes}"
                break
            if wanted.rate_per_s and (ahead_s := (seen - already) / wanted.rate_per_s - (now_s - began_s)) > 0:
                await asyncio.sleep(ahead_s)
        else:
            complete = True
    finally:
        if journal is not None:
            journal.close(complete=complete)
    if journal is not None and journal.trouble:
        discovery.facts.setdefault("notes", []).append(journal.trouble)
    seconds = max(time.monotonic() - began_s, 1e-6)
    seen = len(discovery.found) + len(discovery.skipped)
    discovery.facts.update(
        {
            "complete": complete and not wanted.partial and not discovery.facts.get("unseen"),
            "ended": ended,
            "noted": journal is not None and journal.noted and not complete,
            "seconds": round(seconds, 3),
            "per_s": round((seen - already) / seconds, 1),
            "resumed": already,
        }
    )
    return discovery
