"""Durable records in memory: the newest ones for the publisher, and the replacements of records that are too large.
Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from itertools import islice

from nexus_cli.runtime.gateway.outbox.records import Record, with_epoch


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
        """Records with numbers above one, in order, until they have `limit` numbers; None when some of them are no
        longer in memory."""
        if not self._records or self._records[0].seq > after + 1:
            return None
        first = bisect_right(self._records, after, key=_last)
        found: list[Record] = []
        size = count = 0
        for record in islice(self._records, first, None):
            found.append(record)
            size += len(record.payload)
            count += record.numbers
            if size >= limit_bytes or count >= limit:
                break
        return found


class Replaced:
    """Replacements for records that the broker does not pass on, by their numbers.

    Only in memory: after a restart such a record is detected again, unless its numbers were announced meanwhile.
    """

    def __init__(self) -> None:
        """Start with nothing replaced."""
        self._instead: dict[tuple[int, int], list[Record]] = {}
        self._waiting: dict[tuple[int, int], tuple[int, list[Record]]] = {}
        self._renamed: list[tuple[int, str, str]] = []

    def rename(self, upto: int, old: str, new: str) -> None:
        """Records up to a number are sent with a new epoch instead of the one on disk."""
        self._renamed.append((upto, old, new))

    def add(self, record: Record, instead: list[Record], needs: int) -> None:
        """Replace a record by others with the same numbers, once the log is durable up to `needs`."""
        self._waiting[record.seq, record.last] = (needs, instead)

    def set_durable(self, durable_seq: int) -> None:
        """The log is durable up to this number."""
        for key in [key for key, (needs, _) in self._waiting.items() if needs <= durable_seq]:
            self._instead[key] = self._waiting.pop(key)[1]

    def refuse(self) -> None:
        """The disk refused a group: drop the replacements that wait for it."""
        self._waiting.clear()

    def instead(self, records: list[Record], *, after: int) -> list[Record]:
        """The records with their replacements applied; of those only what has numbers above one."""
        if self._instead:
            records = [part for one in records for part in self._parts(one) if part.last > after]
        for upto, old, new in self._renamed:
            records = [
                one._replace(payload=with_epoch(one.payload, old, new)) if one.seq <= upto else one for one in records
            ]
        return records

    def _parts(self, record: Record) -> list[Record]:
        parts = self._instead.get((record.seq, record.last))
        if parts is None:
            return [record]
        if len(parts) == 1:  # its numbers are the same: it is not replaced again by itself
            return parts
        return [part for one in parts for part in self._parts(one)]

    def forget(self, delivered: Callable[[int, int], bool]) -> None:
        """Drop the replacements of records of which all numbers are announced."""
        if self._instead:
            self._instead = {key: one for key, one in self._instead.items() if not delivered(*key)}


def _last(record: Record) -> int:
    return record.last
