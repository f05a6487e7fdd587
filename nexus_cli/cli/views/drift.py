"""Drift as text and GitHub annotations, from the report. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nexus_cli.cli.views.github import escape, escape_property
from nexus_cli.diagnostics.printable import one_line
from nexus_cli.diagnostics.wording import counted
from nexus_cli.wire.control_drift import DriftReport, Reverted

Style = Callable[[str, str], str]
COLOURS = {"critical": "error", "high": "error", "medium": "warning", "low": "dim"}
LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "notice"}
MOST_ANNOTATIONS = 10


def drift_text(report: DriftReport, *, style: Style) -> str:
    """The findings, the worst first, then what is not known."""
    lines: list[str] = []
    for one in report.findings:
        lines.append(f"{style(one.severity, COLOURS[one.severity]):8}  {one_line(one.text)}")
        lines.append(f"          {style(one.kind, 'dim')}" + (f"  {one_line(one.hint)}" if one.hint else ""))
    if report.unknown:
        lines += [
            *([""] if lines else []),
            *(
                f"{style('unknown', 'warning')}   {one_line(each.path)}: {one_line(each.why)}"
                for each in report.unknown
            ),
        ]
    if report.notes:
        lines += [*([""] if lines else []), *(f"note: {one_line(each)}" for each in report.notes)]
    return "\n".join([*lines, *([""] if lines else []), summary(report)])


def summary(report: DriftReport) -> str:
    """One sentence."""
    looked = f"deployment {report.deployment}, {counted(report.devices, 'device')} asked"
    left = f"; {report.ignored} left out" if report.ignored else ""
    if report.findings:
        each = ", ".join(f"{count} {severity}" for severity, count in report.counts.items() if count)
        words = f"drift: {each}"
    elif report.unknown:
        words = "no drift where it could be looked at"
    else:
        words = "no drift"
    unknown = f"; {counted(len(report.unknown), 'part')} not known" if report.unknown else ""
    return f"{words}{unknown} ({looked}{left})"


def drift_annotations(report: DriftReport) -> str:
    """`::error …` lines; the tenth says how many more there are. What is not known is a warning."""
    lines = [
        f"::{LEVELS[one.severity]} title={escape_property(f'drift: {one.kind}')}::{escape(one.text)}"
        for one in report.findings
    ]
    lines += [f"::warning title=drift not known::{escape(f'{one.path}: {one.why}')}" for one in report.unknown]
    if len(lines) > MOST_ANNOTATIONS:
        more = len(lines) - MOST_ANNOTATIONS + 1
        lines = [*lines[: MOST_ANNOTATIONS - 1], f"::warning title=drift::{more} more; the job's summary lists them"]
    return "\n".join(lines)


def reverted_text(found: Reverted, *, style: Style) -> str:
    """What was or would be put back, and what stays."""
    word = "would do" if found.preview else "done"
    lines = [f"{style(word, 'warning' if found.preview else 'good')}  {one_line(one)}" for one in found.done]
    return "\n".join([*lines, *(f"{style('stays', 'dim')}  {one_line(one)}" for one in found.left)])


def adopted_text(taken: Sequence[str], *, style: Style) -> str:
    """What is adopted."""
    return "\n".join(f"{style('adopt', 'good')}  {one_line(one)}" for one in taken)
