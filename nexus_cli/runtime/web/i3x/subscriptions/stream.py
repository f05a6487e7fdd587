"""One stream of a subscription as Server-Sent Events.

What is given is acknowledged a moment later, if the client is still there: a web that did not run wakes up with connections
that their clients have given up, and must not spend values on them. After a crash of this web the next one repeats what was
given since it was saved last, at most some seconds: nothing is left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import orjson

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.runtime.web.i3x.spaces import Spaces
from nexus_cli.runtime.web.i3x.subscriptions.keeper import SubscriptionKeeper
from nexus_cli.runtime.web.i3x.subscriptions.queue import Update
from nexus_cli.runtime.web.i3x.subscriptions.subscription import Subscription
from nexus_cli.runtime.web.i3x.visible import shown_updates
from nexus_cli.runtime.web.parts import WebParts

TOGETHER_S = 0.1
"""Changes of so long are one event."""
LOOK_S = 1.0
"""How soon the stop of this web, another stream or a revoked token is noticed."""
ALIVE_S = 15.0
"""A stream without changes says that it is alive: what lies between may close a silent connection."""
MOST_IN_EVENT = 1_000


async def events(
    parts: WebParts,
    spaces: Spaces,
    keeper: SubscriptionKeeper,
    found: Subscription,
    stream: object,
    *,
    authorization: str | None,
    gone: Callable[[], Awaitable[bool]],
) -> AsyncIterator[bytes]:
    """The events, until the client goes, another stream begins, the token ends or this web stops.

    Args:
        parts, spaces, keeper: Of this web.
        found: The subscription.
        stream: The one of its streams that this is; another one may have been opened already.
        authorization: Header of the request.
        gone: Says whether the client has closed the connection.
    """
    quiet_s = 0.0
    yield b": open\n\n"
    while found.stream is stream and not found.gone and not parts.stopping():
        # Who may no longer ask gets nothing more; a token is looked up once in two seconds.
        try:
            found.caller = await parts.callers.caller(authorization)
        except NexusError:
            return
        space = await spaces.of(found.caller)
        found.wake.clear()
        batches = keeper.given(found)
        updates = shown_updates(space, [update for batch in batches for update in batch.updates])
        for at in range(0, len(updates), MOST_IN_EVENT):
            yield _event(updates[at : at + MOST_IN_EVENT])
        if batches:
            await asyncio.sleep(TOGETHER_S)
            if await gone():
                return
            if found.stream is stream:  # another one was given the same again
                found.queue.acknowledge(batches[-1].sequence)
            waited_s = TOGETHER_S
        else:
            waited_s = LOOK_S
            if await wait_for(found.wake, timeout_s=LOOK_S):
                await asyncio.sleep(TOGETHER_S)
        quiet_s = 0.0 if updates else quiet_s + waited_s
        if quiet_s >= ALIVE_S:
            quiet_s = 0.0
            yield b": alive\n\n"


def _event(updates: list[Update]) -> bytes:
    body = [{"elementId": update.element, **update.vqt.json()} for update in updates]
    return b"data: " + orjson.dumps(body) + b"\n\n"
