"""Plays messages: each when it is due, in order, as fast as the broker acknowledges them, and no faster."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.project.replay_pace import LONGEST_STEP_S, Drift, Pace
from nexus_cli.project.replay_sources import ReplaySource
from nexus_cli.project.replay_topics import Retarget, shifted
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.signature import unsealed_value

WINDOW = 256
"""Messages that the broker has not acknowledged; the next one waits."""
MOST_UNSENT_BYTES = 2**20
BREATH = 64
"""Messages after which the loop has a turn, when none is waited for."""
PROGRESS_S = 5.0
AWAY_S = 0.05
DRAIN_S = 5.0
END_US = 2**53
"""Times up to the year 2255 are played, in µs since 1970 UTC."""
UNSENDABLE = "messages that MQTT can't carry, or this broker does not take"
TIMELESS = "messages with a time before 1970 or after 2255"


@dataclass(slots=True, kw_only=True)
class Played:
    """How far a replay came.

    Attributes:
        messages: Handed to the broker and acknowledged.
        first_us, last_us: Times of the first and the last of them as recorded, µs since 1970 UTC; 0 before the first.
        took_s: From the first to the last.
        left_out: Counts of what was not played, by reason.
        again: Messages that were sent once more because the connection was lost.
        drift: How late they were handed over.
        whole: False when it was stopped before the end.
    """

    messages: int = 0
    first_us: int = 0
    last_us: int = 0
    took_s: float = 0.0
    left_out: dict[str, int] = field(default_factory=dict)
    again: int = 0
    drift: Drift = field(default_factory=Drift)
    whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayRequest:
    """How to play.

    Attributes:
        speed: 1 as it was; None as fast as possible.
        now: Move every time in the payloads to the time of its publication.
        qos: 0 to 2.
        retain: Let the broker keep the newest value of each tag.
    """

    speed: float | None = 1.0
    now: bool = False
    qos: int = 1
    retain: bool = True


@dataclass(frozen=True, slots=True)
class _Sent:
    done: asyncio.Future[None]
    topic: str
    payload: bytes
    qos: int
    retain: bool


class _Unsendable(Exception):
    """The message itself is refused, by MQTT or by the limits that the broker named, whenever it is sent."""


class Player:
    """Plays one source through one connection."""

    def __init__(
        self,
        source: ReplaySource,
        retarget: Retarget,
        client: BrokerClient,
        request: PlayRequest,
        *,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        """`client` runs (`BrokerClient.run`) while this plays; `now_us` is the clock, µs since 1970 UTC."""
        self._source, self._retarget, self._client, self._request = source, retarget, client, request
        self._now_us, self._waiting = now_us, deque[_Sent]()
        self.played = Played()

    async def play(self, stop: asyncio.Event, progress: Callable[[Played], None] = lambda _: None) -> Played:
        """Play to the end, or until `stop`. What the broker has not acknowledged when a connection is lost is sent again, in
        order.

        Raises:
            NexusError: Of the source.
        """
        loop, played, request = asyncio.get_running_loop(), self.played, self._request
        began_s = shown_s = loop.time()
        pace, turns = Pace(speed=request.speed, now_s=began_s), 0
        async for record in self._source.messages():
            if stop.is_set():
                break
            if not 0 <= record.time_us < END_US:
                self._leave_out(TIMELESS)
                continue
            topic = self._retarget.topic(record.topic)
            if topic is None:
                self._leave_out("topics outside of the site")
                continue
            due_s = pace.due_s(record.time_us)
            if not await _until(due_s, stop):
                break
            late_s = loop.time() - due_s
            payload = unsealed_value(record.payload) if self._retarget.is_value(topic) else record.payload
            if request.now:
                payload = shifted(payload, self._now_us() - record.time_us)
            retain = record.retain or (request.retain and self._retarget.is_value(topic))
            try:
                away_s = await self._send(topic, payload, retain, stop)
            except _Unsendable:
                self._leave_out(UNSENDABLE)
                continue
            if away_s is None:
                break
            pace.rest(away_s)
            if request.speed is not None:
                played.drift.add(late_s)
            played.messages += 1
            played.first_us = played.first_us or record.time_us
            played.last_us = record.time_us
            turns += 1
            if turns % BREATH == 0:
                await asyncio.sleep(0)
            if loop.time() - shown_s > PROGRESS_S:
                shown_s, played.took_s = loop.time(), loop.time() - began_s
                progress(played)
        else:
            played.whole = True
        await self._drain(stop)
        played.took_s = loop.time() - began_s
        for reason, count in self._source.left_out.items():
            played.left_out[reason] = played.left_out.get(reason, 0) + count
        return played

    def _leave_out(self, reason: str) -> None:
        self.played.left_out[reason] = self.played.left_out.get(reason, 0) + 1

    async def _send(self, topic: str, payload: bytes, retain: bool, stop: asyncio.Event) -> float | None:
        """Hand a message over once there is room. Gives how long the broker was away, in seconds; None when stopped first.

        Raises:
            _Unsendable: It is refused although nothing else waits and the broker is there.
        """
        away_s = await self._room(stop)
        while not stop.is_set():
            try:
                done = self._client.post(topic, payload, qos=self._request.qos, retain=retain)
            except NexusError as error:
                if not error.retriable:
                    raise
                away_s += await self._back(stop)
                continue
            if not done.done() or done.exception() is None:
                self._waiting.append(_Sent(done, topic, payload, self._request.qos, retain))
                return away_s
            if not self._client.connected or self._failed():
                away_s += await self._back(stop)
            elif self._waiting or self._client.unsent_bytes:  # there may be no room; by itself it is the message
                await _until(asyncio.get_running_loop().time() + AWAY_S, stop)
            else:
                raise _Unsendable
        return None

    async def _room(self, stop: asyncio.Event) -> float:
        away_s = 0.0
        while not stop.is_set():
            if self._failed():
                away_s += await self._back(stop)
            if len(self._waiting) < WINDOW and self._client.unsent_bytes <= MOST_UNSENT_BYTES:
                break
            if self._waiting:
                await asyncio.wait([self._waiting[0].done], timeout=LONGEST_STEP_S)
            else:
                await asyncio.sleep(0)
        return away_s

    def _failed(self) -> bool:
        """Forget what was acknowledged, from the oldest on. True when the connection was lost since: what is left of it goes
        out again before anything new."""
        while self._waiting and self._waiting[0].done.done():
            if self._waiting[0].done.exception() is not None:
                return True
            self._waiting.popleft()
        return False

    async def _back(self, stop: asyncio.Event) -> float:
        """Wait for the broker, and send what it had not acknowledged once more, in order."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        while not stop.is_set():
            if not self._client.connected:
                await _until(loop.time() + AWAY_S, stop)
                continue
            open_, self._waiting = self._waiting, deque()
            try:
                while open_:
                    each = open_[0]
                    if each.done.done() and each.done.exception() is None:
                        open_.popleft()
                        continue
                    done = self._client.post(each.topic, each.payload, qos=each.qos, retain=each.retain)
                    self._waiting.append(_Sent(done, each.topic, each.payload, each.qos, each.retain))
                    self.played.again += 1
                    open_.popleft()
                break
            except NexusError as error:
                self._waiting.extend(open_)
                if not error.retriable:
                    raise
                await _until(loop.time() + AWAY_S, stop)
        return loop.time() - began_s

    async def _drain(self, stop: asyncio.Event) -> None:
        """Wait for the acknowledgements of what was handed over; what has none when it was stopped does not count."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + DRAIN_S
        while not stop.is_set() or loop.time() < until_s:
            if self._failed():
                if stop.is_set():
                    break
                await self._back(stop)
            elif self._waiting:
                await asyncio.wait([self._waiting[0].done], timeout=AWAY_S)
            else:
                break
        self.played.messages -= len(self._waiting)
        for each in self._waiting:
            each.done.cancel()


async def _until(due_s: float, stop: asyncio.Event) -> bool:
    """Wait until a moment of the loop's clock; False when stopped first."""
    loop = asyncio.get_running_loop()
    while not stop.is_set():
        rest_s = due_s - loop.time()
        if rest_s <= 0:
            return True
        try:
            async with asyncio.timeout(rest_s):
                await stop.wait()
        except TimeoutError:
            continue
    return False
