"""Joining the parts of a site, and laying an environment's overlay over it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from nexus_cli.diagnostics.diagnostic import Related
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.source.draft import Draft, has_reference
from nexus_cli.source.nodes import Map, Seq

NAMED = frozenset(
    {
        "areas",
        "lines",
        "devices",
        "tags",
        "calculated",
        "templates",
        "gateways",
        "retention",
        "roles",
        "users",
        "alerts",
        "sequences",
        "messages",
        "views",
        "vars",
    }
)
"""Keys whose maps are keyed by names: an overlay may change existing names, not add any."""

_REPLACED = frozenset({"values", "simulate"})
"""Maps that an overlay replaces whole: half of an enumeration or of a signal means nothing."""

_Sections: TypeAlias = "Mapping[str, _Sections]"
_SECTIONS: _Sections = {
    "defaults": {},
    "vars": {},
    "templates": {},
    "gateways": {},
    "retention": {},
    "alerts": {},
    "sequences": {},
    "messages": {},
    "views": {},
    "access": {"roles": {}, "users": {}, "applications": {}, "groups": {}},
    "areas": {"*": {"defaults": {}, "lines": {"*": {"defaults": {}, "devices": {}}}}},
}
"""Maps that several files may add to. A name inside the innermost ones (a device, a template) is defined in one file."""


def join(draft: Draft) -> Map:
    """One tree of the site file and its includes; a key set in two files is a finding with both places."""
    root = draft.parts[0].root
    for part in draft.parts[1:]:
        _add(draft, root, part.root, shape=_SECTIONS, skip=("include",))
    return root


def _add(draft: Draft, base: Map, extra: Map, *, shape: _Sections, skip: tuple[str, ...] = ()) -> None:
    for key, value in extra.items():
        if key in skip:
            continue
        if key not in base:
            draft.put(base, key, value, extra.marks[key])
            continue
        present = base[key]
        inner = shape.get(key, shape.get("*"))
        if inner is not None and isinstance(present, Map) and isinstance(value, Map):
            _add(draft, present, value, shape=inner)
            continue
        first = draft.place(base.marks.get(key), on_key=True)
        draft.add(
            "NX0033",
            f"'{key}' is set in two files",
            place=draft.place(extra.marks[key], on_key=True),
            hint="define it in one file; to replace it for an environment, use an overlay (--env)",
            related=(Related(message="first set here", place=first),),
        )


def overlay(draft: Draft, root: Map) -> None:
    """Lay the overlay over the tree: it replaces, `null` removes, and what matches nothing is a finding."""
    part = draft.overlay
    if part is None:
        return
    if "include" in part.root:
        place = draft.place(part.root.marks["include"], on_key=True)
        draft.add("NX0042", "an overlay can't include files", place=place, hint="include it in the site file")
        del part.root["include"]
    templates = root.get("templates")
    _lay(draft, root, part.root, named=False, behind={}, templates=templates if isinstance(templates, Map) else Map())


def _lay(draft: Draft, base: Map, over: Map, *, named: bool, behind: dict[Any, Any], templates: Map) -> None:
    """Lay one map over another.

    Args:
        draft: Takes the findings.
        base: Changed in place.
        over: The overlay's map for the same place.
        named: The keys are names (of areas, tags, …), which must exist already.
        behind: What the device's template says at this place; its names count as there.
        templates: All templates.
    """
    for key, value in over.items():
        mark = over.marks[key]
        if key not in base and key not in behind and (named or value is None or key in NAMED):
            known = [str(name) for name in (*base, *behind)]
            place = draft.place(mark, on_key=True)
            draft.add("NX0041", f"'{key}' matches nothing in the site", place=place, hint=did_you_mean(key, known))
            continue
        if value is None and key not in behind:
            del base[key]
            base.marks.pop(key, None)
            continue
        present = base.get(key)
        below = _template_of(value, present, templates) or behind.get(key)
        below = below if isinstance(below, dict) else {}
        if (
            isinstance(value, Map)
            and key not in _REPLACED
            and (isinstance(present, Map) or (below and key not in base))
        ):
            if not isinstance(present, Map):
                present = Map()
                present.marks = {}
                draft.put(base, key, present, mark)
            _lay(draft, present, value, named=key in NAMED or key == "access", behind=below, templates=templates)
        else:
            draft.put(base, key, value, mark)


def _template_of(value: Any, present: Any, templates: Map) -> dict[Any, Any] | None:
    """The template of a device, as the overlay or the site names it."""
    for node in (value, present):
        if isinstance(node, Map) and isinstance(name := node.get("template"), str):
            template = templates.get(name)
            return template if isinstance(template, Map) else None
    return None


def unshared(draft: Draft, node: Any) -> Any:
    """A copy in which each node is at one place, without the sharing of aliases; its references are noted again."""
    if isinstance(node, Map):
        copy = Map()
        copy.marks = {}
        for key, value in node.items():
            draft.put(copy, key, unshared(draft, value), node.marks[key])
        return copy
    if isinstance(node, Seq):
        items = Seq(unshared(draft, value) for value in node)
        items.marks = list(node.marks)
        draft.references.extend((items, index) for index, value in enumerate(items) if has_reference(value))
        return items
    return node
