"""Live values under the old path of what was renamed, for a declared while (`keep_old_for`), beside the live view.

The payload is the same as on the new topic, with the tag's QoS and retain flag. Only the newest value of a tag waits: a slow
broker sees fewer values here, never old ones. The gateway counts the time on its own clock, so the end comes also while
control is away, and is kept over a restart. What the broker then still retains control clears.

See docs/decisions/0105.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.alias_config import covered, under
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.devices.tag_table import Positions, TagTable
from nexus_cli.runtime.gateway.live import LiveView
from nexus_cli.runtime.gateway.live_table import payload
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.runtime.logging import event
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.control_aliases import Alias
from nexus_cli.wire.topic import Topics

SLICE = 200
"""Messages that are handed to the broker at once; the next ones follow when these were taken."""
IDLE_S = 0.5
RETRY_S = 1.0

_log = logging.getLogger("nexus.gateway")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One old path.

    Attributes:
        to: Where it is now.
        until: As control says it; another one has another end.
        ends_us: The same by this machine's clock, µs since 1970 UTC; what counts after a restart.
    """

    to: str
    until: int
    ends_us: int


class Aliases:
    """What one gateway publishes under old paths.

    Attributes:
        published: Messages passed to the broker.
    """

    def __init__(self, home: Path, name: str, *, client: BrokerClient, topics: Topics, clock: Clock) -> None:
        """Those of gateway `name`, kept below its home folder; nothing is read yet."""
        self.published = 0
        self._path = home / "gateway" / f"{name}.old-paths.json"
        self._client, self._topics, self._clock = client, topics, clock
        self._tables: Callable[[], Iterable[TagTable]] = list
        self._active: Callable[[], bool] = lambda: True
        self._found: dict[str, Entry] = {}
        self._ends_s: dict[str, float] = {}
        self._waiting: dict[tuple[TagTable, int], None] = {}
        self._wake = asyncio.Event()

    def beside(self, live: LiveView, *, active: Callable[[], bool]) -> None:
        """Publish what a live view publishes; `active` says whether this instance of the gateway does so."""
        live.on_put, live.on_again = self.note, self.again
        self._tables, self._active = live.tables, active

    def __len__(self) -> int:
        return len(self._found)

    def load(self) -> None:
        """Take what the process before kept; what has ended meanwhile is left out."""
        try:
            kept = msgspec.json.decode(self._path.read_bytes(), type=dict[str, Entry])
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return
        now_us, now_s = self._clock.wall_us(), self._clock.monotonic_s()
        for old, one in kept.items():
            left_s = (one.ends_us - now_us) / 1e6
            if left_s > 0:
                self._found[old], self._ends_s[old] = one, now_s + left_s

    def take(self, said: Sequence[Alias]) -> None:
        """Take what control says now. A new old path gets the newest value of every tag at once."""
        now_us, now_s = self._clock.wall_us(), self._clock.monotonic_s()
        wanted = {one.old: one for one in said if one.left_us > 0}
        found = {
            old: Entry(to=one.to, until=one.until, ends_us=now_us + one.left_us)
            for old, one in wanted.items()
            if not self._is_over(old, one.until)
        }
        before = {old: (one.to, one.until) for old, one in self._found.items()}
        self._found = {
            old: self._found[old] if before.get(old) == (one.to, one.until) else one for old, one in found.items()
        }
        self._ends_s = {old: now_s + wanted[old].left_us / 1e6 for old in found}
        if {old: (one.to, one.until) for old, one in self._found.items()} != before:
            self._save()
            self.again()

    def _is_over(self, old: str, until: int) -> bool:
        """Whether it has ended by our clock, and control's is a little behind."""
        known = self._found.get(old)
        return known is not None and known.until == until and self._ends_s[old] <= self._clock.monotonic_s()

    def note(self, table: TagTable, positions: Positions | None) -> None:
        """Tags of a device have a new sample; None is all of them."""
        if not self._found or not any(_meets(one.to, table.device) for one in self._found.values()):
            return
        places = range(len(table)) if positions is None else positions.tolist()
        self._waiting.update(dict.fromkeys((table, at) for at in places))
        self._wake.set()

    def again(self) -> None:
        """Publish the newest value of every tag once more: after a connect, or for a path that is new here."""
        self._waiting.clear()
        for table in self._tables():
            self.note(table, None)

    async def run(self, stop: asyncio.Event) -> None:
        """Publish what waits, until stopped."""
        while not stop.is_set():
            self._wake.clear()
            self._end_due()
            if self._waiting and self._client.connected and self._active():
                try:
                    await self._slice()
                except NexusError:  # what was lost is published again after the connect
                    await self._clock.sleep(RETRY_S)
                continue
            await wait_for(self._wake, timeout_s=IDLE_S)

    async def _slice(self) -> None:
        """Hand some messages to the broker, and wait until it took them. Raises NexusError."""
        some = list(self._waiting)[:SLICE]
        for each in some:
            del self._waiting[each]
        open_: list[asyncio.Future[None]] = []
        for table, at in some:
            state = table.state(at)
            if not state.time_us or not state.config.live_publish:
                continue
            data = payload(state)
            qos, retain = state.config.live_qos, state.config.live_retain
            open_ += [self._client.post(topic, data, qos=qos, retain=retain) for topic in self._old_topics(state.path)]
        for one in open_:
            await one
        self.published += len(open_)

    def _old_topics(self, path: str) -> Iterator[str]:
        return (
            self._topics.tag(under(path, new=one.to, old=old))
            for old, one in self._found.items()
            if covered(one.to, path)
        )

    def _end_due(self) -> None:
        now_s = self._clock.monotonic_s()
        over = [old for old, ends_s in self._ends_s.items() if ends_s <= now_s and old in self._found]
        for old in over:
            event(_log, "an old path is published no more: its time is over", path=old, now=self._found.pop(old).to)
        if over:
            self._save()

    def _save(self) -> None:
        """Whole or not at all; what can't be written holds until this process ends."""
        beside = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(msgspec.json.encode(self._found))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError as error:
            event(_log, "the old paths can't be written", level=logging.WARNING, cause=str(error))


def _meets(target: str, device: str) -> bool:
    """Whether a device lies below the path, or the path is one of its tags."""
    return covered(target, device) or target.startswith(f"{device}/")
