"""Moves: from what is gone to what is there, one to one."""

from __future__ import annotations

from collections.abc import Iterator

from nexus_cli.checks.view import View
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic, ModelPath, Related
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.wire.topic import is_slug

KINDS = {1: "area", 2: "line", 3: "device", 4: "tag"}
"""What moves, by the levels of its path."""


def _moves(view: View) -> Iterator[tuple[str, str, ModelPath]]:
    for position, move in enumerate(view.model.site.moved):
        yield move.from_, move.to, ("moved", position)


def _levels(path: str) -> int:
    """How many levels a path has, 0 when it is none."""
    levels = path.split("/")
    return len(levels) if all(is_slug(level) for level in levels) else 0


def _well_formed(source: str, target: str) -> bool:
    return source != target and _levels(source) == _levels(target) and _levels(source) in KINDS


def moved_form(view: View) -> Iterator[Diagnostic]:
    """NX2804."""
    for source, target, where in _moves(view):
        if _well_formed(source, target):
            continue
        message = f"'{source}' can't be moved to '{target}'"
        if source == target:
            hint = "remove it"
        elif _levels(source) not in KINDS or _levels(target) not in KINDS:
            hint = "both are an area, area/line, area/line/device or area/line/device/tag"
        else:
            kind = KINDS[_levels(source)]
            hint = f"{'an' if kind == 'area' else 'a'} {kind} moves to {'an' if kind == 'area' else 'a'} {kind}"
        yield finding("NX2804", message, where=where, hint=hint)


def _exists(view: View, path: str) -> bool:
    """Whether a tag, a device, or anything of a line or an area is declared at a path."""
    if _levels(path) > 2:
        return path in view.model.declared or path in view.model.devices
    return any(device.startswith(f"{path}/") for device in view.model.devices)


def moved_still_there(view: View) -> Iterator[Diagnostic]:
    """NX2801; of a loop NX4110 says it."""
    loops = {path for loop in _loops(view) for path, _ in loop}
    for source, target, where in _moves(view):
        if _well_formed(source, target) and source not in loops and _exists(view, source):
            hint = "remove the old one, or the move"
            yield finding("NX2801", f"'{source}' is still declared", where=(*where, "from"), hint=hint)


def moved_nowhere(view: View) -> Iterator[Diagnostic]:
    """NX2802."""
    sources = {source for source, _, _ in _moves(view)}
    for source, target, where in _moves(view):
        if not _well_formed(source, target) or _exists(view, target) or target in sources:
            continue
        near = _alike(view, target)
        yield finding("NX2802", f"'{target}' is not declared", where=(*where, "to"), hint=did_you_mean(target, near))


def moved_twice(view: View) -> Iterator[Diagnostic]:
    """NX2803."""
    for key, index in (("from", 0), ("to", 1)):
        seen: dict[str, ModelPath] = {}
        for source, target, where in _moves(view):
            path = (source, target)[index]
            first = seen.setdefault(path, where)
            if first != where:
                related = (Related(message="the first", where=(*first, key)),)
                yield finding(
                    "NX2803", f"'{path}' is moved {key} twice", where=(*where, key), hint="keep one", related=related
                )


def _alike(view: View, path: str) -> list[str]:
    """Declared paths of the same kind below the same parent; of lines and areas all."""
    levels = _levels(path)
    if levels > 2:
        head = path.rsplit("/", 1)[0] + "/"
        return [each for each in (*view.model.declared, *view.model.devices) if each.startswith(head)]
    return sorted({"/".join(device.split("/")[:levels]) for device in view.model.devices})


def _loops(view: View) -> list[list[tuple[str, ModelPath]]]:
    """Every loop of moves, each as its sources with their places; the one that is written first begins it."""
    moves: dict[str, tuple[str, ModelPath]] = {}
    for source, target, where in _moves(view):
        if _well_formed(source, target):
            moves.setdefault(source, (target, where))
    found: list[list[tuple[str, ModelPath]]] = []
    seen: set[str] = set()
    for start in moves:
        way: list[str] = []
        path = start
        while path in moves and path not in seen:
            seen.add(path)
            way.append(path)
            path = moves[path][0]
        if path in way:
            found.append([(each, moves[each][1]) for each in way[way.index(path) :]])
    return found


def moved_in_a_loop(view: View) -> Iterator[Diagnostic]:
    """NX4110."""
    for loop in _loops(view):
        first, where = loop[0]
        related = tuple(Related(message="and on", where=place) for _, place in loop[1:])
        way = " -> ".join([*(path for path, _ in loop), first])
        hint = "move one of them to a name of its own first, and on in a second deployment"
        yield finding("NX4110", f"moves in a loop: {way}", where=where, hint=hint, related=related)


def moved_out_of_order(view: View) -> Iterator[Diagnostic]:
    """NX4111."""
    loops = {path for loop in _loops(view) for path, _ in loop}
    earlier: dict[str, ModelPath] = {}
    for source, target, where in _moves(view):
        on = earlier.get(target)
        if on is not None and source not in loops and _well_formed(source, target) and not _exists(view, target):
            related = (Related(message="which moves on here", where=on),)
            hint = "write it above the entry that moves on"
            yield finding(
                "NX4111", f"'{source}' moves to '{target}' after that moved on", where=where, hint=hint, related=related
            )
        earlier.setdefault(source, where)


CHECKS = (moved_form, moved_still_there, moved_nowhere, moved_twice, moved_in_a_loop, moved_out_of_order)
