"""The report of chaos: text and figures come from the same JSON, and a breach is never left out."""

from __future__ import annotations

from tests.chaos.figures import BEGIN, END, PAGE, written
from tests.chaos.report import KEPT, LAWS, SHOWN, Findings, to_json, to_text

ARGUMENTS = {"site": "demo", "seed": 3, "minutes": 5.0}
FIGURES = {
    "tags": 38,
    "rows": 12_345,
    "values in a row": 12_000,
    "values explained": {"BAD": 7},
    "commands": {"done": 3},
    "lives judged for leaks": {"tasks": 2},
}
FAULTS = [
    {"kind": "kill", "target": "broker", "skipped": False, "note": ""},
    {"kind": "disk", "target": "gw-a", "skipped": True, "note": "this user may not mount a small disk"},
]


def report(findings: Findings) -> dict[str, object]:
    """A report with the figures of a run."""
    findings.figures |= FIGURES
    return to_json(arguments=ARGUMENTS, findings=findings, faults=FAULTS)


def test_a_sound_run() -> None:
    made = report(Findings())
    assert made["sound"] is True
    text = to_text(made)
    assert text.endswith("\nsound\n")
    assert "FAIL" not in text
    assert "12,345" in text
    assert "not carried out: disk gw-a: this user may not mount a small disk" in text


def test_every_breach_is_counted_and_some_are_shown() -> None:
    findings = Findings()
    for number in range(KEPT + 50):
        findings.breach("lost", f"tag-{number}", number=2)
    made = report(findings)
    assert made["sound"] is False
    text = to_text(made)
    assert text.endswith("\nNOT sound\n")
    assert f"FAIL lost {2 * (KEPT + 50):>15}" in text
    assert f"tag-{SHOWN - 1}" in text
    assert f"tag-{SHOWN}\n" not in text
    assert len(made["laws"]["lost"]["examples"]) == KEPT  # type: ignore[index]


def test_each_law_alone_makes_a_run_unsound() -> None:
    for law in LAWS:
        findings = Findings()
        findings.breach(law, "x")
        assert not report(findings)["sound"], law


def test_figures_replace_those_that_were_there() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    once = written(page, [report(Findings())])
    assert "old" not in once
    assert "| demo, 38 tags | 3 | 5 | 1: 1 kill | 12,345 | 12,000 | 7 BAD | 3 done | 2 tasks | none |" in once
    assert written(once, [report(Findings())]) == once
    assert once.startswith("before\n")
    assert once.endswith("after\n")


def test_the_page_has_a_place_for_them_and_explains_every_law() -> None:
    page = PAGE.read_text()
    assert page.index(BEGIN) < page.index(END)
    assert [law for law in LAWS if f"`{law}`" not in page] == []
