"""Detects replays: items sent again because their receipt was lost are skipped; items that only reuse a number are not.

A number identifies a frame within one epoch of a disk log. A log that was set back (an older gateway, a disk that
ignored an fsync) reuses numbers, so a frame counts as stored only if its time is the same too. Otherwise it is stored:
rows have a key, so none is stored twice. A replay adds no row, even if retention has deleted the original rows.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from nexus_cli.database.commands import is_on_record
from nexus_cli.database.committed import Custody, OutboxKey
from nexus_cli.database.loss import is_covered, is_numbered
from nexus_cli.runtime.historian.batch import Batch
from nexus_cli.runtime.historian.counters import Counters
from nexus_cli.runtime.historian.dead_letters import Refusal
from nexus_cli.runtime.historian.mapping import NO_PLAN
from nexus_cli.runtime.historian.pending import AnyFrame, Pending, PendingFrame, PendingGap, PendingReport
from nexus_cli.runtime.logging import event
from nexus_cli.wire.frame import Frame

_log = logging.getLogger("nexus.historian.replays")
MOST_TOLD = 1_000


class Replays:
    """Removes replays from batches, and refuses items with an epoch of another gateway."""

    def __init__(self, *, counters: Counters) -> None:
        """Count in the role's counters."""
        self._counters = counters
        self._told: set[OutboxKey] = set()

    async def take_out(
        self, conn: Any, batch: Batch, stored: dict[OutboxKey, Custody], *, site: str
    ) -> dict[OutboxKey, list[int]]:
        """Remove replays from a batch; returns their numbers, by outbox.

        Args:
            conn: For looking up gaps and reports that are neither new nor cached.
            batch: Changed in place.
            stored: The stored numbers of each of its outboxes.
            site: `enterprise/site`.
        """
        recognised: dict[OutboxKey, list[int]] = {}
        seen: dict[OutboxKey, set[tuple[int, int]]] = {key: set() for key in stored}
        tops = {key: custody.ranges.last for key, custody in stored.items()}

        def fresh(pending: Pending, *, replay: bool) -> bool:
            same, known = (pending.seq, pending.time_us), seen[pending.key]
            if replay or same in known:
                recognised.setdefault(pending.key, []).append(pending.seq)
                return False
            known.add(same)
            return True

        # Nearly every number is above all stored ones.
        frames = [
            each
            for each in batch.frames
            if fresh(each, replay=each.seq <= tops[each.key] and _frame_is_stored(each, stored[each.key]))
        ]
        if len(frames) != len(batch.frames):
            self._counters.replayed_frames += len(batch.frames) - len(frames)
            batch.frames, batch.packed = frames, None
        gaps, reports = batch.gaps, batch.reports
        batch.gaps = [
            each for each in gaps if fresh(each, replay=await _gap_is_stored(conn, site, each, stored[each.key]))
        ]
        batch.reports = [
            each for each in reports if fresh(each, replay=await _report_is_stored(conn, site, each, stored[each.key]))
        ]
        self._note_used_again([each for each in batch.numbered() if each.seq <= tops[each.key]], stored)
        if any(stored[key].refused for key in batch.outboxes()):
            _set_foreign_aside(batch, stored)
        return recognised

    def _note_used_again(self, some: Sequence[Pending], stored: dict[OutboxKey, Custody]) -> None:
        for pending in some:
            if pending.seq not in stored[pending.key].ranges:
                continue
            self._counters.replays_that_differ += 1
            if pending.key not in self._told and len(self._told) < MOST_TOLD:
                self._told.add(pending.key)
                event(
                    _log,
                    "numbers of a gateway's disk log are used again at other times; its frames are stored",
                    level=logging.WARNING,
                    gateway=pending.key.gateway,
                    epoch=pending.key.epoch,
                    seq=pending.seq,
                )


def _frame_is_stored(pending: AnyFrame, custody: Custody) -> bool:
    if pending.seq not in custody.ranges:
        return False
    # Without samples nothing can be lost: the number is enough.
    return not pending.points or custody.is_replay(pending.seq, pending.time_us)


async def _gap_is_stored(conn: Any, site: str, pending: PendingGap, custody: Custody) -> bool:
    if pending.seq not in custody.ranges:
        return False
    gap = pending.gap
    if pending.refusal is not None or custody.recent.get(pending.seq) == pending.time_us:
        return True
    gateway = pending.key.gateway
    if pending.claimed_us is not None:  # the recorded times are those of its first arrival
        return await is_numbered(conn, site=site, gateway=gateway, epoch=gap.epoch, seq=gap.seq)
    return await is_covered(conn, site=site, gateway=gateway, device=gap.device, start_us=gap.start, end_us=gap.end)


async def _report_is_stored(conn: Any, site: str, pending: PendingReport, custody: Custody) -> bool:
    if pending.seq not in custody.ranges:
        return False
    report, response = pending.report, pending.report.response
    if pending.refusal is not None or custody.recent.get(pending.seq) == pending.time_us:
        return True
    return await is_on_record(
        conn, site, command_id=response.id, path=response.path, principal=report.principal, at_us=response.time
    )


def _set_foreign_aside(batch: Batch, stored: dict[OutboxKey, Custody]) -> None:
    def refusal(key: OutboxKey, topic: str, count: int) -> Refusal:
        detail = f"epoch {key.epoch} belongs to another gateway than '{key.gateway}'"
        return Refusal("foreign_epoch", detail, topic, b"", max(1, count))

    batch.frames = [
        _without_samples(each, refusal(each.key, each.topic, each.points))
        if stored[each.key].refused and each.refusal is None
        else each
        for each in batch.frames
    ]
    batch.gaps = [
        each._replace(refusal=refusal(each.key, f"gap/{each.key.gateway}", 1)) if stored[each.key].refused else each
        for each in batch.gaps
    ]
    batch.reports = [
        each._replace(refusal=refusal(each.key, f"audit/{each.key.gateway}", 1)) if stored[each.key].refused else each
        for each in batch.reports
    ]
    batch.packed = None


def _without_samples(pending: AnyFrame, refusal: Refusal) -> PendingFrame:
    empty = Frame(epoch=pending.key.epoch, seq=pending.seq, time=pending.time_us, samples={})
    return PendingFrame(pending.key, pending.topic, empty, NO_PLAN, refusal)
