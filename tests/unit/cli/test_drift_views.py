"""Drift as text, Markdown, annotations, and the line of `nexus status`."""

from __future__ import annotations

from nexus_cli.cli.views.drift import drift_annotations, drift_text
from nexus_cli.cli.views.drift_markdown import drift_markdown
from nexus_cli.cli.views.drift_status import words_of
from nexus_cli.drift.kinds import counted, found
from nexus_cli.wire.control_drift import DriftReport, DriftUnknown
from nexus_cli.wire.health import DriftHealth

FINDINGS = [found("read-only", "a/l/d/t", "device", "t takes no writes | any more", hint="--adopt"),
            found("description-changed", "a/l/d", "declared", "other words\nthan recorded")]  # fmt: skip
REPORT = DriftReport(
    site="e/s",
    time=1,
    deployment=3,
    devices=2,
    findings=FINDINGS,
    counts=counted(FINDINGS),
    unknown=[DriftUnknown(path="gateway.gw-2", plane="observed", why="it is lost")],
    ignored=1,
)


def plain(text: str, _: str) -> str:
    return text


def test_text_names_findings_and_what_is_not_known() -> None:
    text = drift_text(REPORT, style=plain)
    assert text.splitlines()[0].startswith("critical  t takes no writes")
    assert "gateway.gw-2: it is lost" in text
    assert text.endswith("drift: 1 critical, 1 low; 1 part not known (deployment 3, 2 devices asked; 1 left out)")
    assert "other words\nthan" not in text


def test_no_drift_is_only_said_when_all_was_seen() -> None:
    nothing = DriftReport(site="e/s", time=1, deployment=3, unknown=REPORT.unknown)
    assert "no drift where it could be looked at; 1 part not known" in drift_text(nothing, style=plain)
    assert drift_text(DriftReport(site="e/s", time=1), style=plain).startswith("no drift (")


def test_markdown_keeps_its_table() -> None:
    text = drift_markdown(REPORT)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 * 2 + len(FINDINGS)
    assert all(row.replace("\\|", "").count("|") == 6 for row in rows)
    assert text.startswith("<!-- nexus drift e/s -->\n### NEXUS drift of `e/s`\n\ndrift: 1 critical, 1 low;")
    assert text.index("critical |") < text.index("<summary>Not known</summary>") < text.index("| low |")
    assert len(drift_markdown(DriftReport(site="e/s", time=1, findings=FINDINGS * 400, counts={}))) < 65_000


def test_annotations_are_ten_at_most() -> None:
    assert drift_annotations(REPORT).splitlines()[0].startswith("::error title=drift%3A read-only::")
    many = DriftReport(site="e/s", time=1, findings=FINDINGS * 20)
    lines = drift_annotations(many).splitlines()
    assert len(lines) == 10
    assert "31 more" in lines[-1]


def test_status() -> None:
    health = DriftHealth(every_ms=1, looked=60_000_000, findings={"critical": 1, "low": 0}, unknown=2)
    assert words_of(health, 660.0) == "1 critical, 2 parts not known, looked 10 min ago; nexus drift shows it"
    assert words_of(DriftHealth(every_ms=1), 0.0) == "not looked for yet"
