"""A batch for the database: the content of one transaction."""

from __future__ import annotations

from dataclasses import dataclass, field

from nexus_cli.database.committed import OutboxKey
from nexus_cli.runtime.historian.dead_letters import DeadLetters, Refusal
from nexus_cli.runtime.historian.packing import Packed
from nexus_cli.runtime.historian.pending import AnyFrame, Pending, PendingGap, PendingReport, PendingSample

DAY_US = 86_400_000_000


@dataclass(slots=True)
class Batch:
    """The content of one transaction.

    Attributes:
        frames: In order of arrival.
        gaps: In order of arrival.
        reports: Of commands, in order of arrival.
        samples: External samples.
        letters: Dead letters of messages that could not be decoded.
        points: Number of samples, for the limit of a batch.
        size_bytes: Payload of its messages, for the same.
        packed: The packed rows of exactly `frames` and `samples`, if made in advance.
    """

    frames: list[AnyFrame] = field(default_factory=list)
    gaps: list[PendingGap] = field(default_factory=list)
    reports: list[PendingReport] = field(default_factory=list)
    samples: list[PendingSample] = field(default_factory=list)
    letters: DeadLetters = field(default_factory=DeadLetters)
    points: int = 0
    size_bytes: int = 0
    packed: Packed | None = None

    @property
    def empty(self) -> bool:
        """True when there is nothing to store."""
        return not (self.frames or self.gaps or self.reports or self.samples or len(self.letters))

    def outboxes(self) -> list[OutboxKey]:
        """The outboxes from which it takes custody, sorted."""
        others = {pending.key for pending in self.gaps} | {pending.key for pending in self.reports}
        return sorted({pending.key for pending in self.frames} | others)

    def refusals(self) -> list[tuple[OutboxKey, Refusal]]:
        """The refused items with their outboxes, in order of arrival."""
        return [(each.key, each.refusal) for each in self.numbered() if each.refusal is not None]

    def numbered(self) -> list[Pending]:
        """All numbered items, in order of arrival."""
        return [*self.frames, *self.gaps, *self.reports]
