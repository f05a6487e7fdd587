"""What a plan asks the runtime for: the series, links and classes that its changes concern. Pure, and bounded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nexus_cli.model.bound import Place
from nexus_cli.plan.change import Action, Change, TagChange, series_type, series_unit
from nexus_cli.plan.link_sessions import place_of
from nexus_cli.plan.unreachable import needed_gateways


@dataclass(frozen=True, slots=True, kw_only=True)
class Concerned:
    """Things to measure, each once, in the order of the changes.

    Attributes:
        series: Recorded paths of tags that are forgotten, moved, or whose series breaks.
        links: Gateways and links that changed devices leave, keep or get.
        arriving: Those of the links that no changed device had before: nothing measured of them is no surprise.
        classes: Retention classes that are declared and new or changed.
        gateways: Those that have to take something up.
    """

    series: tuple[str, ...] = ()
    links: tuple[Place, ...] = ()
    arriving: frozenset[Place] = frozenset()
    classes: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()


def concerned(changes: Sequence[Change]) -> Concerned:
    """What the changes concern."""
    left: list[Place] = []
    taken: list[Place] = []
    classes: list[str] = []
    for change in changes:
        if change.type == "device":
            left.append(place_of(change.before or {}))
            taken.append(place_of(change.after or {}))
        elif change.type == "retention" and change.action is not Action.FORGET:
            classes.append(change.name)
    return Concerned(
        series=tuple(dict.fromkeys(path for change in changes for path in _series(change))),
        links=tuple(dict.fromkeys(place for place in (*left, *taken) if place[1])),
        arriving=frozenset(taken) - frozenset(left),
        classes=tuple(classes),
        gateways=needed_gateways(changes),
    )


def _series(change: Change) -> Iterator[str]:
    for tag in change.tags:
        if tag.action is Action.FORGET:
            yield tag.path
        elif tag.previous_path is not None:
            yield tag.previous_path
        elif tag.action is Action.UPDATE and _touches_series(tag):
            yield tag.path


def _touches_series(tag: TagChange) -> bool:
    """Whether the series begins a segment, or goes to another class."""
    before, after = tag.before or {}, tag.after or {}
    return (
        series_type(before) != series_type(after)
        or series_unit(before) != series_unit(after)
        or before.get("retention", "default") != after.get("retention", "default")
    )
