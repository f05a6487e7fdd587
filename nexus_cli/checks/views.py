"""Views: filters that are possible, match something, and are named once."""

from __future__ import annotations

from collections.abc import Iterator

from nexus_cli.access.globs import LEVELS, has_partial_level, matches_glob
from nexus_cli.checks.view import View
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic, ModelPath
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.model.view_config import is_topic_filter, topic_filter
from nexus_cli.wire.topic import Topics

LONGEST = 500
"""Characters of a filter."""
_CONTROL = frozenset(map(chr, [*range(32), 127]))


def _filters(view: View) -> Iterator[tuple[str, str, ModelPath]]:
    """Name of the view, filter and place."""
    for name, declared in view.model.site.views.items():
        for position, text in enumerate(declared.filters):
            yield name, text, ("views", name, "filters", position)


def view_filter(view: View) -> Iterator[Diagnostic]:
    """NX2622."""
    for _, text, where in _filters(view):
        if wrong := _wrong(text):
            message, hint = wrong
            yield finding("NX2622", f"'{text[:100]}' {message}", where=where, hint=hint)


def _wrong(text: str) -> tuple[str, str] | None:
    """Why a filter is not possible, and what to write; None when it is."""
    if not text.strip("/") or len(text) > LONGEST or _CONTROL & set(text):
        return "is not a filter", f"write a path glob such as packaging/** ({LONGEST} characters at most)"
    levels = text.split("/")
    if is_topic_filter(text):
        if any(len(level) > 1 and ("+" in level or "#" in level) for level in levels):
            return "has a '+' or '#' that is not a level of its own", "write a/+/b or a/#"
        if "#" in levels[:-1]:
            return "has a '#' that is not its end", "write a/#"
        if "*" in text:
            return "has wildcards of both kinds", "write either + and # (a whole topic), or * and ** (below the site)"
        return None
    if not all(levels):
        return "has an empty level", f"write '{'/'.join(filter(None, levels))}'"
    if "**" in levels[:-1]:
        return "has a '**' that is not its end", "write one filter for each depth: */*/**"
    if has_partial_level(text):
        return "has a '*' beside other letters", "a broker can't tell such topics apart: write * for the whole level"
    return None


def view_matches_nothing(view: View) -> Iterator[Diagnostic]:
    """NX2623."""
    open_devices = [path for path, one in view.model.devices.items() if one.external]
    for _, text, where in _filters(view):
        if is_topic_filter(text) or _wrong(text):
            continue
        glob = text.strip("/")
        if glob.count("/") < LEVELS - 1 and not glob.endswith("**"):
            glob += "/**"
        if any(matches_glob(glob, path) for path in view.model.declared):
            continue
        # What an external device publishes beside its declared tags is not known here.
        if any(glob.startswith(f"{path}/") or matches_glob(glob, f"{path}/x") for path in open_devices):
            continue
        hint = did_you_mean(text, _near(view)) or "paths are area/line/device/tag"
        yield finding("NX2623", f"'{text[:100]}' matches no tag", where=where, hint=hint)


def _near(view: View) -> list[str]:
    """Globs of what there is: areas, lines and devices."""
    found: set[str] = set()
    for path in view.model.devices:
        levels = path.split("/")
        found.update("/".join([*levels[:count], "**"]) for count in (1, 2, 3))
    return sorted(found)


def view_empty(view: View) -> Iterator[Diagnostic]:
    """NX2624."""
    for name, declared in view.model.site.views.items():
        if not declared.filters:
            hint = "add 'filters: [\"packaging/**\"]'"
            yield finding("NX2624", f"the view '{name}' has no filters", where=("views", name), on_key=True, hint=hint)


def view_filter_twice(view: View) -> Iterator[Diagnostic]:
    """NX2625."""
    topics = Topics(view.model.site.enterprise, view.model.site.site)
    seen: dict[str, str] = {}
    for name, text, where in _filters(view):
        if _wrong(text):
            continue
        means = topic_filter(text, topics)
        first = seen.setdefault(means, name)
        if first != name or seen.get(f"{name}\0{means}"):
            message = f"'{text[:100]}' is in the view '{first}' already"
            yield finding("NX2625", message, where=where, hint="keep it where it is watched first")
        seen[f"{name}\0{means}"] = name


CHECKS = (view_filter, view_matches_nothing, view_empty, view_filter_twice)
