"""Comments: what a value says stays text, whole parts are left out, and the limit is kept."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from nexus_cli.cli.views.drift_markdown import drift_markdown
from nexus_cli.cli.views.markdown import MOST_CHARACTERS, MOST_OF_GITLAB, Part, code, fenced, html, joined, prose
from nexus_cli.cli.views.plan_markdown import plan_markdown
from nexus_cli.drift.kinds import counted, found
from nexus_cli.plan.document import PlanDocument
from nexus_cli.plan.rollout_document import NO_ROLLOUT
from nexus_cli.wire.control_drift import DriftReport, DriftUnknown
from tests.unit.plan.test_plan import device, snapshot, tag
from tests.unit.plan.test_text import document

EVIL = [
    "`", "```", "````\n# pwned", "</details>", "<details><summary>x", "| a | b |", "@acme/admins", "#123", "!7", "~bug",
    "$1", "%2", "&3", "[x](https://evil.example)", "![x](http://e/x.png)", "**b**", "- item", "1. one", "# head",
    "\\", "\\`", "\n\n```\n", "<!-- nexus plan a/b -->", "--> x", "-->", "<script>", "~~~", "a_b_c", "www.e.example",
    "/merge", "    code", "\r\n/close", "\u202e", "  ",
]  # fmt: skip
foreign = st.lists(st.sampled_from(EVIL) | st.text(max_size=6), min_size=1, max_size=5).map("".join)
seen = foreign.filter(lambda text: bool(text.strip()))


class Tags(HTMLParser):
    """The tags of a rendered text, and what is written outside of code."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.said = ""
        self._code = 0
        self.feed(MarkdownIt("commonmark").enable("table").render(text))
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        self._code += tag == "code"

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag == "code"

    def handle_data(self, data: str) -> None:
        self.said += "" if self._code else data


@given(foreign)
def test_prose_is_one_paragraph_without_markup_mention_or_reference(text: str) -> None:
    shown = Tags(f"- {prose(text)}")
    assert set(shown.tags) <= {"ul", "li"}
    for sign in ("@a", "#1", "!7", "~b", "$1", "%2", "://", "www.e"):
        assert sign not in shown.said


@given(foreign)
def test_prose_and_code_keep_their_cell(text: str) -> None:
    shown = Tags(f"| a | b | c |\n|---|---|---|\n| {prose(text)} | {code(text)} | end |\n\nafter")
    assert shown.tags.count("td") == 3 and shown.tags.count("tr") == 2
    assert not {"a", "img", "details", "script", "em", "strong", "pre", "h1"} & set(shown.tags)
    assert shown.said.rstrip().endswith("after") and "end" in shown.said


@given(st.lists(foreign, max_size=4))
def test_a_fence_ends_where_it_should(lines: list[str]) -> None:
    shown = Tags(f"{Part(title='t', text=fenced(lines, 'diff'))}\n\nafter")
    assert shown.tags == ["details", "summary", "pre", "code", "p"]
    assert shown.said.split() == ["t", "after"]


@given(foreign)
def test_a_heading_of_a_fold_is_text(text: str) -> None:
    assert Tags(f"<p>{html(text)}</p>\n\nafter").tags == ["p", "p"]


@given(seen, seen)
def test_a_plan_of_hostile_values_has_the_same_shape(first: str, second: str) -> None:
    def shown(one: str, other: str) -> Tags:
        plan = document(snapshot(device("a/l/one"), device("a/l/two")), snapshot(device("a/l/one", description="x")))
        plan["hazards"][0]["message"] = one
        plan["hazards"][0]["scope"] = other
        plan["diagnostics"] = [{"code": "NX1", "severity": "error", "summary": one, "where": "", "hint": ""}]
        plan["unknowns"] = [other]
        policy = {"name": one, "severity": "error", "owner": other, "message": one, "subject": "tag", "paths": [other]}
        plan["policies"] = [{**policy, "recorded": True, "overridable": False, "blocking": True}]
        plan["aliases"] = [{"old": one, "to": other, "for_ms": 1, "action": "create"}]
        plan["resource_changes"][0]["change"]["after"]["description"] = one
        return Tags(plan_markdown(cast(PlanDocument, plan)))

    tags = [each for each in shown(first, second).tags if each != "code"]
    assert tags == [each for each in shown("x", "x").tags if each != "code"]


def test_whole_parts_are_left_out_and_named() -> None:
    parts = [Part(title=f"part {n}", text=fenced(["x" * 900] * 5, "text")) for n in range(30)]
    text = joined("head", parts, foot="foot", most=20_000, elsewhere="See `json`.")
    assert len(text) <= 20_000 and text.startswith("head\n\n<details>") and text.endswith("_\n\nfoot\n")
    shown = text.count("<details>")
    assert shown == text.count("</details>") == text.count("\n```") // 2 == 4
    assert "Left out, the comment would be too long: part 4, part 5," in text
    assert f"and {30 - shown - 12} parts more. See `json`._" in text


def test_a_small_part_follows_a_large_one_that_is_left_out() -> None:
    parts = [Part(title="large", text="x" * 9_000), Part(title="small", text="y", folded=False)]
    text = joined("head", parts, most=5_000, elsewhere="There.")
    assert text == "head\n\ny\n\n_Left out, the comment would be too long: large. There._\n"


@pytest.mark.parametrize("most", [MOST_CHARACTERS, MOST_OF_GITLAB])
def test_a_very_large_plan_keeps_the_limit_and_its_head(most: int) -> None:
    many = {f"role__r{n}": {"read": [f"a/l/{n}/**"] * 20} for n in range(3_000)}
    plan = document(snapshot(device("a/l/one")), snapshot(device("a/l/one", tags={"new": tag()}), **many))
    text = plan_markdown(cast(PlanDocument, plan), most=most, page="https://ci.example/acme/runs/1")
    assert len(text) <= most
    assert text.startswith(
        "<!-- nexus plan acme/chicago -->\n### NEXUS plan for `acme/chicago`\n\nPlan: 3000 to create"
    )
    assert "\n- Hazards: " in text and "Series: 1 lost" in text
    assert text.endswith("[CI run](<https://ci.example/acme/runs/1>)\n")
    assert text.count("<details>") == text.count("</details>")


def test_drift_keeps_the_limit_and_its_table() -> None:
    findings = [found("read-only", f"a/l/d/t{n}", "device", "| `` </details> @all " * 20, hint="x") for n in range(900)]
    unknown = [DriftUnknown(path="a | b`", plane="device", why="</details>\n# x")]
    report = DriftReport(site="e/s", time=1, findings=findings, counts=counted(findings), unknown=unknown)
    text = drift_markdown(report)
    assert len(text) <= MOST_CHARACTERS and "_Left out, the comment would be too long: " in text
    assert set(Tags(text).tags) <= {"h3", "p", "code", "table", "thead", "tbody", "tr", "th", "td", "details", "summary",
                                    "ul", "li", "em"}  # fmt: skip
    assert Tags(text).tags.count("details") == text.count("</details>")


def test_a_page_that_is_no_address_is_not_shown() -> None:
    plan = document(snapshot(), snapshot(device("a/l/one")))
    for page in ("javascript:alert(1)", "https://x> <b>", ""):
        assert "CI run" not in plan_markdown(cast(PlanDocument, plan), page=page)


def test_a_part_waves_and_closed_windows_are_named_at_the_head() -> None:
    plan = document(snapshot(), snapshot(device("a/l/one")))
    plan["targets"] = {"target": ["a/**"], "exclude": [], "added": [], "left_out": 3, "files": ""}
    window = {"address": "device.a/l/one", "window": "night", "hours": "22:00-04:00", "open": False, "text": "closed"}
    wave = {"name": "first", "addresses": ["device.a/l/one"], "soak_ms": 0}
    plan["rollout"] = {**NO_ROLLOUT, "waves": [wave], "windows": [window]}
    head = plan_markdown(cast(PlanDocument, plan)).partition("<details>")[0]
    assert "- **Only a part** of what the files change: 3 changes left out\n" in head
    assert "- Goes out in 1 wave\n" in head and "- Maintenance windows closed now: 1\n" in head
