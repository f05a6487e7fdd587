"""The subscriptions of one connection that wait for the broker's answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from nexus_cli.wire.lost import LostError, fail
from nexus_cli.wire.mqtt import reasons
from nexus_cli.wire.mqtt.events import Subscribed
from nexus_cli.wire.mqtt.session import Session

SUBSCRIBE_BATCH = 200
"""Filters in one SUBSCRIBE packet; some brokers bound its size."""
T = TypeVar("T")
Waiting = asyncio.Future[T]


class Subscribing:
    """Asks, and joins the answers with what was asked."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin empty."""
        self._loop = loop
        self._open: dict[int, Waiting[Sequence[int]]] = {}
        self._over: LostError | None = None

    async def all(
        self,
        session: Session,
        subscriptions: Sequence[tuple[str, int]],
        *,
        timeout_s: float,
        asked: Callable[[], None],
    ) -> tuple[str, ...]:
        """Subscribe, `asked` after each packet; gives the filters that the broker refused (SUBACK 0x80, MQTT 3.1.1 §3.9.3).

        Raises:
            LostError: The connection has ended, an answer did not come in time, or a filter breaks the standard.
        """
        refused: list[str] = []
        for start in range(0, len(subscriptions), SUBSCRIBE_BATCH):
            batch = subscriptions[start : start + SUBSCRIBE_BATCH]
            if self._over is not None:
                raise self._over
            try:
                number = session.subscribe(batch)
            except ValueError as error:
                raise LostError(f"a filter can't be subscribed: {error}") from None
            self._open[number] = self._loop.create_future()
            asked()
            codes = await self._answer(number, timeout_s)
            refused += [filter_ for (filter_, _), code in zip(batch, codes, strict=False) if code >= reasons.FAILURE]
        return tuple(refused)

    async def end(
        self, session: Session, filters: Sequence[str], *, timeout_s: float, asked: Callable[[], None]
    ) -> None:
        """Unsubscribe, `asked` after each packet. Raises LostError: as `all`."""
        for start in range(0, len(filters), SUBSCRIBE_BATCH):
            if self._over is not None:
                raise self._over
            number = session.unsubscribe(filters[start : start + SUBSCRIBE_BATCH])
            self._open[number] = self._loop.create_future()
            asked()
            await self._answer(number, timeout_s)

    async def _answer(self, number: int, timeout_s: float) -> Sequence[int]:
        try:
            async with asyncio.timeout(timeout_s):
                return await self._open[number]
        except TimeoutError:
            raise LostError(f"the subscription was not answered within {timeout_s:g} s") from None
        finally:
            self._open.pop(number, None)

    def answered(self, event: Subscribed) -> None:
        """Take an answer; one that is not awaited any more is dropped."""
        answer = self._open.pop(event.number, None)
        if answer is not None and not answer.done():
            answer.set_result(event.codes)

    def lost(self, error: LostError) -> None:
        """The connection has ended."""
        self._over = error
        fail(self._open.values(), error)
        self._open.clear()
