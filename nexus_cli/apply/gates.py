"""The gates of a wave: what was measured, and whether that is good enough. Pure.

A gate that can't be measured has failed; one that has nothing to measure does not apply, and says so. A wave is not blamed
for what was worse before it: with fewer GOOD tags than the gate asks for before the wave, as many are enough.

See docs/decisions/0104.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from nexus_cli.diagnostics.wording import counted
from nexus_cli.wire.control_rollouts import Verdict
from nexus_cli.wire.device_reads import DeviceReads
from nexus_cli.wire.rollout import Gates

GOOD = "GOOD"
MOST_NAMED = 3
"""Tags and devices that a verdict names."""


class Polls(msgspec.Struct, frozen=True, kw_only=True):
    """Poll cycles of one device since it was configured: those that took place, and those that did not."""

    done: int = 0
    missed: int = 0

    @classmethod
    def of(cls, reads: DeviceReads) -> Polls:
        """What a gateway says of a device; cycles that were not begun in a back-off are missed, too."""
        return cls(done=reads.polls, missed=reads.missed + reads.skipped)

    def since(self, base: Polls) -> Polls:
        """Polls after an earlier count; the gateway counts from 0 for a device that it configures again."""
        if self.done < base.done or self.missed < base.missed:
            return self
        return Polls(done=self.done - base.done, missed=self.missed - base.missed)


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured of a wave's devices.

    Attributes:
        good: Quality by path of each tag that should have a value; "" where none was found.
        polls: Of each polled device of which its gateway says something.
        unheard: Polled devices of which it says nothing.
        alarms: Names of alarms that became active; None where that is not known.
        problem: Why values could not be read; "" where they were.
    """

    good: dict[str, str] = {}
    polls: dict[str, Polls] = {}
    unheard: list[str] = []
    alarms: list[str] | None = None
    problem: str = ""

    @property
    def share(self) -> float | None:
        """Share of tags that are GOOD; None without tags, or when they could not be read."""
        if not self.good or self.problem:
            return None
        return sum(quality == GOOD for quality in self.good.values()) / len(self.good)


def judged(gates: Gates, before: Measured, after: Measured) -> tuple[Verdict, ...]:
    """What each gate that is asked for says, in the order good, missed polls, alarms.

    Args:
        gates: Limits.
        before: Before the wave began; its polls are those when it began to soak.
        after: When it has soaked.
    """
    found: list[Verdict] = []
    if gates.good is not None:
        found.append(_good(gates.good, before, after))
    if gates.missed_polls is not None:
        found.append(_missed(gates.missed_polls, before.polls, after))
    if gates.alarms is not None:
        found.append(_alarms(gates.alarms, after.alarms))
    return tuple(found)


def failed(verdicts: Collection[Verdict]) -> list[Verdict]:
    """Those that stop a wave."""
    return [each for each in verdicts if each.state == "failed"]


def _good(limit: float, before: Measured, after: Measured) -> Verdict:
    if after.problem:
        text = f"GOOD values could not be read: {after.problem}"
        return Verdict(gate="good", state="failed", text=text, before=before.share, limit=limit)
    share = after.share
    if share is None:
        text = "its devices have no tags that a gateway reads"
        return Verdict(gate="good", state="not-applicable", text=text, limit=limit)
    count = sum(quality == GOOD for quality in after.good.values())
    text = f"{count} of {counted(len(after.good), 'tag')} GOOD ({_percent(share)})"
    known = {path for path, quality in before.good.items() if quality == GOOD}
    worse = sorted(path for path, quality in after.good.items() if quality != GOOD)
    if share >= limit:
        return Verdict(gate="good", state="passed", text=text, before=before.share, after=share, limit=limit)
    if before.share is not None and share >= before.share and not known.intersection(worse):
        text += f", as before the wave ({_percent(before.share)}); {_percent(limit)} is asked for"
        return Verdict(gate="good", state="passed", text=text, before=before.share, after=share, limit=limit)
    worse.sort(key=lambda path: path not in known)
    named = ", ".join(f"{path} {after.good[path] or 'without a value'}" for path in worse[:MOST_NAMED])
    more = f" and {len(worse) - MOST_NAMED} more" if len(worse) > MOST_NAMED else ""
    text += f", {_percent(limit)} is asked for: {named}{more}"
    return Verdict(gate="good", state="failed", text=text, before=before.share, after=share, limit=limit)


def _missed(limit: float, before: Mapping[str, Polls], after: Measured) -> Verdict:
    if not after.polls and not after.unheard:
        return Verdict(gate="missed_polls", state="not-applicable", text="none of its devices is polled", limit=limit)
    since = {path: polls.since(before.get(path, Polls())) for path, polls in after.polls.items()}
    silent = sorted([*after.unheard, *(path for path, each in since.items() if not each.done + each.missed)])
    if silent:
        more = f" and {len(silent) - MOST_NAMED} more" if len(silent) > MOST_NAMED else ""
        text = f"no polls were counted of {', '.join(silent[:MOST_NAMED])}{more}"
        return Verdict(gate="missed_polls", state="failed", text=text, limit=limit)
    done, missed = sum(each.done for each in since.values()), sum(each.missed for each in since.values())
    share = missed / (done + missed)
    text = f"{missed:,} of {counted(done + missed, 'poll')} missed ({_percent(share)})"
    if share <= limit:
        return Verdict(gate="missed_polls", state="passed", text=text, after=share, limit=limit)
    worst = max(since, key=lambda path: since[path].missed)
    text += f", at most {_percent(limit)} may be; most of them {worst}"
    return Verdict(gate="missed_polls", state="failed", text=text, after=share, limit=limit)


def _alarms(limit: int, names: list[str] | None) -> Verdict:
    if names is None:
        return Verdict(gate="alarms", state="failed", text="alarms could not be counted", limit=limit)
    text = f"{counted(len(names), 'alarm')} came" if names else "no alarm came"
    if len(names) <= limit:
        return Verdict(gate="alarms", state="passed", text=text, after=len(names), limit=limit)
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    text += f", {f'at most {limit}' if limit else 'none'} may: {', '.join(sorted(names)[:MOST_NAMED])}{more}"
    return Verdict(gate="alarms", state="failed", text=text, after=len(names), limit=limit)


def _percent(share: float) -> str:
    """As many digits as it takes to see that it is not whole: 99.2 % of 100 % must not read 100 %."""
    return f"{share * 100:.4g}%"
