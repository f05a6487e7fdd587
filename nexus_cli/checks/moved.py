"""Moves: from what is gone to what is there, one to one."""

from __future__ import annotations

from collections.abc import Iterator

from nexus_cli.checks.view import View
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic, ModelPath, Related
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.wire.topic import is_slug


def _moves(view: View) -> Iterator[tuple[str, str, ModelPath]]:
    for position, move in enumerate(view.model.site.moved):
        yield move.from_, move.to, ("moved", position)


def _levels(path: str) -> int:
    """How many levels a path has, 0 when it is none."""
    levels = path.split("/")
    return len(levels) if all(is_slug(level) for level in levels) else 0


def _well_formed(source: str, target: str) -> bool:
    return source != target and _levels(source) == _levels(target) and _levels(source) in (3, 4)


def moved_form(view: View) -> Iterator[Diagnostic]:
    """NX2804."""
    for source, target, where in _moves(view):
        if _well_formed(source, target):
            continue
        message = f"'{source}' can't be moved to '{target}'"
        if source == target:
            hint = "remove it"
        elif _levels(source) not in (3, 4) or _levels(target) not in (3, 4):
            hint = "both are area/line/device or area/line/device/tag"
        else:
            hint = "a device moves to a device, a tag to a tag"
        yield finding("NX2804", message, where=where, hint=hint)


def _exists(view: View, path: str) -> bool:
    return path in view.model.declared or path in view.model.devices


def moved_still_there(view: View) -> Iterator[Diagnostic]:
    """NX2801."""
    for source, target, where in _moves(view):
        if _well_formed(source, target) and _exists(view, source):
            hint = "remove the old one, or the move"
            yield finding("NX2801", f"'{source}' is still declared", where=(*where, "from"), hint=hint)


def moved_nowhere(view: View) -> Iterator[Diagnostic]:
    """NX2802."""
    sources = {source for source, _, _ in _moves(view)}
    for source, target, where in _moves(view):
        if not _well_formed(source, target) or _exists(view, target) or target in sources:
            continue
        head = target.rsplit("/", 1)[0] + "/"
        near = [path for path in (*view.model.declared, *view.model.devices) if path.startswith(head)]
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


CHECKS = (moved_form, moved_still_there, moved_nowhere, moved_twice)
