"""The bounded queue of broker messages: when it is full the newest is refused and counted (gateways send again)."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable

from nexus_cli.runtime.historian.counters import Counters
from nexus_cli.wire.client import Message
from nexus_cli.wire.topic import Topics

MOST_BYTES = 64 * 1024 * 1024
CHANGED_S = 0.005
MOST_MESSAGES = 100_000


class InboundQueue:
    """A bounded queue of raw messages. Overflow policy: the newest message is dropped and counted.

    Attributes:
        config_changed: Set when a deployment was recorded.
        on_notice: Called when control announces a deployment.
        taken: Messages taken from the queue.
        closed: True once the role stops: further messages are ignored.
    """

    def __init__(
        self,
        *,
        topics: Topics,
        counters: Counters,
        most_bytes: int = MOST_BYTES,
        most_messages: int = MOST_MESSAGES,
    ) -> None:
        """Limit the queue by bytes of payload and by messages."""
        self._topics = topics
        self._counters = counters
        self._most_bytes, self._most_messages = most_bytes, most_messages
        self._queue: deque[Message] = deque()
        self._back: deque[tuple[Message, int]] = deque()
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._own = (f"{topics.platform}/data/", f"{topics.platform}/gap/", f"{topics.platform}/audit/")
        self._config = f"{topics.platform}/config/"
        self.config_changed = asyncio.Event()
        self.taken = 0
        self.on_notice: Callable[[], None] = self.changed
        self.closed = False

    def __len__(self) -> int:
        return len(self._queue) + len(self._back)

    @property
    def size_bytes(self) -> int:
        """Bytes of payload in the queue."""
        return self._bytes

    def put(self, message: Message) -> None:
        """Add a message from the broker; called on the event loop, never blocks."""
        if message.topic.startswith(self._config):
            self.on_notice()
            return
        if self.closed:
            return
        size = len(message.payload)
        if self._bytes + size > self._most_bytes or len(self._queue) >= self._most_messages:
            if message.topic.startswith(self._own):
                self._counters.dropped_frames += 1
            else:
                self._counters.dropped_external += 1
            return
        self._queue.append(message)
        self._bytes += size
        self._arrived.set()

    def changed(self) -> None:
        """A deployment was recorded: the series have to be loaded again."""
        self.config_changed.set()
        self._arrived.set()

    def give_back(self, message: Message, *, arrived_us: int) -> None:
        """Return an external message whose series now exists; it goes before the queue. The caller bounds these."""
        self._back.append((message, arrived_us))
        self._arrived.set()

    def pop_back(self) -> tuple[Message, int] | None:
        """The oldest returned message, with the time of its arrival, or None."""
        return self._back.popleft() if self._back else None

    def pop(self) -> Message | None:
        """The oldest message, or None."""
        if not self._queue:
            self._arrived.clear()
            return None
        message = self._queue.popleft()
        self.taken += 1
        self._bytes -= len(message.payload)
        return message

    async def wait(self, timeout_s: float) -> bool:
        """Wait for a message or a recorded deployment, at most `timeout_s`; True when there is a message."""
        if self._queue or self._back:
            return True
        self._arrived.clear()
        # While a change is pending the caller returns soon, but other tasks must run in between.
        longest_s = min(timeout_s, CHANGED_S) if self.config_changed.is_set() else timeout_s
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest_s):
                await self._arrived.wait()
        return bool(self._queue or self._back)
