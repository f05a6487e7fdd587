"""What a kind of job is: who does it, how often it is tried, how many at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from nexus_cli.database.job_queue import Taken

FIRST_WAIT_S = 2.0


class PlainError(Exception):
    """A failed try whose text is the whole reason, written for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of job. A handler may be run again for the same job: after a worker was lost, and when it fails.

    Attributes:
        handle: Does it. Any `Exception` is a failed try; a `GiveUpError` is the last one.
        concurrency: Most of this kind that all workers of the site have at a time; 0 is no limit.
        tries: After so many failed ones the job is kept as failed.
        longest_wait_s: Waits are 2, 4, 8 … s, and at most this.
        limit_s: A try that takes longer is a failed one.
    """

    handle: Callable[[Taken], Awaitable[None]]
    concurrency: int = 0
    tries: int = 4
    longest_wait_s: float = 300.0
    limit_s: float = 120.0

    def wait_s(self, attempt: int) -> float:
        """How long to wait after this try failed; the first is 1."""
        return float(min(self.longest_wait_s, FIRST_WAIT_S * 2.0 ** (attempt - 1)))


def chosen(kinds: Mapping[str, Kind], globs: Sequence[str]) -> dict[str, Kind]:
    """The kinds that a worker takes: those whose name fits one of the globs (`NEXUS_WORKER_KINDS`)."""
    return {name: kind for name, kind in kinds.items() if any(fnmatchcase(name, glob) for glob in globs)}
