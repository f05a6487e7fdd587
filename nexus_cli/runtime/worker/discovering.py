"""The kind of job that discovers: a device is browsed through its gateway, and what it offers is stored piece by piece.

A worker that ends leaves what it stored: the next one continues there, for protocols that are walked piece by piece (OPC UA); others
are walked again.

See docs/decisions/0099.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator

from nexus_cli.database import device_walks as walks
from nexus_cli.database.connect import Connection, Pool, plain_errors
from nexus_cli.database.discoveries import StoredDiscovery, add_discovery
from nexus_cli.database.job_queue import GiveUpError, Taken
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.discover.filters import Wanted, wanted_of
from nexus_cli.discover.found import Discovery
from nexus_cli.discover.frontier import Frontier
from nexus_cli.discover.journal import ReadWalk, line_of
from nexus_cli.discover.online import Collector, collect
from nexus_cli.discover.target import Target
from nexus_cli.discover.via import browse_via
from nexus_cli.drivers.base import Browsed
from nexus_cli.drivers.browse_shapes import WalkState
from nexus_cli.drivers.registry import kinds
from nexus_cli.model.config import DeviceConfig
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.runtime.logging import event
from nexus_cli.runtime.worker.kinds import Kind
from nexus_cli.settings import Settings

LOOK_S = 60.0
SAVE_S = 3.0
"""How often progress is stored, in seconds."""
SAVE_BYTES = 1 << 20
"""Of lines, after which they are stored at once."""
MOST_RECORDED = 5_000
"""Values in the record of discoveries; the walk itself has all of them."""
TRIES = 8
SLOWEST_S = 12 * 3600.0

_log = logging.getLogger("nexus.worker")


class Discovering:
    """The handler, and the upkeep of discoveries."""

    def __init__(self, settings: Settings, *, pool: Pool, clock: Clock) -> None:
        """Ask this database; browse as `settings.principal`."""
        self._settings, self._pool, self._site, self._clock = settings, pool, settings.site, clock

    def kinds(self) -> dict[str, Kind]:
        """The table of kinds, by name."""
        return {walks.KIND: Kind(handle=self.discover, tries=TRIES, concurrency=4, limit_s=SLOWEST_S)}

    async def run(self, stop: asyncio.Event) -> None:
        """Keep rows until stopped."""
        while not stop.is_set():
            with contextlib.suppress(NexusError, TimeoutError):  # the worker's loop says that the database is away
                async with self._connection() as conn:
                    await walks.keep_up(conn, self._site)
            await wait_for(stop, timeout_s=LOOK_S)

    async def discover(self, job: Taken) -> None:
        """Do one walk, or the rest of it. Raises why it could not, which is in its row, too."""
        name = job.payload.get("discovery")
        if not isinstance(name, str):
            raise GiveUpError("its payload names no discovery")
        token = secrets.token_hex(4)
        async with self._connection() as conn:
            begun = await walks.begin(conn, self._site, name, token=token)
        if begun is None:
            return  # a worker that was taken for dead did it, or it was removed
        try:
            await self._walk(name, token, begun)
        except _LostError:
            event(_log, "a discovery was taken over, or removed", level=logging.WARNING, discovery=name)
            async with self._connection() as conn:
                left = await walks.find_walk(conn, self._site, name)
            if left is not None and left.state != walks.DONE:
                raise NexusError("Another try of the discovery was begun meanwhile.", code="NX6613") from None
        except Exception as error:
            final = isinstance(error, NexusError) and not error.retriable
            await self._fail(name, token, error, last=final or job.attempt >= TRIES)
            if final:
                raise GiveUpError(_why(error)) from None
            raise

    async def _walk(self, name: str, token: str, begun: walks.BegunWalk) -> None:
        wanted, began_us = wanted_of(begun.wanted), self._clock.wall_us()
        stored = await self._stored(name, token, begun, wanted)
        target = Target(
            text=f"{begun.protocol} ({begun.device})",
            protocol=begun.protocol,
            connection={},
            device=DeviceConfig(path=begun.device, protocol=begun.protocol, link="", connection={}),
        )
        collector = Collector(target, wanted)
        for browsed in stored.kept:
            collector.take(browsed)
        saving = _Saving(self, name, token, stored, collector)
        frontier = Frontier(stored.root, resume=stored.resume, kept=stored.kept) if stored.root else None
        async with (
            contextlib.aclosing(
                browse_via(target, gateway=begun.gateway, wanted=wanted, settings=self._settings, frontier=frontier)
            ) as pages,
            contextlib.aclosing(saving.through(pages)) as source,
        ):
            discovery = await collect(
                source, collector, wanted=wanted, stop=asyncio.Event(), on_progress=lambda _: None, journal=stored
            )
        await saving.save(everything=True)
        async with self._connection() as conn:
            if not await walks.settle(conn, self._site, name, token=token, ended=str(discovery.facts.get("ended", ""))):
                raise _LostError
            await add_discovery(conn, self._site, _record(name, begun, discovery, (began_us, self._clock.wall_us())))
        event(_log, "a discovery is done", discovery=name, device=begun.device, found=len(discovery.found))

    async def _stored(self, name: str, token: str, begun: walks.BegunWalk, wanted: Wanted) -> _Walk:
        kind = kinds().get(begun.protocol)
        if kind is None or not kind.browse_resumes:
            async with self._connection() as conn:
                await walks.start_again(conn, self._site, name, token=token)
            return _Walk("", None)
        from nexus_cli.drivers.opcua.browse import OBJECTS  # noqa: PLC0415 - asyncua: only for OPC UA

        read = ReadWalk(wanted.start or OBJECTS)
        for number in range(1, begun.pieces + 1):
            async with self._connection() as conn:
                lines = await walks.piece_of(conn, self._site, name, number)
            for line in (lines or b"").splitlines():
                read.take(line)
        return _Walk(wanted.start or OBJECTS, read if begun.pieces else None)

    async def save(self, name: str, token: str, lines: bytes, collector: Collector, waiting: int) -> None:
        """Store lines and counts. Raises _LostError when another try has the walk."""
        found = collector.discovery
        async with self._connection() as conn:
            mine = await walks.save(
                conn,
                self._site,
                name,
                token=token,
                lines=lines,
                found=len(found.found),
                skipped=len(found.skipped),
                waiting=waiting,
            )
        if not mine:
            raise _LostError

    async def _fail(self, name: str, token: str, error: Exception, *, last: bool) -> None:
        with contextlib.suppress(NexusError, TimeoutError):  # the row is held against its job later
            async with self._connection() as conn:
                await walks.fail(conn, self._site, name, token=token, reason=_why(error), last=last)

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                yield conn


class _LostError(Exception):
    """Another try has the walk, or it was removed."""


class _Walk:
    """What is known of a walk, and the lines that are not stored yet (`discover.journal.Noting`)."""

    def __init__(self, root: str, read: ReadWalk | None) -> None:
        """`root` is "" for protocols that are walked at once."""
        self.root = root
        self.kept: list[Browsed] = read.kept if read is not None else []
        self.resume: WalkState = read.resume if read is not None else {}
        self.noted = read is not None
        self.trouble = ""
        self.waiting = len(self.resume.get("queue", ()))
        self._lines = bytearray()
        self.good = 0

    def note(self, browsed: Browsed) -> None:
        """Keep one thing; all things before a beat may be stored."""
        self._lines += line_of(browsed)
        if done := browsed.detail.get("done"):
            self.good = len(self._lines)
            self.noted = True
            self.waiting += len(browsed.detail["queued"]) - int(done)

    def close(self, *, complete: bool) -> None:
        """The rows have it."""

    def taken(self, *, everything: bool) -> bytes:
        """The lines that may be stored now, and are not kept here any more."""
        if everything or not self.root:
            self.good = len(self._lines)
        lines = bytes(self._lines[: self.good])
        del self._lines[: self.good]
        self.good = 0
        return lines


class _Saving:
    """Stores a walk on its way."""

    def __init__(self, owner: Discovering, name: str, token: str, walk: _Walk, collector: Collector) -> None:
        self._owner, self._name, self._token = owner, name, token
        self._walk, self._collector, self._due_s = walk, collector, 0.0

    async def through(self, pages: AsyncIterator[Browsed]) -> AsyncGenerator[Browsed, None]:
        """The same things; between two of them the earlier ones are stored, when it is time."""
        now_s = asyncio.get_running_loop().time
        async for browsed in pages:
            yield browsed
            if now_s() >= self._due_s or self._walk.good >= SAVE_BYTES:
                await self.save()
                self._due_s = now_s() + SAVE_S

    async def save(self, *, everything: bool = False) -> None:
        """Store what may be stored."""
        lines = self._walk.taken(everything=everything)
        waiting = max(0, self._walk.waiting)
        await self._owner.save(self._name, self._token, lines, self._collector, waiting)


def _record(name: str, begun: walks.BegunWalk, found: Discovery, span_us: tuple[int, int]) -> StoredDiscovery:
    """The line among the runs of discoveries, which web shows."""
    keys = ("address", "type", "unit", "description")
    values = [
        {"path": "/".join(each.name), **{key: str(each.tag.get(key) or "") for key in keys}}
        for each in found.found[:MOST_RECORDED]
    ]
    return StoredDiscovery(
        id=name,
        who=begun.who,
        gateway=begun.gateway,
        target=found.source,
        started_us=span_us[0],
        ended_us=span_us[1],
        outcome="done",
        detail=str(found.facts.get("ended", "")),
        found=len(found.found),
        skipped=len(found.skipped),
        values=values,
        skipped_reasons=dict(Counter(each.reason for each in found.skipped).most_common(50)),
    )


def _why(error: Exception) -> str:
    if isinstance(error, NexusError):
        return f"{error.message} {error.cause}".strip()
    return str(error) or type(error).__name__
