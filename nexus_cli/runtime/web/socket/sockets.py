"""Every WebSocket of one web, and what they share."""

from __future__ import annotations

import asyncio

from starlette.websockets import WebSocket

from nexus_cli.runtime.api.calling import authorization_of, caller_of
from nexus_cli.runtime.lifecycle import tasks, wait_for
from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.runtime.web.socket.client import SocketClient
from nexus_cli.runtime.web.socket.codec import chosen
from nexus_cli.runtime.web.socket.shared import Shared
from nexus_cli.wire.web_socket import Missing, SiteChanged

SOCKET_PATH = "/ws"
MOST_CLIENTS = 3_000
"""WebSockets of one web; a further one is refused with 503."""
MOST_OF_ONE = 1_500
"""Of one principal."""
LOOK_S = 1.0
"""How often it is looked what is missing, in seconds."""
FULL = 1013
"""Close code: try again later (RFC 6455, IANA registry)."""


class Sockets:
    """The endpoint, and what it says to everybody.

    Attributes:
        clients: Who is connected.
    """

    def __init__(self, parts: WebParts, *, instance: str) -> None:
        """`instance` names this web; clients resume with it."""
        self._parts = parts
        self.clients: set[SocketClient] = set()
        self.shared = Shared(parts, instance=instance)
        self._missing: Missing = Missing(parts=[], detail={})
        parts.keeper.changed.append(self._site_changed)

    async def endpoint(self, websocket: WebSocket) -> None:
        """One client from its handshake to its end."""
        caller = caller_of(websocket.scope)
        assert caller is not None  # the guard refuses the others
        codec, answered = chosen(websocket.scope.get("subprotocols", ()))
        await websocket.accept(subprotocol=answered)
        mine = sum(each.caller.principal == caller.principal for each in self.clients)
        if len(self.clients) >= MOST_CLIENTS or mine >= MOST_OF_ONE:
            await websocket.close(FULL, "this web has as many clients as it takes")
            return
        client = SocketClient(
            websocket, self.shared, caller=caller, authorization=authorization_of(websocket.scope), codec=codec
        )
        self.clients.add(client)
        try:
            client.tell(self.shared.hello())
            if self._missing.parts:
                client.tell(self._missing)
            await client.run()
        finally:
            self.clients.discard(client)

    async def run(self, stop: asyncio.Event) -> None:
        """Say what is missing whenever that changes, until stopped; then every connection is closed."""
        async with tasks("web sockets") as group:
            group.create_task(self.shared.run(stop), name="sockets")
            while not stop.is_set():
                found = self.shared.missing.now()
                if found != self._missing:
                    self._missing = found
                    for client in tuple(self.clients):
                        client.tell(found)
                await wait_for(stop, timeout_s=LOOK_S)
        self.shared.stopping = True
        for client in tuple(self.clients):
            client.renew()

    def _site_changed(self) -> None:
        said = SiteChanged(deployment=self._parts.keeper.view.number)
        for client in tuple(self.clients):
            client.tell(said)
            client.renew()
