"""The bounded queue of broker messages: when it is full the newest is refused and counted (gateways send again).

It has one queue for each lane of writing, so that messages whose writer waits hold up no others.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import deque
from collections.abc import Callable, Iterable

from nexus_cli.runtime.historian.counters import Counters
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.wire.message import Message
from nexus_cli.wire.topic import Topics

MOST_BYTES = 64 * 1024 * 1024
CHANGED_S = 0.005
MOST_MESSAGES = 100_000
MOST_TOPICS = 50_000


class InboundQueue:
    """A bounded queue of raw messages. Overflow policy: the newest message is dropped and counted.

    It says early that it is crowded, so that the broker can be made to wait instead (`BackPressure`).

    Attributes:
        config_changed: Set when a deployment was recorded.
        on_notice: Called when control announces a deployment.
        taken: Messages taken from the queue.
        on_crowded: Called when a lane is more than half full, and again only after `on_roomy`.
        on_roomy: Called when then all lanes are less than a quarter full.
        closed: True once the role stops: further messages are ignored.
        lanes: How many lanes there are.
    """

    def __init__(
        self,
        *,
        topics: Topics,
        counters: Counters,
        most_bytes: int = MOST_BYTES,
        most_messages: int = MOST_MESSAGES,
        lanes: int = 1,
    ) -> None:
        """Limit the queue by bytes of payload and by messages; each lane has its share of both."""
        self._topics = topics
        self._counters = counters
        self.lanes = lanes
        self._most_bytes, self._most_messages = most_bytes // lanes, most_messages // lanes
        self._queues: list[deque[Message]] = [deque() for _ in range(lanes)]
        self._backs: list[deque[tuple[Message, int]]] = [deque() for _ in range(lanes)]
        self._bytes = [0] * lanes
        self._lane_of: dict[str, int] = {}
        self._arrived = asyncio.Event()
        self._own = (f"{topics.platform}/data/", f"{topics.platform}/gap/", f"{topics.platform}/audit/")
        self._config = f"{topics.platform}/config/"
        self.config_changed = asyncio.Event()
        self.taken = 0
        self.on_notice: Callable[[], None] = self.changed
        self.on_crowded: Callable[[], None] = _nothing
        self.on_roomy: Callable[[], None] = _nothing
        self._crowded = False
        self.closed = False

    def __len__(self) -> int:
        return sum(map(len, self._queues)) + sum(map(len, self._backs))

    @property
    def size_bytes(self) -> int:
        """Bytes of payload in the queue."""
        return sum(self._bytes)

    def lane(self, topic: str) -> int:
        """The lane of a topic: all topics of one gateway have the same."""
        found = self._lane_of.get(topic)
        if found is None:
            own = next((prefix for prefix in self._own if topic.startswith(prefix)), "")
            sender = topic[len(own) :].partition("/")[0] if own else topic
            if len(self._lane_of) >= MOST_TOPICS:
                self._lane_of.clear()
            found = self._lane_of[topic] = zlib.crc32(sender.encode(errors="replace")) % self.lanes
        return found

    def put(self, message: Message) -> None:
        """Add a message from the broker; called on the event loop, never blocks."""
        if message.topic.startswith(self._config):
            self.on_notice()
            return
        if self.closed:
            return
        lane, size = self.lane(message.topic), len(message.payload)
        queue = self._queues[lane]
        if self._bytes[lane] + size > self._most_bytes or len(queue) >= self._most_messages:
            if message.topic.startswith(self._own):
                self._counters.dropped_frames += 1
            else:
                self._counters.dropped_external += 1
            return
        queue.append(message)
        self._bytes[lane] += size
        self._arrived.set()
        if not self._crowded and self._fuller(lane, 2):
            self._crowded = True
            self.on_crowded()

    def changed(self) -> None:
        """A deployment was recorded: the series have to be loaded again."""
        self.config_changed.set()
        self._arrived.set()

    def wake(self) -> None:
        """End a wait: a writer has room again."""
        self._arrived.set()

    def give_back(self, message: Message, *, arrived_us: int) -> None:
        """Return an external message whose series now exists; it goes before the queue. The caller bounds these."""
        self._backs[self.lane(message.topic)].append((message, arrived_us))
        self._arrived.set()

    def pop_back(self, lane: int = 0) -> tuple[Message, int] | None:
        """The oldest returned message of a lane, with the time of its arrival, or None."""
        back = self._backs[lane]
        return back.popleft() if back else None

    def pop(self, lane: int = 0) -> Message | None:
        """The oldest message of a lane, or None."""
        queue = self._queues[lane]
        if not queue:
            return None
        message = queue.popleft()
        self.taken += 1
        self._bytes[lane] -= len(message.payload)
        if self._crowded and not any(self._fuller(each, 4) for each in range(self.lanes)):
            self._crowded = False
            self.on_roomy()
        return message

    async def wait(self, timeout_s: float, *, lanes: Iterable[int] = (0,)) -> bool:
        """Wait for a message of these lanes, a recorded deployment or `wake`, at most `timeout_s`; True when there is a
        message."""
        some = list(lanes)
        if self._has(some):
            return True
        # While a change is pending the caller returns soon, but other tasks must run in between.
        longest_s = min(timeout_s, CHANGED_S) if self.config_changed.is_set() else timeout_s
        await wait_for(self._arrived, timeout_s=longest_s)
        self._arrived.clear()
        return self._has(some)

    def _fuller(self, lane: int, part: int) -> bool:
        """Whether more than one part of so many is taken."""
        return part * len(self._queues[lane]) > self._most_messages or part * self._bytes[lane] > self._most_bytes

    def _has(self, lanes: Iterable[int]) -> bool:
        return any(self._queues[lane] or self._backs[lane] for lane in lanes)


def _nothing() -> None:
    """Nothing is to be done when the queue is crowded or has room again."""
