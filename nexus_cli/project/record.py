"""The verb of `nexus tail --record`: what the broker sends on some filters, into a file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nexus_cli.access.globs import matches_glob
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.groups import tasks
from nexus_cli.project.live import site_topics, wanted
from nexus_cli.project.recording_file import RecordingWriter
from nexus_cli.settings import Settings, load_settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.identity import client_id
from nexus_cli.wire.message import Message
from nexus_cli.wire.recording import VERSION, Compression, Header, Record

WRITE_S = 0.25
"""A kill costs at most the messages of this time, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRequest:
    """What to record.

    Attributes:
        file: A new one.
        filters: Path globs or MQTT filters; none is every tag of the site.
        qos: To subscribe with. 0 costs the broker nothing; with 1 it queues what a slow disk holds up.
        compression: Of the file.
        most_bytes: The recording ends at this size; 0 is no limit.
        most_s: And after this time; None is no limit.
        count: And after so many messages; 0 is no limit.
        skip_retained: Leave out what the broker kept from before.
    """

    file: Path
    filters: Sequence[str] = ()
    qos: int = 0
    compression: Compression = "none"
    most_bytes: int = 0
    most_s: float | None = None
    count: int = 0
    skip_retained: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordResult:
    """What was recorded.

    Attributes:
        messages: In the file.
        dropped: Not in it: the disk did not keep up, or larger than 32 MiB.
        size_bytes: Of the file.
        took_s: From the first subscription to the end.
        lost: How often the connection was lost meanwhile.
    """

    messages: int
    dropped: int
    size_bytes: int
    took_s: float
    lost: int


async def record(
    request: RecordRequest,
    *,
    stop: asyncio.Event,
    settings: Settings | None = None,
    progress: Callable[[RecordResult], None] = lambda _: None,
    now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
) -> RecordResult:
    """Record until a limit is reached or `stop` is set. A connection that is lost is made again, and the file says so.

    Args:
        request: What, and where to.
        stop: Ends it.
        settings: Instead of those of this folder.
        progress: Called every few seconds.
        now_us: The clock, µs since 1970 UTC.

    Raises:
        NexusError: NX6960 the file; NX6010, NX6011, NX6012 of the broker, before anything was written.
    """
    settings = settings or load_settings()
    topics = site_topics(settings)
    asked = [wanted(topics, text) for text in request.filters or ("**",)]
    await _refuse_refused(settings, [(each.filter, request.qos) for each in asked])
    writer = RecordingWriter(
        request.file,
        Header(
            version=VERSION,
            site=settings.site,
            started=now_us(),
            filters=[each.filter for each in asked],
            by=settings.broker_user,
            compression=request.compression,
        ),
    )
    globs = [each.glob for each in asked]
    return await _Recorder(request, writer, settings, now_us, globs if "" not in globs else []).run(
        [(each.filter, request.qos) for each in asked], stop, progress, site_path=topics.path
    )


async def _refuse_refused(settings: Settings, subscriptions: Sequence[tuple[str, int]]) -> None:
    """See that the broker answers and lets us subscribe, before a file is begun."""
    client = BrokerClient(settings=settings, client_id=client_id(settings, "record-check"))
    async with client.session():
        await client.subscribe(subscriptions)


class _Recorder:
    def __init__(
        self,
        request: RecordRequest,
        writer: RecordingWriter,
        settings: Settings,
        now_us: Callable[[], int],
        globs: Sequence[str],
    ) -> None:
        self._request, self._writer, self._now_us, self._globs = request, writer, now_us, globs
        self._client = BrokerClient(settings=settings, client_id=client_id(settings, "record"))
        self._began_s, self._lost, self._enough = time.monotonic(), 0, asyncio.Event()
        self._path: Callable[[str], str | None] = lambda _: None

    async def run(
        self,
        subscriptions: Sequence[tuple[str, int]],
        stop: asyncio.Event,
        progress: Callable[[RecordResult], None],
        *,
        site_path: Callable[[str], str | None],
    ) -> RecordResult:
        self._path = site_path
        broker_stop = asyncio.Event()
        try:
            async with tasks("record") as group:
                group.create_task(
                    self._client.run(
                        broker_stop, subscriptions=subscriptions, on_message=self._take, on_lost=self._note_lost
                    ),
                    name="broker",
                )
                try:
                    await self._write(stop, progress)
                finally:
                    broker_stop.set()
            self._note("ended")
            await asyncio.to_thread(self._writer.write, self._writer.take())
        finally:
            await asyncio.to_thread(self._writer.close)
        return self._result()

    async def _write(self, stop: asyncio.Event, progress: Callable[[RecordResult], None]) -> None:
        request, turns = self._request, 0
        until_s = None if request.most_s is None else self._began_s + request.most_s
        while not (stop.is_set() or self._enough.is_set()):
            now_s = time.monotonic()
            if (until_s is not None and now_s >= until_s) or (
                request.most_bytes and self._writer.size_bytes >= request.most_bytes
            ):
                return
            rest_s = WRITE_S if until_s is None else min(WRITE_S, until_s - now_s)
            try:
                async with asyncio.timeout(rest_s):
                    await stop.wait()
            except TimeoutError:
                pass
            if records := self._writer.take():
                await asyncio.to_thread(self._writer.write, records)
            turns += 1
            if turns % 20 == 0:
                progress(self._result())

    def _take(self, message: Message) -> None:
        if self._enough.is_set() or (self._request.skip_retained and message.retain):
            return
        if self._globs:
            path = self._path(message.topic)
            if path is None or not any(matches_glob(glob, path) for glob in self._globs):
                return
        self._writer.add(Record(self._now_us(), message.topic, message.payload, message.qos, message.retain))
        if self._request.count and self._writer.messages >= self._request.count:
            self._enough.set()

    def _note_lost(self) -> None:
        self._lost += 1
        problem = self._client.problem
        self._note(f"the connection was lost: {problem.message if isinstance(problem, NexusError) else ''}")

    def _note(self, text: str) -> None:
        self._writer.add(Record(self._now_us(), "", text.encode()))

    def _result(self) -> RecordResult:
        return RecordResult(
            messages=self._writer.messages,
            dropped=self._writer.dropped,
            size_bytes=self._writer.size_bytes,
            took_s=time.monotonic() - self._began_s,
            lost=self._lost,
        )
