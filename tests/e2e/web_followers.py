"""Clients of web that go on whatever happens to it, and a TCP forwarder that is the one name of several webs.

They run on a loop in a thread of their own, so that a test may kill and start parts meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import Coroutine
from typing import Any, TypeVar

import httpx
import orjson
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

T = TypeVar("T")
AGAIN_S = 0.2
SYNC_S = 0.3
ANSWER_S = 5.0
"""Of a web that is frozen nothing is heard; a client gives up then and asks again."""
AWAY = (httpx.HTTPError, OSError, WebSocketException, TimeoutError)
Key = tuple[str, int]
"""Path of a tag and time of a value in ms since 1970 UTC: what a live value and a stored one have in common."""


class Forwarder:
    """A port that leads to another one, and can be made to lead elsewhere."""

    def __init__(self, target: int) -> None:
        self.target, self.port = target, 0
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self, port: int) -> None:
        await asyncio.start_server(self._forward, "127.0.0.1", port)
        self.port = port

    async def switch(self, target: int) -> None:
        """Lead elsewhere; connections that are open end, as they do at a proxy whose back end is taken out."""
        self.target = target
        for each in tuple(self._open):
            each.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, other = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, other}
        try:
            await asyncio.gather(self._pump(reader, other), self._pump(there, writer))
        finally:
            self._open -= {writer, other}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.transport.abort()


class SocketFollower:
    """Watches tags, and comes back with `since` when its connection ends.

    Attributes:
        newest: The last row of each tag.
        backwards: Rows that were older than the one before of the same tag.
        repeated: Rows of one web that came twice.
        missing: What the newest `missing` said, and every set of parts that was said so far.
        webs: The webs that it had, in order.
    """

    def __init__(self, url: str, site: str, head: dict[str, str]) -> None:
        self._url, self._head = f"{url.replace('http', 'ws', 1)}/v1/sites/{site}/ws", head
        self.newest: dict[str, list[Any]] = {}
        self.backwards: list[tuple[Any, Any]] = []
        self.repeated: list[Any] = []
        self.missing: list[str] = []
        self.said: set[str] = set()
        self.webs: list[str] = []
        self._since: dict[str, Any] | None = None

    async def run(self) -> None:
        while True:
            with contextlib.suppress(*AWAY):
                async with connect(
                    self._url, additional_headers=self._head, proxy=None, open_timeout=ANSWER_S, close_timeout=0.1
                ) as socket:
                    await self._follow(socket)
            await asyncio.sleep(AGAIN_S)

    async def _follow(self, socket: Any) -> None:
        web = ""
        self.missing = []
        async with asyncio.timeout(ANSWER_S) as limit:
            async for text in socket:
                limit.reschedule(asyncio.get_running_loop().time() + ANSWER_S)
                said = orjson.loads(text)
                if said["op"] == "hello":
                    web = said["web"]
                    self.webs.append(web)
                    await self._ask(socket)
                elif said["op"] == "missing":
                    self.missing = said["parts"]
                    self.said |= set(said["parts"])
                elif said["op"] == "values":
                    self._take(said, web)

    async def _ask(self, socket: Any) -> None:
        ask = {"op": "watch", "id": 1, "paths": ["hall/**"], "every_ms": 100}
        if self._since is not None:
            ask["since"] = self._since
        await socket.send(orjson.dumps(ask).decode())

    def _take(self, said: dict[str, Any], web: str) -> None:
        again = self._since is not None and self._since["web"] == web
        for row in said["values"]:
            before = self.newest.get(row[0])
            if before is not None and row[3] is not None and before[3] is not None:
                if row[3] < before[3]:
                    self.backwards.append((before, row))
                elif row == before and again:
                    self.repeated.append(row)
            self.newest[row[0]] = row
        self._since = {"web": web, "turn": said["turn"]}


class I3xFollower:
    """A subscription of each tag.

    Attributes:
        got: How often each value came.
        gaps: Numbers that were missing, with what the answer said of them.
        broken: Numbers that were missing though the answer was whole.
        refused: Status of answers that were neither 200 nor 206.
        cuts: When its stream ended, ms since 1970 UTC.
    """

    def __init__(self, url: str, head: dict[str, str], tags: list[str]) -> None:
        self._url, self._head, self._tags = f"{url}/i3x/v1", head, tags
        self._client = f"follower-{id(self)}"
        self.subscription = ""
        self.got: defaultdict[Key, int] = defaultdict(int)
        self.gaps: list[tuple[list[int], str]] = []
        self.broken: list[tuple[int, int]] = []
        self.refused: set[int] = set()
        self.cuts: list[int] = []
        self.last = 0

    async def subscribe(self) -> None:
        async with httpx.AsyncClient(timeout=30, headers=self._head) as http:
            made = await http.post(f"{self._url}/subscriptions", json={"clientId": self._client})
            self.subscription = made.json()["result"]["subscriptionId"]
            done = await http.post(f"{self._url}/subscriptions/register", json=self._body(elementIds=self._tags))
            assert done.json()["success"], done.text

    def _body(self, **more: Any) -> dict[str, Any]:
        return {"clientId": self._client, "subscriptionId": self.subscription, **more}

    def _take(self, updates: list[Any]) -> None:
        for each in updates:
            self.got[each["elementId"], ms_of(each["timestamp"])] += 1

    async def sync(self) -> None:
        """Ask by number, for ever."""
        while True:
            async with httpx.AsyncClient(timeout=ANSWER_S, headers=self._head) as http:
                with contextlib.suppress(*AWAY):
                    while True:
                        body = self._body(**({"lastSequenceNumber": self.last} if self.last else {}))
                        self._answered(await http.post(f"{self._url}/subscriptions/sync", json=body))
                        await asyncio.sleep(SYNC_S)
            await asyncio.sleep(AGAIN_S)

    def _answered(self, answer: httpx.Response) -> None:
        if answer.status_code not in (200, 206):
            self.refused.add(answer.status_code)
            return
        for batch in answer.json()["result"]:
            number = batch["sequenceNumber"]
            if number <= self.last:
                continue
            if number != self.last + 1:
                missing = list(range(self.last + 1, number))
                if answer.status_code == 206:
                    self.gaps.append((missing, answer.json()["responseDetail"]["detail"]))
                else:
                    self.broken.append((self.last, number))
            self.last = number
            self._take(batch["updates"])

    async def stream(self) -> None:
        """Read a stream, and open it again, for ever."""
        while True:
            with contextlib.suppress(*AWAY):
                limits = httpx.Timeout(ANSWER_S, read=ANSWER_S)
                async with (
                    httpx.AsyncClient(timeout=limits, headers=self._head) as http,
                    http.stream("POST", f"{self._url}/subscriptions/stream", json=self._body()) as answer,
                ):
                    if answer.status_code != 200:
                        self.refused.add(answer.status_code)
                    else:
                        async for line in answer.aiter_lines():
                            if line.startswith("data: "):
                                self._take(orjson.loads(line[6:]))
            self.cuts.append(now_ms())
            await asyncio.sleep(AGAIN_S)


class Followers:
    """A loop in a thread, and what runs on it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._tasks: list[Any] = []

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something there, and wait for its end."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something there until `stop`."""
        self._tasks.append(asyncio.run_coroutine_threadsafe(work, self._loop))

    def failed(self) -> list[BaseException]:
        """Why followers have ended; none may."""
        return [each.exception() for each in self._tasks if each.done() and not each.cancelled()]

    def stop(self) -> None:
        for each in self._tasks:
            each.cancel()
        self.do(asyncio.sleep(0.1))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)


def ms_of(text: str) -> int:
    """ms since 1970 of a time of i3X."""
    from datetime import datetime

    return int(datetime.fromisoformat(text).timestamp() * 1_000_000 + 0.5) // 1000


def now_ms() -> int:
    return int(time.time() * 1000)
