"""A plan as Markdown for a pull request, and as GitHub annotations; rendered from its JSON form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nexus_cli.plan.document import HazardEntry, PlanDocument, RangeEntry
from nexus_cli.plan.policy_document import policy_markdown
from nexus_cli.plan.text import MOST_HAZARDS, RENAMED, consent, headline, moved_block, plan_text
from nexus_cli.plan.text_groups import hazard_groups

MOST_CHARACTERS = 65_000
"""GitHub refuses longer comments (65,536 characters)."""
MOST_ANNOTATIONS = 10
"""GitHub shows ten annotations per severity and step."""


def plan_markdown(plan: PlanDocument) -> str:
    """The plan for a pull request, shorter than GitHub's limit, detail folded.

    Its first line is the mark by which `nexus comment` finds the same comment again.
    """
    marker = f"<!-- nexus plan {plan['site']} -->"
    lines = [
        marker,
        f"### NEXUS plan for `{plan['site']}`",
        "",
        headline(plan) if plan["resource_changes"] else "No changes.",
    ]
    open_ = [each for each in plan["hazards"] if not each["allowed"]]
    if open_:
        lines += ["", f"**{len(open_)} hazard{'s' * (len(open_) > 1)} without consent**", ""]
        lines += _open_hazards(open_)
    lines += policy_markdown(plan)
    if plan.get("effect") and plan["resource_changes"]:
        lines += ["", f"Effect: `{plan['effect']}`"]
    if plan.get("renames"):
        lines += ["", f"**Renamed?** {RENAMED}", "", "```yaml", *moved_block(plan), "```"]
    for each in plan["diagnostics"]:
        if each["severity"] != "info":
            lines += ["", f"**{each['severity']}[{each['code']}]** {each['summary']}"]
    head = "\n".join(lines)[: MOST_CHARACTERS // 2]
    if not plan["resource_changes"]:
        return head + "\n"
    opening, closing = "\n\n<details><summary>Changes</summary>\n\n```diff\n", "\n```\n\n</details>\n"
    room = MOST_CHARACTERS - len(head) - len(opening) - len(closing)
    body = "\n".join(_diff_lines(plan_text({**plan, "renames": []}, style=lambda text, _: text)))
    if len(body) > room:
        cut = body[: room - 80].rsplit("\n", 1)[0]
        body = f"{cut}\n… cut here; `nexus plan --format json` has everything"
    return head + opening + body.replace("```", "'''") + closing


def _open_hazards(open_: Sequence[HazardEntry]) -> Iterator[str]:
    by_name: dict[str, list[HazardEntry]] = {}
    for each in open_:
        by_name.setdefault(each["name"], []).append(each)
    for name, found in by_name.items():
        groups = list(hazard_groups(found))
        yield from (f"- `{name}` {sentence}" for sentence, _ in groups[:MOST_HAZARDS])
        if len(groups) > MOST_HAZARDS:
            yield f"- `{name}` … and {sum(len(group) for _, group in groups[MOST_HAZARDS:]):,} more"
        yield f"  consent: `--allow {consent(found, name)}`"


def plan_annotations(plan: PlanDocument) -> str:
    """`::error`, `::warning` and `::notice` commands for a workflow's log, one a line."""
    lines = []
    found = [
        *(
            _annotation(each["severity"], f"{each['code']}", each["summary"], each.get("range"))
            for each in plan["diagnostics"]
        ),
        *(
            _annotation(
                "notice" if each["allowed"] else "error", f"{each['code']} {each['name']}", each["message"], None
            )
            for each in plan["hazards"]
        ),
    ]
    for kind in ("error", "warning", "notice"):
        of_kind = [line for line in found if line.startswith(f"::{kind} ")]
        lines += of_kind[: MOST_ANNOTATIONS - 1]
        if len(of_kind) >= MOST_ANNOTATIONS:
            lines.append(f"::{kind} title=NEXUS::and {len(of_kind) - MOST_ANNOTATIONS + 1} more")
    lines.append(_annotation("notice", "NEXUS plan", headline(plan), None))
    return "\n".join(lines)


def _diff_lines(text: str) -> Iterator[str]:
    """Marks at the start of the line, where a diff block colours them."""
    for line in text.splitlines():
        stripped = line.lstrip()
        if stripped.startswith(("+ ", "- ")):
            yield stripped[0] + line[1:].replace(stripped[0], " ", 1)
        elif stripped.startswith("~ "):
            yield "!" + line[1:].replace("~", " ", 1)
        else:
            yield " " + line


def _annotation(severity: str, title: str, text: str, place: RangeEntry | None) -> str:
    kind = {"error": "error", "warning": "warning"}.get(severity, "notice")
    facts = [f"title={_property(title)}"]
    if place is not None:
        facts = [f"file={_property(place['filename'])}", f"line={place['start']['line']}", *facts]
    return f"::{kind} {','.join(facts)}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
