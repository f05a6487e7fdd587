"""What can be replayed: a recorded file, stored history, dead letters. Each gives its messages in the order of time."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from nexus_cli.access.globs import LEVELS, matches_glob
from nexus_cli.database.connect import connection
from nexus_cli.database.queries import StoredSample
from nexus_cli.database.replayed import (
    PlayedSeries,
    first_row,
    letters_after,
    played_series,
    rows_between,
    sample_tables,
)
from nexus_cli.database.segments import Segment, kind_of
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.history.rows import stored_value, typed
from nexus_cli.model.calendar import microseconds
from nexus_cli.project.recording_file import Recording
from nexus_cli.settings import Settings
from nexus_cli.wire.payload import encode_live
from nexus_cli.wire.recording import Record
from nexus_cli.wire.sample import Quality, unpack_status
from nexus_cli.wire.topic import Topics, matches

MOST_ROWS = 20_000
"""Rows of one question: what a replay of history holds at once."""
FIRST_SLICE, LONGEST_SLICE, SHORTEST_SLICE = timedelta(seconds=10), timedelta(hours=6), timedelta(milliseconds=1)
LONGEST_LETTER = 4096
"""Bytes of a dead letter's payload; one of this length was cut when it was recorded (see `historian.dead_letters`)."""
AHEAD = 2_000


class ReplaySource(Protocol):
    """Messages to play, with the times at which they were received or, from history, measured.

    Attributes:
        left_out: Counts of what can't be played, by reason; complete once all was read.
        platform: Whether topics below `_nexus` belong to it.
    """

    left_out: dict[str, int]
    platform: bool

    @property
    def site(self) -> str:
        """`enterprise/site` that they are of."""
        ...

    @property
    def detail(self) -> str:
        """What it is, for people and for the page."""
        ...

    def messages(self) -> AsyncIterator[Record]:
        """In the order of time."""
        ...


@dataclass
class FileSource:
    """A recorded file; `filters` (MQTT) narrow it, `since_us` and `until_us` too."""

    recording: Recording
    filters: Sequence[str] = ()
    since_us: int = 0
    until_us: int = 1 << 62
    platform: bool = False
    left_out: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def site(self) -> str:
        """Of the header."""
        return self.recording.header.site

    @property
    def detail(self) -> str:
        """For people."""
        return f"the recording {self.recording.path.name} of {self.site}"

    async def messages(self) -> AsyncIterator[Record]:
        """See `ReplaySource`. The file is read in a thread, some messages ahead."""
        records = self.recording.messages()
        while some := await asyncio.to_thread(_some, records):
            for record in some:
                if self.filters and not any(matches(each, record.topic) for each in self.filters):
                    self.left_out["other topics"] += 1
                elif self.since_us <= record.time_us < self.until_us:
                    yield record


def _some(records: Iterator[Record]) -> list[Record]:
    found = []
    for record in records:
        found.append(record)
        if len(found) >= AHEAD:
            break
    return found


@dataclass
class HistorySource:
    """The stored samples of tags over a span, each as its gateway published it."""

    settings: Settings
    topics: Topics
    globs: Sequence[str]
    since: datetime
    until: datetime
    platform: bool = False
    left_out: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def site(self) -> str:
        """Of the settings."""
        return self.settings.site

    @property
    def detail(self) -> str:
        """For people."""
        span = f"{self.since:%Y-%m-%d %H:%M:%S} to {self.until:%Y-%m-%d %H:%M:%S} UTC"
        return f"the history of {self.site}, {span}"

    async def messages(self) -> AsyncIterator[Record]:
        """See `ReplaySource`: by time, then by series. One question holds `MOST_ROWS` rows at most; its span follows from how
        many rows the last one gave.

        Raises:
            NexusError: NX6963, no series is stored for these tags; NX6200 and others of the database.
        """
        series, tables = await self._series()
        ids = list(series)
        at, width = self.since, FIRST_SLICE
        while at < self.until:
            end = min(at + width, self.until)
            async with connection(self.settings, application="nexus-replay") as conn:
                rows = await rows_between(conn, tables, series=ids, since=at, until=end, limit=MOST_ROWS + 1)
                if len(rows) > MOST_ROWS and width > SHORTEST_SLICE:
                    width = max(width / 4, SHORTEST_SLICE)
                    continue
                if len(rows) > MOST_ROWS:  # more rows in one millisecond than are held otherwise
                    rows = await rows_between(conn, tables, series=ids, since=at, until=end, limit=2**31)
                if not rows:
                    following = await first_row(conn, tables, series=ids, since=end, until=self.until)
                    if following is None:
                        return
                    at = following
                    continue
            for number, sample in rows:
                yield message_of(series[number], sample, self.topics)
            at = end
            if len(rows) < MOST_ROWS // 4:
                width = min(width * 2, LONGEST_SLICE)

    async def _series(self) -> tuple[dict[int, PlayedSeries], str]:
        async with connection(self.settings, application="nexus-replay") as conn:
            known = await played_series(conn, site=self.site)
            tables = await sample_tables(conn, site=self.site)
        globs = [_below(glob) for glob in self.globs or ("**",)]
        found = {each.id: each for each in known if any(_fits(glob, each.path) for glob in globs)}
        if not found:
            raise NexusError(
                f"No series is stored for {', '.join(self.globs) or 'any tag'}.",
                code="NX6963",
                hint="paths are area/line/device/tag; ** is the rest",
            )
        return found, tables


def _below(glob: str) -> str:
    """The path of an area, a line or a device means everything below it."""
    glob = glob.strip("/")
    return f"{glob}/**" if glob.count("/") < LEVELS - 1 and not glob.endswith("**") else glob


def _fits(glob: str, path: str) -> bool:
    return glob == "**" or matches_glob(glob, path)


def message_of(series: PlayedSeries, sample: StoredSample, topics: Topics) -> Record:
    """A stored sample as the live message that its gateway published."""
    time_us = microseconds(sample.time)
    segment = series.at(time_us)
    reason, _ = unpack_status(sample.status)
    value = _value(sample, segment)
    payload = encode_live(
        value,
        time_us=time_us,
        quality=Quality(sample.quality),
        source_time_us=None if sample.source_time is None else microseconds(sample.source_time),
        unit=segment.unit,
        label=segment.labels.get(str(value)) if segment.labels and isinstance(value, (int, str)) else None,
        reason=reason,
    )
    return Record(time_us, topics.tag(series.path), payload, 1, False)


def _value(sample: StoredSample, segment: Segment) -> Any:
    if kind_of(segment.type) == "json":
        return None if sample.quality == Quality.BAD else sample.json
    return typed(stored_value(sample, kind_of(segment.type)), segment)


@dataclass
class LetterSource:
    """The dead letters of a span, on the topics that they came from. Of a letter that counts several, one is played."""

    settings: Settings
    since: datetime
    until: datetime
    platform: bool = True
    left_out: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def site(self) -> str:
        """Of the settings."""
        return self.settings.site

    @property
    def detail(self) -> str:
        """For people."""
        return f"the dead letters of {self.site}"

    async def messages(self) -> AsyncIterator[Record]:
        """See `ReplaySource`, by id."""
        after = 0
        while True:
            async with connection(self.settings, application="nexus-replay") as conn:
                letters = await letters_after(
                    conn, site=self.site, after=after, since=self.since, until=self.until, limit=1000
                )
            if not letters:
                return
            for letter in letters:
                after = letter.id
                payload = bytes_of(letter.payload)
                if len(payload) >= LONGEST_LETTER:
                    self.left_out["cut when they were recorded"] += 1
                    continue
                if letter.count > 1:
                    self.left_out["folded into one letter"] += letter.count - 1
                yield Record(microseconds(letter.at), letter.topic, payload, 1, False)


_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")


def bytes_of(text: str) -> bytes:
    """The payload of a dead letter: `\\xNN` is a byte that was no UTF-8, or NUL."""
    parts = _ESCAPE.split(text)
    return b"".join(
        part.encode("utf-8", errors="surrogatepass") if at % 2 == 0 else bytes([int(part, 16)])
        for at, part in enumerate(parts)
    )


def recorded(path: Path, **more: object) -> FileSource:
    """A recorded file as a source. Raises NexusError NX6960, NX6961."""
    return FileSource(Recording(path), **more)  # type: ignore[arg-type]
