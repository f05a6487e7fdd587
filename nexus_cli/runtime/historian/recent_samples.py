"""External samples that were stored lately: one that comes again is recognised without the database.

Publishers repeat messages (QoS 1, retained values, bridges). A sample has no number, so that only its key in the table
decides; what is known here spares the attempt. It is memory alone: what it has forgotten, the database finds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import islice
from typing import NamedTuple

from nexus_cli.database.copy import FullRow
from nexus_cli.runtime.historian.pending import PendingSample

MOST_RECENT = 50_000
LONGEST_BYTES = 200
"""Longer texts and structures are not remembered: 50,000 samples are at most 30 MB."""
_Key = tuple[int, int]
_Content = tuple[float | None, int | None, str | None, bytes | None, int]


class Sorted(NamedTuple):
    """The samples of a batch.

    Attributes:
        kept: Those to store.
        repeated: How many were stored already, or are there twice, with the same content.
        doubtful: One has the key of another, and not its content: the database has to compare them.
    """

    kept: list[PendingSample]
    repeated: int
    doubtful: bool


class RecentSamples:
    """Remembers the newest samples that a connection has stored."""

    def __init__(self, *, most: int = MOST_RECENT) -> None:
        """Start empty."""
        self._most = most
        self._stored: dict[_Key, _Content] = {}

    def forget(self) -> None:
        """Drop everything, after a connect: it may be another database."""
        self._stored.clear()

    def sort(self, samples: Iterable[PendingSample]) -> Sorted:
        """Take out repeated samples."""
        stored, here = self._stored, dict[_Key, _Content]()
        kept: list[PendingSample] = []
        repeated, doubtful = 0, False
        for sample in samples:
            row = sample.row
            key, content = (row.series_id, row.time_us), _content(row)
            known = here.get(key) or stored.get(key)
            if known == content:
                repeated += 1
                continue
            doubtful = doubtful or known is not None
            here[key] = content
            kept.append(sample)
        return Sorted(kept, repeated, doubtful)

    def remember(self, samples: Iterable[PendingSample], *, refused: Collection[_Key]) -> None:
        """Samples were stored, except those whose series and time are refused."""
        stored = self._stored
        for sample in samples:
            row = sample.row
            if refused and (row.series_id, row.time_us) in refused:
                continue
            if len(row.text or "") <= LONGEST_BYTES and len(row.json or b"") <= LONGEST_BYTES:
                stored[(row.series_id, row.time_us)] = _content(row)
        surplus = len(stored) - self._most
        if surplus > 0:
            for key in list(islice(stored, surplus)):
                del stored[key]


def _content(row: FullRow) -> _Content:
    return row.value, row.exact, row.text, row.json, row.quality
