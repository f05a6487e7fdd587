"""Messages between the broker and one reader that may be slow: bounded here, so that the broker queues none for us."""

from __future__ import annotations

import asyncio
from collections import deque

from nexus_cli.wire.message import Message

MOST = 20_000


class Inbox:
    """A bounded queue of messages, in the order of arrival.

    Overflow policy: the newest message is dropped, where each one counts (answers, a listing). With `newest` it is the
    live view that counts: what a newer message of its topic has overtaken goes first, then the oldest.

    Attributes:
        dropped: Messages that were dropped or overtaken.
    """

    def __init__(self, *, newest: bool = False, most: int = MOST) -> None:
        """Start empty; `most` bounds it."""
        self.dropped = 0
        self._newest, self._most = newest, most
        self._queue: deque[Message] = deque()
        self._wake = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, message: Message) -> None:
        """Take a message; called on the loop, never blocks."""
        if len(self._queue) >= self._most:
            if not self._newest:
                self.dropped += 1
                return
            self._make_room()
        self._queue.append(message)
        self._wake.set()

    def close(self) -> None:
        """Nothing comes any more."""
        self._closed = True
        self._wake.set()

    async def get(self) -> Message | None:
        """The oldest message; None once nothing is left and nothing comes."""
        while not self._queue:
            if self._closed:
                return None
            self._wake.clear()
            await self._wake.wait()
        return self._queue.popleft()

    def _make_room(self) -> None:
        """In one pass, so that a full queue costs little a message: at least a tenth of it is free afterwards."""
        before = len(self._queue)
        kept: dict[str, Message] = {}
        for message in self._queue:
            kept.pop(message.topic, None)
            kept[message.topic] = message
        self._queue = deque(kept.values())
        while len(self._queue) > self._most * 9 // 10:
            self._queue.popleft()
        self.dropped += before - len(self._queue)
