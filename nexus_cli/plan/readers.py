"""Who reads what changes: alarms, alerts, sequences, calculated tags, proofs of writes, quality rules, views and roles. Pure.

Each reader is named once, with the worst of its changes; how many more of its tags change is counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from nexus_cli.access.globs import matches_glob
from nexus_cli.diagnostics.wording import counted
from nexus_cli.model.expression_text import names_in
from nexus_cli.model.procedure_config import SequenceConfig
from nexus_cli.model.resources import TAG_SLASHES, decode, paths_of
from nexus_cli.plan.change import Action, Attributes, Change, TagChange, series_type, series_unit

WORST_FIRST = ("removed", "moved", "type", "unit", "range")
"""Kinds of change, as a reader minds them."""
PLACES = ("view", "role")
"""Readers of whole places of the plant: a tag that only changes stays where they look."""
EFFECTS: Mapping[str, Mapping[str, str]] = {
    "alarm": {
        "removed": "has nothing to watch: it gets no more values",
        "moved": "watches it under its new path",
        "type": "compares with a value of another type",
        "unit": "its limits now count in {unit}: look whether they are still right",
        "range": "is judged within the new range",
    },
    "calculated": {
        "removed": "has no input any more: BAD",
        "moved": "takes it under its new path",
        "type": "computes with {type}",
        "unit": "computes with values in {unit}",
        "range": "may compute values out of its own range",
    },
    "sequence": {
        "removed": "its step can't be done",
        "moved": "uses it under its new path",
        "type": "writes or compares {type}",
        "unit": "its values now count in {unit}: look whether they are still right",
        "range": "may write or wait for what the range does not hold",
    },
    "read-back": {
        "removed": "writes are proved by nothing",
        "moved": "writes are proved by its new path",
        "type": "writes are compared with {type}",
        "unit": "writes are compared with values in {unit}",
        "range": "writes are compared within the new range",
    },
    "quality": {
        "type": "rules judge {type}",
        "unit": "limits of its rules now count in {unit}",
        "range": "values outside of the new range are judged",
    },
    "view": {"removed": "shows it no more", "moved": "shows what its filters match: the path is another one"},
    "role": {
        "removed": "its users get no more values",
        "moved": "its users read what its globs match: the path is another one",
    },
}
"""What it means to a reader, by its kind and the change; `alert` reads as `alarm` does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """One reader of what changes.

    Attributes:
        path: The tag that changes, its old path where it is removed, else the new one.
        change: `removed`, `moved`, `type`, `unit` or `range`.
        kind: `alarm`, `alert`, `calculated`, `sequence`, `read-back`, `quality`, `view` or `role`.
        name: Its name; the path of a tag.
        effect: What it means to the reader, one sentence.
    """

    path: str
    change: str
    kind: str
    name: str
    effect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Touched:
    """A tag of which readers notice something."""

    path: str
    change: str
    type: str = ""
    unit: str = ""


def readers_of(changes: Sequence[Change], desired: Mapping[str, Attributes]) -> tuple[Reader, ...]:
    """Readers in what is declared that read what changes, by kind and name.

    Args:
        changes: Of a plan against something that is recorded.
        desired: Every resource after the change, by address.
    """
    touched = {one.path: one for change in changes for tag in change.tags if (one := _touched(tag)) is not None}
    if not touched:
        return ()
    found: dict[tuple[str, str], list[_Touched]] = {}
    for kind, name, paths in _readings(desired, touched):
        hit = [
            touched[path] for path in dict.fromkeys(paths) if path in touched and touched[path].change in _minded(kind)
        ]
        if hit:
            found.setdefault((kind, name), []).extend(hit)
    return tuple(_reader(kind, name, hit) for (kind, name), hit in sorted(found.items()))


def _touched(tag: TagChange) -> _Touched | None:
    if tag.action is Action.FORGET:
        return _Touched(path=tag.path, change="removed")
    if tag.before is None or tag.after is None:
        return None
    facts = {
        "moved": tag.action is Action.MOVE,
        "type": series_type(tag.before) != series_type(tag.after),
        "unit": series_unit(tag.before) != series_unit(tag.after),
        "range": tag.before.get("range") != tag.after.get("range"),
    }
    change = next((kind for kind in WORST_FIRST if facts.get(kind)), None)
    if change is None:
        return None
    return _Touched(path=tag.path, change=change, type=series_type(tag.after), unit=series_unit(tag.after) or "no unit")


def _minded(kind: str) -> Mapping[str, str]:
    return EFFECTS["alarm" if kind == "alert" else kind]


def _reader(kind: str, name: str, hit: Sequence[_Touched]) -> Reader:
    worst = min(hit, key=lambda one: (WORST_FIRST.index(one.change), one.path))
    more = len({one.path for one in hit}) - 1
    effect = _minded(kind)[worst.change].format(type=worst.type, unit=worst.unit)
    return Reader(
        path=worst.path,
        change=worst.change,
        kind=kind,
        name=name,
        effect=effect
        + (f"; {counted(more, 'other tag')} that it reads change{'s' * (more == 1)}, too" if more else ""),
    )


def _readings(
    desired: Mapping[str, Attributes], touched: Mapping[str, _Touched]
) -> Iterator[tuple[str, str, list[str]]]:
    """`(kind, name, tag paths)` of every reader; of places only the touched tags in them."""
    for address, resource in desired.items():
        kind, _, name = address.partition(".")
        if kind == "alert":
            yield ("alarm" if resource.get("priority") else "alert"), name, list(paths_of(dict(resource)))
        elif kind == "sequence":
            yield "sequence", name, _of_sequence(resource)
        elif kind == "device":
            yield from _of_device(name, resource, touched)
        elif kind == "view":
            yield "view", name, _in_places(resource.get("filters") or (), touched)
        elif kind == "role":
            yield "role", name, _in_places([_glob(each) for each in resource.get("read") or ()], touched)


def _of_sequence(resource: Attributes) -> list[str]:
    try:
        sequence = decode(resource, SequenceConfig)
    except msgspec.ValidationError:
        return []
    named = (name for text in sequence.conditions() for name in names_in(text) if name.count("/") == TAG_SLASHES)
    return [*sorted(sequence.written()), *named]


def _of_device(path: str, device: Attributes, touched: Mapping[str, _Touched]) -> Iterator[tuple[str, str, list[str]]]:
    for name, tag in (device.get("tags") or {}).items():
        here = f"{path}/{name}"
        if inputs := tag.get("inputs"):
            yield "calculated", here, list(inputs.values())
        if "/" in str(tag.get("read_back", "")):
            yield "read-back", here, [str(tag["read_back"])]
        if here in touched and tag.get("quality"):
            yield "quality", here, [here]


def _glob(entry: object) -> str:
    return str(entry.get("path", "**")) if isinstance(entry, Mapping) else str(entry)


def _in_places(globs: Sequence[str], touched: Mapping[str, _Touched]) -> list[str]:
    """Touched tags below globs that name a place; who reads the whole site is not said of each tag."""
    narrow = [glob for glob in globs if any("*" not in level and level for level in glob.split("/"))]
    return [
        path
        for path, one in touched.items()
        if one.change in ("removed", "moved") and any(matches_glob(glob, path) for glob in narrow)
    ]
