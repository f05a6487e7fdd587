"""What EMQX lists of its clients: their sessions and subscriptions. No I/O."""

from __future__ import annotations

import msgspec


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A session of a client: connected, or kept for it.

    Attributes:
        clientid: Its client id.
        username: Its user.
        connected: False for one that waits for its client.
        connected_at: When it connected, as EMQX writes it: a client that came back has another one.
    """

    clientid: str
    username: str | None = None
    connected: bool = True
    connected_at: str | int | None = None


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """What a client subscribed to: its id, and the filter with `$share/GROUP/` in front where it is shared."""

    clientid: str
    topic: str
