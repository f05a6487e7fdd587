"""What a plan says of its waves, its windows and its part, as JSON and as text. Pure.

See docs/decisions/0104.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from nexus_cli.diagnostics.wording import counted, duration
from nexus_cli.json_value import JsonObject
from nexus_cli.model.rollouts import Rollout
from nexus_cli.model.window_config import Windows
from nexus_cli.plan.change import Change
from nexus_cli.plan.targets import Part
from nexus_cli.plan.waves import waves_of
from nexus_cli.plan.windows import WindowEntry, window_entries

Style = Callable[[str, str], str]
MOST_NAMED = 3
MOST_WINDOWS = 12
NOTHING_BUT_REST = 1
"""A plan of one wave that does not soak goes out at once."""


class WaveEntry(TypedDict):
    """One wave: its changes in order, how many devices are among them, and how long it soaks, in ms."""

    name: str
    addresses: list[str]
    devices: int
    soak_ms: int


class GatesEntry(TypedDict):
    """What must hold when a wave has soaked: shares between 0 and 1, and a number of alarms; null asks nothing."""

    good: float | None
    missed_polls: float | None
    alarms: int | None


class RolloutEntry(TypedDict):
    """How a plan goes out: waves (none: all at once), their gates, and the windows of what changes."""

    waves: list[WaveEntry]
    gates: GatesEntry
    on_failure: str
    windows: list[WindowEntry]


NO_ROLLOUT: RolloutEntry = {
    "waves": [],
    "gates": {"good": None, "missed_polls": None, "alarms": None},
    "on_failure": "stop",
    "windows": [],
}
"""All at once, and at any time."""


class AddedEntry(TypedDict):
    """Something that was not asked for and is needed."""

    address: str
    because: str


class TargetsEntry(TypedDict):
    """The part of the declared state that a plan makes; `files` is the digest of the whole."""

    target: list[str]
    exclude: list[str]
    added: list[AddedEntry]
    left_out: int
    files: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a plan goes out.

    Attributes:
        rollout: As the site declares it; None is all at once.
        windows: That are recorded.
        now: For which they are looked at.
        first: True when nothing was recorded before: then there are no waves, and no windows.
    """

    rollout: Rollout | None
    windows: Windows
    now: datetime
    first: bool = False


def rollout_entry(changes: Sequence[Change], way: Way) -> RolloutEntry | None:
    """How these changes go out; None when they go out at once and no window holds them."""
    if way.first or not changes:
        return None
    windows = window_entries(changes, way.windows, way.now)
    waves: list[WaveEntry] = []
    if way.rollout is not None and any(change.type == "device" for change in changes):
        found = waves_of(changes, way.rollout)
        if len(found) > NOTHING_BUT_REST or found[0].soak_ms:
            waves = [
                {
                    "name": each.name,
                    "addresses": list(each.addresses),
                    "devices": len(each.devices),
                    "soak_ms": each.soak_ms,
                }
                for each in found
            ]
    if not waves and not windows:
        return None
    gates = way.rollout.gates if way.rollout is not None else None
    return {
        "waves": waves,
        "gates": {
            "good": gates.good if gates else None,
            "missed_polls": gates.missed_polls if gates else None,
            "alarms": gates.alarms if gates else None,
        },
        "on_failure": way.rollout.on_failure if way.rollout is not None else "stop",
        "windows": windows,
    }


def targets_entry(part: Part) -> TargetsEntry:
    """A part of a plan as JSON."""
    return {
        "target": list(part.target),
        "exclude": list(part.exclude),
        "added": [{"address": each.address, "because": each.because} for each in part.added],
        "left_out": part.left_out,
        "files": part.files,
    }


def targets_lines(targets: TargetsEntry | None, style: Style) -> Iterator[str]:
    """Which part it is, what was taken along, and how much is left out."""
    if targets is None:
        return
    asked = [f"--target {glob}" for glob in targets["target"]] + [f"--exclude {glob}" for glob in targets["exclude"]]
    yield ""
    yield style(f"Only a part ({' '.join(asked)}):", "bold") + f" {counted(targets['left_out'], 'change')} left out."
    for each in targets["added"]:
        yield f"  with {each['address']}: {each['because']}"


def rollout_lines(rollout: RolloutEntry | None, style: Style) -> Iterator[str]:
    """The waves, their gates, and the windows."""
    if rollout is None:
        return
    if rollout["waves"]:
        yield ""
        yield style("Waves:", "bold")
        for number, wave in enumerate(rollout["waves"], 1):
            names = ", ".join(wave["addresses"][:MOST_NAMED])
            more = len(wave["addresses"]) - MOST_NAMED
            names += f" and {more} more" if more > 0 else ""
            soak = f", soaks {duration(wave['soak_ms'])}" if wave["soak_ms"] else ""
            yield f"  {number}. {wave['name']}: {names}{soak}"
        gates = gates_text(rollout["gates"])
        if gates:
            verb = "stops" if rollout["on_failure"] == "stop" else "takes everything back"
            yield f"  A wave that soaks {verb} unless {gates}."
    yield from _windows(rollout["windows"], style)


def _windows(windows: Sequence[WindowEntry], style: Style) -> Iterator[str]:
    if not windows:
        return
    yield ""
    yield style("Maintenance windows:", "bold")
    for each in windows[:MOST_WINDOWS]:
        text = style(each["text"], "good" if each["open"] else "warning")
        yield f"  {each['address']}: {each['window']} ({each['hours']}), {text}"
    if len(windows) > MOST_WINDOWS:
        yield f"  … and {len(windows) - MOST_WINDOWS:,} more"


def gates_text(gates: GatesEntry | JsonObject) -> str:
    """`99% of its tags are GOOD, at most 1% of its polls are missed and no alarm comes`; "" without gates."""
    parts = []
    if gates["good"] is not None:
        parts.append(f"{gates['good'] * 100:g}% of its tags are GOOD")
    if gates["missed_polls"] is not None:
        parts.append(f"at most {gates['missed_polls'] * 100:g}% of its polls are missed")
    if gates["alarms"] is not None:
        parts.append(f"at most {counted(gates['alarms'], 'alarm')} come" if gates["alarms"] else "no alarm comes")
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
