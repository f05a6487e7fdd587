"""The results of `nexus replay` as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, tzinfo

from nexus_cli.cli.views.sizes import size_text
from nexus_cli.model.calendar import iso, moment_of
from nexus_cli.project.replay_player import Played
from nexus_cli.wire.recording import Damage


def moment_text(time_us: int, zone: tzinfo | None) -> str:
    """A time of the recording."""
    return iso(moment_of(time_us), zone)


def progress_text(played: Played, zone: tzinfo | None) -> str:
    """A line while it plays."""
    return f"  {played.messages:,} messages, at {moment_text(played.last_us, zone)}"


def played_text(played: Played, into: str, zone: tzinfo | None) -> str:
    """How far it came, what was left out, and how exactly the spacing was kept."""
    what = "played" if played.whole else "stopped after"
    lines = [f"{what} {played.messages:,} messages into {into} in {played.took_s:.1f} s"]
    if played.first_us:
        lines.append(f"  from {moment_text(played.first_us, zone)} to {moment_text(played.last_us, zone)}")
    if not played.whole and played.last_us:
        rest = moment_text(played.last_us, UTC)
        lines.append(f"  the rest: the same command with --since {rest}")
    if played.drift.count:
        drift = played.drift
        late = f"99 of 100 at most {drift.p99_s() * 1000:.1f} ms late, the latest {drift.most_s * 1000:.1f} ms"
        lines.append(f"  spacing  {late}")
    if played.again:
        lines.append(f"  {played.again:,} were sent again: the connection to the broker was lost")
    lines += [f"  left out {count:,}: {reason}" for reason, count in _most(played.left_out)]
    return "\n".join(lines)


def _most(counts: Mapping[str, int]) -> Sequence[tuple[str, int]]:
    return sorted(counts.items(), key=lambda each: (-each[1], each[0]))


def damage_text(damage: Damage) -> str:
    """What could not be read of a recording; "" when all could."""
    parts = []
    if damage.cut:
        parts.append("its end is missing: the recorder was ended in the middle of a block")
    if damage.blocks:
        parts.append(f"{damage.blocks} damaged places, {size_text(damage.skipped_bytes)}, were passed over")
    return "; ".join(parts)


def noted_text(notes: Sequence[tuple[int, str]], zone: tzinfo | None) -> Sequence[str]:
    """What the recorder noted, but for its regular end."""
    return [f"  noted at {moment_text(time_us, zone)}: {text}" for time_us, text in notes if text != "ended"]
