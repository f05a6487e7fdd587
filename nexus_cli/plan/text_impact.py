"""Load, readers, templates and defaults of a plan as text for people; rendered from its JSON form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from nexus_cli.diagnostics.wording import counted
from nexus_cli.plan.document import PlanDocument
from nexus_cli.plan.document_impact import LoadEntry, ReaderEntry
from nexus_cli.plan.document_reach import ReachEntry
from nexus_cli.plan.text_groups import places

MOST_LINKS = 20
MOST_READERS = 20
MOST_TEMPLATES = 20
"""The same of places with defaults."""
MOST_KEYS = 6
MOST_DEVICES = 6
"""Up to so many devices of a template are named one by one; more are counted by line."""


def impact_blocks(plan: PlanDocument, style: Callable[[str, str], str]) -> Iterator[str]:
    """The blocks that a plan has; nothing where it has none, as plans of older versions."""
    yield from _reach("Templates:", "template", _templates(plan), style)
    yield from _reach("Defaults:", "place", _defaults(plan), style)
    yield from _load(plan.get("load") or [], style)
    yield from _readers(plan.get("readers") or [], style)


def _load(loads: Sequence[LoadEntry], style: Callable[[str, str], str]) -> Iterator[str]:
    if not loads:
        return
    yield from ("", style("Load of links:", "bold"))
    ranked = sorted(loads, key=lambda one: (-(one["share_after"] or 0.0), one["link"], one["gateway"]))
    of_link = Counter(one["link"] for one in loads)
    for one in ranked[:MOST_LINKS]:
        late = (one["share_after"] or 0.0) > 1
        whose = f" of {one['gateway']}" if of_link[one["link"]] > 1 else ""
        line = f"{one['link']}{whose} ({counted(one['devices'], 'device')}): {one['text']}"
        yield "  " + (style(line, "error") if late else line)
    if len(ranked) > MOST_LINKS:
        yield f"  … and {counted(len(ranked) - MOST_LINKS, 'link')} with less load (--format json shows all)"


def _readers(readers: Sequence[ReaderEntry], style: Callable[[str, str], str]) -> Iterator[str]:
    if not readers:
        return
    yield from ("", style("Readers of what changes:", "bold"))
    for one in readers[:MOST_READERS]:
        what = one["change"] if one["change"] in ("removed", "moved") else f"{one['change']} changes"
        where = "" if one["name"] == one["path"] else f"{one['path']} "
        yield f"  {one['kind']} {one['name']}: {where}{what}: {one['effect']}"
    rest = Counter(one["kind"] for one in readers[MOST_READERS:])
    if rest:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(rest.items()))
        yield f"  … and {sum(rest.values()):,} more ({kinds}; --format json shows all)"


def _templates(plan: PlanDocument) -> list[tuple[str, ReachEntry]]:
    return [(each["template"], each) for each in plan.get("templates") or []]


def _defaults(plan: PlanDocument) -> list[tuple[str, ReachEntry]]:
    return [(f"{each['path'] or each['level']}: {_keys(each['keys'])}", each) for each in plan.get("defaults") or []]


def _keys(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - MOST_KEYS} more keys" if len(keys) > MOST_KEYS else ""
    return ", ".join(keys[:MOST_KEYS]) + more


def _reach(
    title: str, noun: str, found: Sequence[tuple[str, ReachEntry]], style: Callable[[str, str], str]
) -> Iterator[str]:
    """One line for each text that reaches devices, and these below it."""
    if not found:
        return
    yield from ("", style(title, "bold"))
    for name, one in found[:MOST_TEMPLATES]:
        yield f"  {name}: {one['text']}"
        devices = one["devices"]
        yield "      " + (", ".join(devices) if len(devices) <= MOST_DEVICES else places(devices))
    if len(found) > MOST_TEMPLATES:
        yield f"  … and {counted(len(found) - MOST_TEMPLATES, noun)} more (--format json shows all)"
