"""Durable records in memory: the newest ones for the publisher, and the replacements of records that are too large.
Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable

from nexus_cli.runtime.gateway.outbox.segment import Record


class Recent:
    """The newest durable records (policy: drop the oldest; it can be read from disk)."""

    def __init__(self, most_bytes: int) -> None:
        """Limit the total size of the payloads."""
        self.size_bytes = 0
        self._most_bytes = most_bytes
        self._records: list[Record] = []

    def add(self, records: Iterable[Record]) -> None:
        """Append, in order."""
        for record in records:
            self._records.append(record)
            self.size_bytes += len(record.payload)
        spare = 0
        while self.size_bytes > self._most_bytes and spare < len(self._records):
            self.size_bytes -= len(self._records[spare].payload)
            spare += 1
        del self._records[:spare]

    def read(self, after: int, limit: int, limit_bytes: int) -> list[Record] | None:
        """Records above a seq, in order; None when some of them are no longer in memory."""
        if not self._records or self._records[0].seq > after + 1:
            return None
        first = bisect_right(self._records, after, key=_seq)
        found: list[Record] = []
        size = 0
        for record in self._records[first : first + limit]:
            found.append(record)
            size += len(record.payload)
            if size >= limit_bytes:
                break
        return found


class Replaced:
    """Replacements for records that the broker does not pass on, by their numbers.

    Only in memory: after a restart such a record is detected again, unless its number was announced meanwhile.
    """

    def __init__(self) -> None:
        """Start with nothing replaced."""
        self._instead: dict[int, Record] = {}
        self._waiting: dict[int, tuple[int, Record]] = {}
        self._renamed: list[tuple[int, bytes, bytes]] = []

    def rename(self, upto: int, old: str, new: str) -> None:
        """Records up to a number are sent with a new epoch instead of the one on disk."""
        self._renamed.append((upto, f'"epoch":"{old}"'.encode(), f'"epoch":"{new}"'.encode()))

    def add(self, record: Record, needs: int) -> None:
        """Replace the record with the same number, once the log is durable up to `needs`."""
        self._waiting[record.seq] = (needs, record)

    def set_durable(self, durable_seq: int) -> None:
        """The log is durable up to this number."""
        for seq in [seq for seq, (needs, _) in self._waiting.items() if needs <= durable_seq]:
            self._instead[seq] = self._waiting.pop(seq)[1]

    def refuse(self) -> None:
        """The disk refused a group: drop the replacements that wait for it."""
        self._waiting.clear()

    def instead(self, records: list[Record]) -> list[Record]:
        """The records with their replacements applied."""
        if self._instead:
            records = [self._instead.get(one.seq, one) for one in records]
        for upto, old, new in self._renamed:
            records = [
                one._replace(payload=one.payload.replace(old, new, 1)) if one.seq <= upto else one for one in records
            ]
        return records

    def forget(self, committed: Callable[[int], bool]) -> None:
        """Drop the replacements of announced records."""
        if self._instead:
            self._instead = {seq: one for seq, one in self._instead.items() if not committed(seq)}


def _seq(record: Record) -> int:
    return record.seq
