"""What the clients of one web's WebSocket share."""

from __future__ import annotations

import asyncio
from functools import partial

from nexus_cli.diagnostics.groups import tasks
from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.runtime.web.socket.codec import JSON, MSGPACK
from nexus_cli.runtime.web.socket.counting import Counting
from nexus_cli.runtime.web.socket.encoded_values import EncodedValues
from nexus_cli.runtime.web.socket.event_sources import EventSources
from nexus_cli.runtime.web.socket.extra_topics import ExtraTopics
from nexus_cli.runtime.web.socket.hearing import Hearings
from nexus_cli.runtime.web.socket.missing_parts import MissingParts
from nexus_cli.runtime.web.socket.selections import Selections
from nexus_cli.runtime.web.socket.writing import Writer
from nexus_cli.runtime.web.steering.commands import send_command
from nexus_cli.wire.web_socket import Hello


class Shared:
    """What each client asks.

    Attributes:
        instance: Name of this web; turns are its own.
        encoded: Rows by `Codec.number`.
        writer: Sends commands.
        stopping: True once the clients have to go.
    """

    def __init__(self, parts: WebParts, *, instance: str, writer: Writer | None = None) -> None:
        """Join the parts."""
        self.parts, self.instance, self.stopping = parts, instance, False
        self.writer: Writer = writer or partial(send_command, parts)
        prefix = f"{parts.topics.live}/"
        self.encoded = tuple(EncodedValues(parts.cache, codec, prefix=prefix) for codec in (JSON, MSGPACK))
        self.selections = Selections()
        self.counting = Counting(parts.qualities, parts.keeper)
        self.events = EventSources(parts)
        self.hearings = Hearings(parts.cache)
        self.extra = ExtraTopics(parts.client)
        self.missing = MissingParts(parts)

    def hello(self) -> Hello:
        """The first message of a client."""
        parts = self.parts
        return Hello(
            web=self.instance,
            turn=parts.cache.turn,
            deployment=parts.keeper.view.number,
            time=parts.clock.wall_us(),
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Until stopped."""
        async with tasks("sockets") as group:
            group.create_task(self.counting.run(stop), name="counts")
            group.create_task(self.events.record.run(stop), name="events")
            group.create_task(self.extra.run(stop), name="extra topics")
