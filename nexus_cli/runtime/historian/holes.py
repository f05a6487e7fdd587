"""Records gaps: those that gateways report, and those of frames that the historian refuses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from nexus_cli.database.committed import OutboxKey
from nexus_cli.database.loss import add_gap, last_rows_within, prolong_gap
from nexus_cli.database.raised import VALUE_ERRORS
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.historian.dead_letters import DeadLetters, Refusal, plain
from nexus_cli.wire.frame import Gap, GapReason, encode

OF_EARLIER = (GapReason.GATEWAY_KILLED, GapReason.GATEWAY_STOPPED)
"""Reasons of gaps that concern the process before the one that reports them."""
JOIN_S = 600.0
"""Refusals of one device and reason within this time are one gap, in seconds."""
MOST_OPEN = 10_000


class RefusalGaps:
    """Writes gaps inside the caller's transaction."""

    def __init__(self, *, site: str, clock: Clock) -> None:
        """Gaps of one site."""
        self._site, self._clock = site, clock
        self._open: dict[tuple[str, str, str], tuple[int, float]] = {}

    async def record(self, conn: Any, reported: Sequence[tuple[str, Gap]], letters: DeadLetters) -> None:
        """Record reported gaps, after the rows of the same transaction; one that the database refuses becomes a dead
        letter.

        Args:
            conn: In a transaction.
            reported: Gateway and gap, in order of arrival.
            letters: Takes the dead letters.
        """
        for gateway, gap in await self._behind_rows(conn, reported):
            await self._record_one(conn, gateway, gap, letters)

    async def _behind_rows(self, conn: Any, reported: Sequence[tuple[str, Gap]]) -> list[tuple[str, Gap]]:
        """Let gaps of an earlier process begin after its stored rows.

        A gateway whose disk log lost its end, or is an older copy, knows that process up to the last readable record.
        Later rows may have been delivered; delivery is in order, so only what follows them is missing.
        """
        asked = [at for at, (_, gap) in enumerate(reported) if gap.reason in OF_EARLIER and gap.device]
        spans = [(plain(gap.device), gap.start, gap.end) for gap in (reported[at][1] for at in asked)]
        last_us = await last_rows_within(conn, site=self._site, spans=spans)
        found = list(reported)
        for place, row_us in last_us.items():
            gateway, gap = found[asked[place]]
            found[asked[place]] = gateway, msgspec.structs.replace(gap, start=row_us + 1)
        gone = {asked[place] for place, row_us in last_us.items() if row_us >= spans[place][2]}
        return [one for at, one in enumerate(found) if at not in gone]

    async def _record_one(self, conn: Any, gateway: str, gap: Gap, letters: DeadLetters) -> None:
        try:
            async with conn.transaction():
                await add_gap(
                    conn,
                    site=self._site,
                    gateway=gateway,
                    start_us=gap.start,
                    end_us=gap.end,
                    reason=plain(gap.reason)[:200],
                    device=plain(gap.device)[:1000],
                    frames=gap.frames,
                    epoch=gap.epoch,
                    seq=gap.seq,
                )
        except VALUE_ERRORS as error:
            letters.add(f"gap/{gateway}", "refused_by_database", detail=str(error), payload=encode(gap))

    async def declare(self, conn: Any, refusals: Iterable[tuple[OutboxKey, Refusal]]) -> None:
        """Record a gap for refused frames of a device: from the arrival of the first to that of the last.

        The time at which their samples were read is unknown, since their time is what was wrong.
        """
        missing: dict[tuple[str, str, str], int] = {}
        for key, refusal in refusals:
            if refusal.hole:
                place = (key.gateway, refusal.hole, refusal.reason)
                missing[place] = missing.get(place, 0) + 1
        now_us, now_s = self._clock.now_us(), self._clock.monotonic_s()
        for place, frames in missing.items():
            gateway, device, reason = place
            known = self._open.get(place)
            if (
                known is not None
                and now_s - known[1] < JOIN_S
                and await prolong_gap(conn, number=known[0], end_us=now_us, frames=frames)
            ):
                self._open[place] = (known[0], now_s)
                continue
            if len(self._open) >= MOST_OPEN:
                self._open.clear()
            number = await add_gap(
                conn,
                site=self._site,
                gateway=gateway,
                device=plain(device),
                start_us=now_us,
                end_us=now_us,
                reason=reason,
                frames=frames,
            )
            self._open[place] = (number, now_s)
