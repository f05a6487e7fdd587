"""Drift as Markdown for a comment or a job's summary, from the report. Pure. See docs/decisions/0109."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from nexus_cli.cli.views.drift import summary
from nexus_cli.cli.views.markdown import MOST_CHARACTERS, Part, code, joined, prose
from nexus_cli.wire.control_drift import SEVERITIES, DriftFinding, DriftReport

ROWS = 40
"""Rows of one table: a long list becomes several, so that a limit leaves out as little as it must."""
ELSEWHERE = "`nexus drift --format json` has everything."


def drift_markdown(report: DriftReport, *, page: str = "", most: int = MOST_CHARACTERS) -> str:
    """Counts first, then what may write in the open, the rest folded; parameters as those of `plan_markdown`."""
    site = re.sub(r"[^A-Za-z0-9._/-]|-->", "", report.site)
    head = f"<!-- nexus drift {site} -->\n### NEXUS drift of {code(site)}\n\n{prose(summary(report))}"
    foot = f"[CI run](<{page}>)" if re.fullmatch(r"https?://[^\s<>\\]+", page) else ""
    return joined(head, list(_parts(report)), foot=foot, most=most, elsewhere=ELSEWHERE)


def _parts(report: DriftReport) -> Iterator[Part]:
    """The worst severity first; what could not be looked at comes before what is minor."""
    of = {name: [one for one in report.findings if one.severity == name] for name in SEVERITIES}
    for name in ("critical", "high"):
        yield from _tables(name, of[name], folded=False)
    unknown = [f"- {code(one.path)}: {prose(one.why)}" for one in report.unknown]
    for title, lines in _pages("Not known", unknown):
        yield Part(title=title, text="\n".join(lines))
    for name in ("medium", "low"):
        yield from _tables(name, of[name], folded=True)
    for title, lines in _pages("Notes", [f"- {prose(note)}" for note in report.notes]):
        yield Part(title=title, text="\n".join(lines))


def _tables(severity: str, findings: Sequence[DriftFinding], *, folded: bool) -> Iterator[Part]:
    rows = [
        f"| {prose(one.severity)} | {code(one.kind)} | {code(one.path)} | {prose(one.text)} | {prose(one.hint)} |"
        for one in findings
    ]
    for title, lines in _pages(f"Severity {severity}", rows):
        table = ["| severity | kind | where | what | to do |", "|---|---|---|---|---|", *lines]
        yield Part(title=title, text="\n".join(table), folded=folded)


def _pages(title: str, lines: Sequence[str]) -> Iterator[tuple[str, Sequence[str]]]:
    pages = [lines[start : start + ROWS] for start in range(0, len(lines), ROWS)]
    for number, page in enumerate(pages, 1):
        yield title if len(pages) == 1 else f"{title}, {number} of {len(pages)}", page
