"""What is adopted, as JSON and as text for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypedDict

from nexus_cli.diagnostics.wording import counted
from nexus_cli.discover.adopt.entries import ADOPTED, LEFT, PRESENT, counts
from nexus_cli.discover.adopt.schema import FORMAT_VERSION
from nexus_cli.project.adopt import Adoption
from nexus_cli.source.files import shown

MOST = 200
TITLES = {ADOPTED: "Adopted", PRESENT: "There already", LEFT: "Left out"}
STYLES = {ADOPTED: "good", PRESENT: "dim", LEFT: "warning"}


class EntryDocument(TypedDict):
    """One thing that came in, see `discover.adopt.entries.Entry`."""

    what: str
    state: str
    becomes: str
    reason: str


class AdoptionDocument(TypedDict):
    """An adoption as JSON; `counts` has `found`, which is `adopted`, `present` and `left` together."""

    format_version: str
    source: str
    into: str
    counts: dict[str, int]
    entries: list[EntryDocument]
    diff: str
    written: bool
    notes: list[str]


def adoption_document(found: Adoption, *, written: bool) -> AdoptionDocument:
    """The whole adoption as JSON values."""
    return {
        "format_version": FORMAT_VERSION,
        "source": found.source,
        "into": shown(found.edit.path) if found.edit is not None else "",
        "counts": counts(found.entries),
        "entries": [
            {"what": one.what, "state": one.state, "becomes": one.becomes, "reason": one.reason}
            for one in found.entries
        ],
        "diff": found.edit.diff() if found.edit is not None else "",
        "written": written,
        "notes": list(found.notes),
    }


def adoption_text(found: AdoptionDocument, style: Callable[[str, str], str]) -> str:
    """The list, the diff and the counts."""
    lines: list[str] = []
    for state, title in TITLES.items():
        lines += _listed(found, state, style(f"{title}:", STYLES[state]))
    if found["diff"]:
        lines += ["", found["diff"].rstrip("\n")]
    number = found["counts"]
    summary = f"{counted(number['found'], 'thing')} found: {number[ADOPTED]:,} adopted, {number[PRESENT]:,} there already, {number[LEFT]:,} left out."
    return "\n".join([f"From {found['source']}", *lines, "", summary])


def _listed(found: AdoptionDocument, state: str, title: str) -> Iterator[str]:
    listed = [one for one in found["entries"] if one["state"] == state]
    if not listed:
        return
    yield from ("", title)
    for one in listed[:MOST]:
        becomes = f" -> {one['becomes']}" if one["becomes"] else ""
        reason = f" ({one['reason']})" if one["reason"] and becomes else f": {one['reason']}" if one["reason"] else ""
        yield f"  {one['what']}{becomes}{reason}"
    if len(listed) > MOST:
        yield f"  … and {len(listed) - MOST:,} more (--format json shows all)"
