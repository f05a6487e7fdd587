"""The historian's counters: plain integers on the hot path, read for `/status` and metrics."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from nexus_cli.runtime.metrics import Metrics


@dataclass(slots=True)
class Counters:
    """Counts since the start. Each sample that was not stored is in exactly one of them.

    Attributes:
        frames: Frames stored.
        rows: Samples stored.
        batches: Transactions.
        replayed_frames: Frames that were already stored and are skipped.
        replays_that_differ: Frames, gaps and reports with a number that was used before at another time; stored.
        not_assigned: Frames, gaps and reports of devices that are not assigned to their gateway; refused.
        foreign_epochs: Frames, gaps and reports with an epoch of another gateway; refused.
        refused_times: Frames with a time in the future or outside of the valid range; refused, with a gap.
        bounded_times: Gaps and reports with such a time; recorded with a valid one.
        held_frames: Frames, gaps and reports without a receipt, because the historian's clock may be wrong; sent again.
        duplicate_rows: Samples that were already stored with the same series, time and value.
        dead_letters: Samples or messages that went to the dead letters.
        dropped_frames: Frames refused by a full queue; their gateway sends them again.
        dropped_external: External messages refused by a full queue, or still waiting for a series at a stop; lost.
        holds: Times that the broker was made to wait, because the queue was crowded.
        passed_on: External messages that another historian stores.
        undeclared: Messages on undeclared topics below external devices.
        external_rows: External samples stored.
        gaps: Gaps recorded.
        reports: Reports of commands recorded.
        retries: Transactions that were retried.
        series_loads: How often the series were loaded.
    """

    frames: int = 0
    rows: int = 0
    batches: int = 0
    replayed_frames: int = 0
    replays_that_differ: int = 0
    not_assigned: int = 0
    foreign_epochs: int = 0
    refused_times: int = 0
    bounded_times: int = 0
    held_frames: int = 0
    duplicate_rows: int = 0
    dead_letters: int = 0
    dropped_frames: int = 0
    dropped_external: int = 0
    holds: int = 0
    passed_on: int = 0
    undeclared: int = 0
    external_rows: int = 0
    gaps: int = 0
    reports: int = 0
    retries: int = 0
    series_loads: int = 0
    undeclared_seen: dict[str, int] = field(default_factory=dict)

    def refused(self, reason: str) -> None:
        """Count a refused item of a gateway by the reason of its dead letter."""
        if reason in ("ahead_of_time", "time_out_of_range"):
            self.refused_times += 1
        elif reason == "not_assigned":
            self.not_assigned += 1
        elif reason == "foreign_epoch":
            self.foreign_epochs += 1

    def as_json(self) -> dict[str, int]:
        """All counts by name."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name != "undeclared_seen"}

    def watch(self, metrics: Metrics) -> None:
        """Register each as `nexus_historian_{name}_total`."""
        for each in fields(self):
            if each.name != "undeclared_seen":
                self._watch_one(metrics, each.name)

    def _watch_one(self, metrics: Metrics, name: str) -> None:
        text = f"{name.replace('_', ' ')} since the start"
        metrics.watch_counters(f"nexus_historian_{name}", text, (), lambda: {(): float(getattr(self, name))})
