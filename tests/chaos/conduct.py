"""Rules on what the parts did beside the record of tags: commands, resources, the live view. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command and everything that is known of it.

    Attributes:
        answers: States that its sender heard, a repeated answer once.
        row: State in the record, None without a row.
        writes: How often the device was written with its value.
    """

    id: str
    answers: tuple[str, ...]
    row: str | None
    writes: int


def contradictions(commands: Iterable[Command]) -> list[str]:
    """Commands that ran twice, and answers that the device or the record contradicts."""
    found = []
    for one in commands:
        states = set(one.answers)
        if one.writes > 1:
            found.append(f"{one.id}: written {one.writes} times")
        if len(states) > 1:
            found.append(f"{one.id}: answered {', '.join(sorted(states))}")
        if "done" in states and not one.writes:
            found.append(f"{one.id}: answered done, never written")
        if "refused" in states and one.writes:
            found.append(f"{one.id}: answered refused, and written")
        if states and one.row is None:
            found.append(f"{one.id}: answered {', '.join(sorted(states))}, and has no row")
        if states and one.row is not None and one.row not in states:
            found.append(f"{one.id}: answered {', '.join(sorted(states))}, its row says {one.row}")
        if not states and one.writes and one.row is None:
            found.append(f"{one.id}: written, and neither answered nor in the record")
    return found


PROVOKED = {"clock": ("ahead_of_time", "time_out_of_range")}
"""Reasons of dead letters that a kind of fault may cause: frames of a gateway whose clock says what can't be."""


def unprovoked_letters(letters: Mapping[str, int], kinds: Iterable[str]) -> list[str]:
    """Dead letters that no fault of the run causes.

    Args:
        letters: How many, by reason.
        kinds: Of the faults that were carried out.
    """
    allowed = {reason for kind in kinds for reason in PROVOKED.get(kind, ())}
    return [f"{number} {reason}" for reason, number in sorted(letters.items()) if reason not in allowed]


def unended(outcomes: Sequence[str]) -> list[str]:
    """Deployments that did not end.

    One that ends as `partly` or `failed` while devices or parts are away is an answer, not a breach. Whether the site is
    brought about in the end is for the plan to say, which must be empty.

    Args:
        outcomes: Of every deployment, in their order.
    """
    return [f"deployment {number} is still running" for number, one in enumerate(outcomes, 1) if one == "running"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What one process used over its life: samples of (seconds, value) by what."""

    name: str
    samples: Mapping[str, Sequence[tuple[float, float]]]


LEAK_LIFE_S = 120.0
MEMORY_LIFE_S = 600.0
MOST_MORE = {"descriptors": 12, "threads": 8, "tasks": 20, "backends": 6}
"""How many more of each the end of a life may hold than its beginning."""
MOST_MEMORY_MB_PER_H = 40.0
MOST_MEMORY_MB = 20.0
"""A short life may grow faster than by the hour while its buffers find their size, but not by more than this."""


def leaks(lives: Iterable[Life]) -> list[str]:
    """Processes that hold more and more of something. Memory is judged over lives of ten minutes and more."""
    found = []
    for life in lives:
        for what, samples in life.samples.items():
            settled = _settled(what, samples)
            if not settled:
                continue
            third = max(1, len(settled) // 3)
            first = _median([value for _, value in settled[:third]])
            last = _median([value for _, value in settled[-third:]])
            hours = (settled[-1][0] - settled[0][0]) / 3600
            if what == "memory_mb":
                if last - first > max(MOST_MEMORY_MB, MOST_MEMORY_MB_PER_H * hours * 2 / 3):
                    found.append(f"{life.name}: {first:.0f} to {last:.0f} MB in {hours * 60:.0f} min")
            elif last - first > MOST_MORE[what]:
                found.append(f"{life.name}: {first:.0f} to {last:.0f} {what} in {hours * 60:.0f} min")
    return found


def judged(lives: Iterable[Life]) -> Counter[str]:
    """How many lives were long enough for `leaks` to say something, by what."""
    return Counter(what for life in lives for what, samples in life.samples.items() if _settled(what, samples))


def _settled(what: str, samples: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The samples without the beginning of the life; none of a life that is too short to say."""
    settled = [(at, value) for at, value in samples if at - samples[0][0] >= 30.0]
    least_s = MEMORY_LIFE_S if what == "memory_mb" else LEAK_LIFE_S
    return settled if settled and settled[-1][0] - settled[0][0] >= least_s else []


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def strays(live: Mapping[str, int | None], last: Mapping[str, int | None]) -> list[str]:
    """Tags whose live value is not their last row, once values no longer change; None is BAD.

    Args:
        live: Retained value by path.
        last: Newest row by path.
    """
    found = [f"{path}: no live value" for path in sorted(set(last) - set(live))]
    found += [f"{path}: a live value of no tag" for path in sorted(set(live) - set(last))]
    found += [
        f"{path}: live {live[path]}, last row {last[path]}"
        for path in sorted(set(live) & set(last))
        if live[path] != last[path]
    ]
    return found
