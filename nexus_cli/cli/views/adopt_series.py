"""What becomes of undeclared series, as JSON and as text for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypedDict

from nexus_cli.cli.views.adopt import listed, outcome
from nexus_cli.diagnostics.printable import one_line
from nexus_cli.diagnostics.wording import counted
from nexus_cli.discover.adopt.series import STATES, SeriesEntry, sums
from nexus_cli.discover.adopt.series_schema import FORMAT_VERSION
from nexus_cli.project.adopt_series import SeriesAdoption
from nexus_cli.source.files import shown
from nexus_cli.wire.control_undeclared import UndeclaredSeries

TITLES = {
    "declared": "Declared",
    "bound": "Moved",
    "forgotten": "Forgotten",
    "kept": "Protected",
    "left": "Left as it is",
}
STYLES = {"declared": "good", "bound": "good", "forgotten": "dim", "kept": "good", "left": "warning"}


class SeriesDocument(TypedDict):
    """As `schemas/series-adoption.schema.json` says."""

    format_version: str
    site: str
    into: str
    series: dict[str, int]
    samples: dict[str, int]
    uncounted: int
    entries: list[dict[str, Any]]
    elsewhere: list[dict[str, Any]]
    diff: str
    written: bool
    settled: dict[str, int]
    after: dict[str, int] | None
    notes: list[str]


def series_document(found: SeriesAdoption) -> SeriesDocument:
    """The whole as JSON values."""
    number = sums(found.entries)
    settled = found.settled
    return {
        "format_version": FORMAT_VERSION,
        "site": found.site,
        "into": shown(found.edit.path) if found.edit is not None else "",
        "series": number["series"],
        "samples": number["samples"],
        "uncounted": _uncounted([one.series for one in found.entries]),
        "entries": [_entry(one) for one in found.entries],
        "elsewhere": [{"site": one.site, "series": one.series} for one in found.elsewhere],
        "diff": found.edit.diff() if found.edit is not None else "",
        "written": found.after is not None,
        "settled": {
            "forgotten": settled.forgotten if settled is not None else 0,
            "kept": settled.kept if settled is not None else 0,
        },
        "after": None if found.after is None else _after(found.after),
        "notes": list(found.notes),
    }


def _entry(one: SeriesEntry) -> dict[str, Any]:
    series = one.series
    return {
        "path": series.path,
        "ulid": series.ulid,
        "type": series.type,
        "unit": series.unit,
        "retention": series.retention,
        "active": series.active,
        "protected": series.protected,
        "samples": series.samples,
        "first": series.first,
        "last": series.last,
        "state": one.state,
        "becomes": one.becomes,
        "reason": one.reason,
    }


def _after(series: Sequence[UndeclaredSeries]) -> dict[str, int]:
    samples = sum(one.samples or 0 for one in series)
    return {"series": len(series), "samples": samples, "uncounted": _uncounted(series)}


def _uncounted(series: Sequence[UndeclaredSeries]) -> int:
    return sum(one.samples is None for one in series)


def series_text(found: SeriesDocument, style: Callable[[str, str], str]) -> str:
    """The list, the diff, and the sums."""
    lines = [f"Series of {found['site']} that nothing declares"]
    for state, title in TITLES.items():
        some = [one for one in found["entries"] if one["state"] == state]
        lines += listed((_line(one) for one in some), len(some), style(f"{title}:", STYLES[state]))
    if found["elsewhere"]:
        lines += ["", style("Of sites that are not run here, in tables of their own:", "dim")]
        lines += [f"  {one_line(each['site'])}: {each['series']:,} series" for each in found["elsewhere"]]
    if found["diff"]:
        lines += ["", found["diff"].rstrip("\n")]
    return "\n".join([*lines, "", *_sums(found)])


def _line(one: Mapping[str, Any]) -> str:
    unit = f" {one_line(one['unit'])}" if one["unit"] else ""
    samples = "samples not counted" if one["samples"] is None else counted(one["samples"], "sample")
    hand = ", written by hand" if one["active"] else ""
    end = outcome(one["becomes"], one["reason"])
    return one_line(f"  {one['path']} ({one['type']}{unit}, {samples}{hand}){end}")


def _sums(found: SeriesDocument) -> Iterator[str]:
    series, samples = found["series"], found["samples"]
    if not series["found"]:
        yield "Every series is declared."
        return
    ends = [
        f"{series[state]:,} {TITLES[state].lower()} ({counted(samples[state], 'sample')})"
        for state in STATES
        if series[state]
    ]
    yield f"{series['found']:,} series with {counted(samples['found'], 'sample')}: {', '.join(ends)}."
    if found["uncounted"]:
        yield f"Of {found['uncounted']:,} series the samples were not counted: it took too long."
    if found["after"] is not None:
        after = found["after"]
        yield f"Afterwards the database has {after['series']:,} undeclared series with {after['samples']:,} samples."
