"""What becomes of series that no site declares, by the choice of a person: declared, bound to a tag, forgotten, protected, left. Pure.

Each series has one end, and none is lost: as many series and samples come out as went in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from nexus_cli.access.globs import matches_glob
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.printable import one_line
from nexus_cli.plan.moved import Rename, Renamer
from nexus_cli.wire.control_undeclared import FORGET, KEEP, UndeclaredSeries
from nexus_cli.wire.topic import is_slug

State = Literal["declared", "bound", "forgotten", "kept", "left"]
STATES: tuple[State, ...] = ("declared", "bound", "forgotten", "kept", "left")
EXTERNAL, DEFAULT_CLASS = "external", "default"
TAG_LEVELS = 4
NO_CHOICE = "no choice was made: --declare, --move, --forget or --keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What a person wants.

    Attributes:
        declare, forget, keep: Globs over `area/line/device/tag`.
        moves: (old, new) paths of one depth.
    """

    declare: tuple[str, ...] = ()
    forget: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    moves: tuple[Rename, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What the files of the site say.

    Attributes:
        declared: Every tag path.
        protocols: Of each device by its path.
        editable: Whether a device that is declared can get tags in the file that is edited.
        moved: Its `moved:` entries.
        taken: Paths that have a series already, of those that a series could move to.
        refused: Why a tag that was tried can't be declared, by path.
    """

    declared: Collection[str]
    protocols: Mapping[str, str]
    editable: Callable[[str], bool]
    moved: Sequence[Rename] = ()
    taken: Collection[str] = ()
    refused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesEntry:
    """One series and its end.

    Attributes:
        series: As control has it.
        state: Its end.
        becomes: What it is then; "" of what is left.
        reason: Why it is left.
        act: The act of control: `forget`, `keep` or nothing.
        tag: Keys of a tag that is written; empty where nothing is.
        entry: The new `moved:` entry that takes it along; None without one.
    """

    series: UndeclaredSeries
    state: State
    becomes: str = ""
    reason: str = ""
    act: str = ""
    tag: Mapping[str, Any] = field(default_factory=dict)
    entry: Rename | None = None


def series_entries(series: Sequence[UndeclaredSeries], choices: Choices, around: Around) -> tuple[SeriesEntry, ...]:
    """One entry for each series, in their order.

    Raises:
        NexusError: NX5019, a series has two ends, or a choice takes nothing.
    """
    _see_that_each_takes(series, choices)
    targets: set[str] = set()
    chosen, declared = Renamer(choices.moves), Renamer(around.moved)
    return tuple(
        _entry(one, choices, around, targets, target=chosen(one.path), already=declared(one.path)) for one in series
    )


def targets_of(series: Iterable[UndeclaredSeries], choices: Choices, moved: Sequence[Rename]) -> list[str]:
    """Paths that a series could move to, each once."""
    renames = (Renamer(moved), Renamer(choices.moves))
    found = (rename(one.path) for one in series for rename in renames)
    old = {one.path for one in series}
    return sorted({path for path in found if path not in old})


def _see_that_each_takes(series: Sequence[UndeclaredSeries], choices: Choices) -> None:
    paths = [one.path for one in series]
    kinds = (("--declare", choices.declare), ("--forget", choices.forget), ("--keep", choices.keep))
    for option, glob in ((option, glob) for option, globs in kinds for glob in globs):
        if not any(matches_glob(glob, path) for path in paths):
            raise _unclear(f"{option} '{one_line(glob)[:200]}' takes no undeclared series.")
    for old, new in choices.moves:
        if not any(path == old or path.startswith(f"{old}/") for path in paths):
            raise _unclear(f"--move '{one_line(old)[:200]}={one_line(new)[:200]}' takes no undeclared series.")


def _entry(
    one: UndeclaredSeries, choices: Choices, around: Around, targets: set[str], *, target: str, already: str
) -> SeriesEntry:
    """`target` is where a choice takes it, `already` where the site's entries do; each is its own path without one."""

    def wanted(globs: Sequence[str]) -> bool:
        return any(matches_glob(glob, one.path) for glob in globs)

    moves, keep = target != one.path, wanted(choices.keep)
    forget, declare = wanted(choices.forget), wanted(choices.declare)
    if (forget and (declare or moves or keep)) or (declare and moves):
        raise _unclear(f"'{one_line(one.path)[:200]}' is chosen for two ends.")
    act = KEEP if keep and not one.protected else ""
    if one.path in around.declared:
        reason = "remove its line from the site file to forget it" if forget else ""
        becomes = f"tag {one.path}, which the files declare: the next apply resumes it"
        return SeriesEntry(series=one, state="declared", becomes=becomes, reason=reason, act=act)
    if already != one.path and already in around.declared and already not in around.taken and already not in targets:
        targets.add(already)
        becomes = f"tag {already}, by an entry of `moved:`: the next apply takes it along"
        return SeriesEntry(series=one, state="bound", becomes=becomes, act=act)
    if moves:
        return _moved(one, target, choices, around, targets, act)
    if declare:
        return _declared(one, around, keep=keep, act=act)
    if forget:
        becomes = "forgotten; its samples stay as its class says, and `nexus purge` removes them"
        return SeriesEntry(series=one, state="forgotten", becomes=becomes, act=FORGET if one.active else "")
    if keep or one.protected:
        return SeriesEntry(series=one, state="kept", becomes="never dropped", act=act)
    return SeriesEntry(series=one, state="left", reason=NO_CHOICE)


def _moved(
    one: UndeclaredSeries, target: str, choices: Choices, around: Around, targets: set[str], act: str
) -> SeriesEntry:
    reason = ""
    if not _is_tag(one.path):
        reason = _no_tag(one.path)
    elif target not in around.declared:
        reason = f"'{one_line(target)}' is not declared"
    elif target in around.taken:
        reason = f"'{target}' has a history of its own, and two never become one"
    elif target in targets:
        reason = f"another series goes to '{target}'"
    if reason:
        return SeriesEntry(series=one, state="left", reason=reason)
    targets.add(target)
    entry = next(move for move in choices.moves if one.path == move[0] or one.path.startswith(f"{move[0]}/"))
    return SeriesEntry(series=one, state="bound", becomes=f"tag {target}", act=act, entry=entry)


def _declared(one: UndeclaredSeries, around: Around, *, keep: bool, act: str) -> SeriesEntry:
    device = one.path.rpartition("/")[0]
    protocol = around.protocols.get(device)
    reason = around.refused.get(one.path, "")
    if not _is_tag(one.path):
        reason = _no_tag(one.path)
    elif protocol not in (None, EXTERNAL):
        last = f"; it was {one_line(one.address)[:100]} of {one.protocol}" if one.address else ""
        reason = f"its device is read over {protocol}: declare the tag with its address{last}"
    elif protocol is not None and not around.editable(device):
        reason = "its device is declared in another file, or by a template"
    if reason:
        return SeriesEntry(series=one, state="left", reason=reason)
    was = f", which was {one.protocol} before" if one.protocol not in ("", EXTERNAL) else ""
    return SeriesEntry(
        series=one,
        state="declared",
        becomes=f"tag {one.path} of an external device{was}{', keep: always' if keep else ''}",
        act=act,
        tag=_keys(one, keep=keep),
    )


def _keys(one: UndeclaredSeries, *, keep: bool) -> dict[str, Any]:
    """The keys that give a tag of this series' type, unit and class."""
    keys: dict[str, Any] = {"type": one.type}
    if one.unit:
        keys["unit"] = one.unit
    if one.labels:
        keys["values"] = {
            int(code) if code.lstrip("-").isdecimal() else code: name for code, name in one.labels.items()
        }
    if one.retention != DEFAULT_CLASS:
        keys["retention"] = one.retention
    if keep:
        keys["keep"] = "always"
    return keys


def _is_tag(path: str) -> bool:
    levels = path.split("/")
    return len(levels) == TAG_LEVELS and all(is_slug(level) for level in levels)


def _no_tag(path: str) -> str:
    if "~" in path:
        return "a rename set it aside under a name with '~', which no tag can have"
    if path.count("/") >= TAG_LEVELS:
        return "it lies deeper than a tag: `topics:` of an external device may take it"
    return "its path can't be that of a tag"


def _unclear(message: str) -> NexusError:
    return NexusError(message, code="NX5019")


def sums(entries: Sequence[SeriesEntry]) -> dict[str, dict[str, int]]:
    """Series and samples that came in, and their ends: `found` is the sum of the others; samples that were not counted are none."""
    weights: dict[str, Callable[[SeriesEntry], int]] = {
        "series": lambda _: 1,
        "samples": lambda entry: entry.series.samples or 0,
    }
    found: dict[str, dict[str, int]] = {}
    for name, weigh in weights.items():
        ends: dict[str, int] = {
            state: sum(weigh(entry) for entry in entries if entry.state == state) for state in STATES
        }
        found[name] = {"found": sum(weigh(entry) for entry in entries), **ends}
    return found
