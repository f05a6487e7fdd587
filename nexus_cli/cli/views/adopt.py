"""What is adopted, as JSON and as text for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
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
        some = [one for one in found["entries"] if one["state"] == state]
        lines += listed((_line(one) for one in some), len(some), style(f"{title}:", STYLES[state]))
    if found["diff"]:
        lines += ["", found["diff"].rstrip("\n")]
    number = found["counts"]
    summary = f"{counted(number['found'], 'thing')} found: {number[ADOPTED]:,} adopted, {number[PRESENT]:,} there already, {number[LEFT]:,} left out."
    return "\n".join([f"From {found['source']}", *lines, "", summary])


def listed(lines: Iterable[str], count: int, title: str) -> Iterator[str]:
    """The first lines of so many below a title; nothing of none."""
    if not count:
        return
    yield from ("", title)
    yield from islice(lines, MOST)
    if count > MOST:
        yield f"  … and {count - MOST:,} more (--format json shows all)"


def outcome(becomes: str, reason: str) -> str:
    """What a thing becomes, and why, as the end of its line; "" of neither."""
    if not becomes:
        return f": {reason}" if reason else ""
    return f" -> {becomes}" + (f" ({reason})" if reason else "")


def _line(one: EntryDocument) -> str:
    return f"  {one['what']}{outcome(one['becomes'], one['reason'])}"
