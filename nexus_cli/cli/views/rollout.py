"""A rollout as text: its waves, where each one is, and what its gates said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import tzinfo

from nexus_cli.cli.views.clock import clock_text
from nexus_cli.diagnostics.printable import plain
from nexus_cli.diagnostics.wording import counted, duration
from nexus_cli.wire.control_rollouts import Rollout, RolloutWave, in_words

MARKS = {"passed": "ok", "failed": "FAILED", "not-applicable": "n/a"}


def rollout_text(found: Rollout, *, zone: tzinfo | None = None) -> str:
    """One rollout."""
    one = plain(found)
    ended = f", ended {clock_text(one.ended, zone=zone)}" if one.ended else ""
    lines = [
        _sentence(in_words(one)),
        f"  by {one.who}, {clock_text(one.started, zone=zone)}{ended}",
    ]
    if one.reason:
        lines.append(f"  reason: {one.reason}")
    if one.run_url:
        lines.append(f"  run: {one.run_url}")
    if one.undone_by:
        lines.append(f"  taken back by deployment {one.undone_by}")
    width = max((len(wave.name) for wave in one.waves), default=0)
    for number, wave in enumerate(one.waves, 1):
        lines += _wave(number, wave, width, zone)
    return "\n".join(lines)


def rollouts_text(found: Sequence[Rollout], *, zone: tzinfo | None = None) -> str:
    """One line a rollout, the newest first."""
    if not found:
        return "no rollouts"
    return "\n".join(f"{clock_text(each.started, zone=zone)}  {in_words(plain(each))}" for each in found)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _wave(number: int, wave: RolloutWave, width: int, zone: tzinfo | None) -> Iterator[str]:
    facts = [counted(wave.resources, "change")]
    if wave.soak_ms:
        facts.append(f"soaks {duration(wave.soak_ms)}")
    if wave.deployment:
        facts.append(f"deployment {wave.deployment}")
    if wave.opens is not None:
        facts.append(f"window opens {clock_text(wave.opens, zone=zone)}")
    yield f"  {number}. {wave.name:{width}}  {wave.state:11}  {', '.join(facts)}"
    for each in wave.verdicts:
        yield f"       {MARKS.get(each.state, each.state):6}  {each.gate}: {each.text}"
