"""A plan as Markdown for a pull or merge request; rendered from its JSON form. See docs/decisions/0109."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from nexus_cli.cli.views.markdown import MOST_CHARACTERS, Part, code, fenced, joined, prose
from nexus_cli.cli.views.plan_annotations import plan_annotations
from nexus_cli.diagnostics.wording import counted
from nexus_cli.plan.approvals import approvals_fact
from nexus_cli.plan.document import HazardEntry, PlanDocument
from nexus_cli.plan.measured_document import OF_SERIES
from nexus_cli.plan.policy_document import EFFECT_IS, PolicyEntry, blocking_policies, effect_line
from nexus_cli.plan.text import MOST_HAZARDS, RENAMED, consent, headline, moved_block, plan_text
from nexus_cli.plan.text_groups import hazard_groups

__all__ = ["MOST_CHARACTERS", "plan_annotations", "plan_markdown"]

MOST_PATHS = 50
MOST_OF_PART = 12_000
"""Characters of one folded part: a longer block becomes several, so that a limit leaves out as little as it must."""
ELSEWHERE = "`nexus plan --format json` has everything."


def plan_markdown(plan: PlanDocument, *, page: str = "", most: int = MOST_CHARACTERS) -> str:
    """The plan for a pull request: what to decide on first, the detail folded below.

    Its first line is the mark by which `nexus comment` finds the same comment again.

    Args:
        plan: As `plan_document` makes it, or as a file says: nothing in it can be trusted to be free of markup.
        page: Address of the CI run that made it, for the foot.
        most: Characters; what is less important is left out as a whole, and a sentence says so.
    """
    site = re.sub(r"[^A-Za-z0-9._/-]|-->", "", plan["site"])
    lines = [f"<!-- nexus plan {site} -->", f"### NEXUS plan for {code(site)}", ""]
    lines.append(headline(plan) if plan["resource_changes"] else "No changes.")
    facts = list(_facts(plan))
    if facts:
        lines += ["", *(f"- {fact}" for fact in facts)]
    if plan.get("effect") and plan["resource_changes"]:
        lines += ["", f"Effect: {code(plan['effect'])} ({EFFECT_IS})"]
    foot = f"[CI run](<{page}>)" if re.fullmatch(r"https?://[^\s<>\\]+", page) else ""
    return joined("\n".join(lines), list(_parts(plan)), foot=foot, most=most, elsewhere=ELSEWHERE)


def _facts(plan: PlanDocument) -> Iterator[str]:
    """One line for each kind of thing that a reviewer decides on, with its counts."""
    if (targets := plan.get("targets")) is not None:
        yield f"**Only a part** of what the files change: {counted(targets['left_out'], 'change')} left out"
    open_ = sum(not each["allowed"] for each in plan["hazards"])
    if plan["hazards"]:
        allowed = len(plan["hazards"]) - open_
        said = [f"{open_:,} without consent"] * (open_ > 0) + [f"{allowed:,} allowed"] * (allowed > 0)
        yield f"Hazards: {', '.join(said)}"
    if plan.get("policies"):
        blocks = len(blocking_policies(plan.get("policies", ())))
        yield f"Policies violated: {len(plan['policies']):,}" + (f", {blocks:,} can't be overridden" if blocks else "")
    if needed := approvals_fact(plan.get("approvals")):
        yield f"Needs {prose(needed)}"
    rights = plan.get("rights", ())
    gained = sum(len(each["principals"]) * len(each["gained"]) for each in rights)
    lost = sum(len(each["principals"]) * len(each["lost"]) for each in rights)
    if gained or lost:
        yield f"Rights: {gained:,} gained, {lost:,} lost"
    yield from _series(plan)
    late = [each for each in plan.get("load", ()) if (each["share_after"] or 0.0) > 1]
    if late:
        yield f"Load: {counted(len(late), 'link')} can't keep the intervals: {code(late[0]['link'])}" + (
            f" and {len(late) - 1:,} more" if len(late) > 1 else ""
        )
    rollout = plan.get("rollout")
    if rollout is not None and rollout["waves"]:
        yield f"Goes out in {counted(len(rollout['waves']), 'wave')}"
    closed = [] if rollout is None else [each for each in rollout["windows"] if not each["open"]]
    if closed:
        yield f"Maintenance windows closed now: {len(closed):,}"
    if plan.get("actions"):
        yield f"Sequences that apply runs: {len(plan['actions']):,}"
    if plan.get("readers"):
        yield f"Readers of what changes: {len(plan['readers']):,}"
    failed = sum(each["quality"] == "BAD" for each in plan.get("probe", ()))
    if plan.get("probe"):
        yield f"Trial reads: {len(plan['probe']):,}, {failed:,} failed"
    if plan.get("unknowns"):
        yield f"Not known: {counted(len(plan['unknowns']), 'part')}"


def _series(plan: PlanDocument) -> Iterator[str]:
    """Series that end or break, with the samples that are stored of them where the runtime counted."""
    scopes = {name: {each["scope"] for each in plan["hazards"] if each["name"] == name} for name in sorted(OF_SERIES)}
    if not any(scopes.values()):
        return
    measured = plan["measured"]["series"] if "measured" in plan else []
    found = [each for each in measured if any(each["path"] in paths for paths in scopes.values())]
    samples = sum(each["samples"] or 0 for each in found)
    about = "" if all(each["exact"] for each in found) else "about "
    yield f"Series: {len(scopes['data-loss']):,} lost, {len(scopes['series-break']):,} broken" + (
        f", with {about}{samples:,} samples" if found else ""
    )


def _parts(plan: PlanDocument) -> Iterator[Part]:
    """The most important first: what must be decided, what was found, then what changes and why it matters."""
    yield from _hazards(plan)
    for one in plan.get("policies", ()):
        yield Part(title=f"policy {one['name']}", text=_policy(one), folded=False)
    for each in plan["diagnostics"]:
        if each["severity"] != "info":
            text = f"**{each['severity']}[{each['code']}]** {prose(each['summary'])}"
            yield Part(title=each["code"], text=text, folded=False)
    if plan.get("renames"):
        text = f"**Renamed?** {RENAMED}\n\n{fenced(moved_block(plan), 'yaml')}"
        yield Part(title="Renamed?", text=text, folded=False)
    if plan["resource_changes"]:
        yield from _blocks(plan)
    if plan.get("aliases"):
        lines = [
            f"- {code(each['old'])}: no longer published"
            if each["action"] == "forget"
            else f"- {code(each['old'])} is published beside {code(each['to'])} for {each['for_ms'] / 3_600_000:g} h"
            for each in plan["aliases"]
        ]
        yield from _in_parts("Old paths", [[line] for line in lines], info=None)
    if plan.get("steps"):
        steps = [[f"{number}. {each['text']}"] for number, each in enumerate(plan["steps"], 1)]
        yield from _in_parts("Steps of apply", steps, info="text")


def _hazards(plan: PlanDocument) -> Iterator[Part]:
    """Those without consent, one part a name, with the option that consents."""
    by_name: dict[str, list[HazardEntry]] = {}
    for each in plan["hazards"]:
        if not each["allowed"]:
            by_name.setdefault(each["name"], []).append(each)
    count = sum(map(len, by_name.values()))
    heading = f"**{count:,} hazard{'s' * (count > 1)} without consent**\n\n"
    for name, found in by_name.items():
        groups = list(hazard_groups(found))
        lines = [
            f"- {code(name)} {prose(sentence)}"
            + (f" ({prose(group[0]['measured'])})" if len(group) == 1 and "measured" in group[0] else "")
            for sentence, group in groups[:MOST_HAZARDS]
        ]
        if len(groups) > MOST_HAZARDS:
            lines.append(f"- {code(name)} … and {sum(len(group) for _, group in groups[MOST_HAZARDS:]):,} more")
        lines.append(f"  consent: {code(f'--allow {consent(found, name)}')}")
        yield Part(title=f"hazards {name}", text=heading + "\n".join(lines), folded=False)
        heading = ""


def _policy(one: PolicyEntry) -> str:
    owner = f", owner: {prose(one['owner'])}" if one["owner"] else ""
    end = " **It can't be overridden.**" if one["blocking"] else ""
    lines = [f"- {code(path)}" for path in one["paths"][:MOST_PATHS]]
    if len(one["paths"]) > MOST_PATHS:
        lines.append(f"- … and {len(one['paths']) - MOST_PATHS:,} more")
    paths = Part(title=f"{len(one['paths']):,} × {one['subject']}", text="\n".join(lines))
    return f"**{prose(one['severity'])}: policy {code(one['name'])}**{owner}: {prose(one['message'])}{end}\n\n{paths}"


def _blocks(plan: PlanDocument) -> Iterator[Part]:
    """The blocks of the plan's text, each folded under its heading: changes first, then load, readers, rights and others."""
    allowed = [each for each in plan["hazards"] if each["allowed"]]
    shown = {**plan, "renames": [], "policies": [], "steps": [], "hazards": allowed}
    text = plan_text(shown, style=lambda part, style: f"\0{part}" if style == "bold" else part)  # type: ignore[arg-type]
    title, block = "Changes", list[list[str]]()
    lines = text.split("\n")
    end = {headline(plan), effect_line(plan.get("effect", ""))}
    for line in lines[lines.index("") :]:  # what is before it is in the head already
        if line.startswith("\0"):
            yield from _in_parts(title, block, info="diff")
            title, block = line.removeprefix("\0").rstrip(":"), []
            title = "Hazards with consent" if title == "Needs consent" else title
        elif not line.strip() or line in end:
            continue
        elif block and line.startswith("      "):
            block[-1].append(_diff_line(line))
        else:
            block.append([_diff_line(line)])
    yield from _in_parts(title, block, info="diff")


def _in_parts(title: str, blocks: Sequence[Sequence[str]], *, info: str | None) -> Iterator[Part]:
    """Lines that belong together as parts of about `MOST_OF_PART` characters; `info` None for finished Markdown."""
    pages: list[list[str]] = []
    size = MOST_OF_PART
    for block in blocks:
        length = sum(len(line) + 1 for line in block)
        if size + length > MOST_OF_PART:
            pages.append([])
            size = 0
        pages[-1] += block
        size += length
    for number, page in enumerate(pages, 1):
        name = title if len(pages) == 1 else f"{title}, {number} of {len(pages)}"
        yield Part(title=name, text="\n".join(page) if info is None else fenced(page, info))


def _diff_line(line: str) -> str:
    """Marks at the start of the line, where a diff block colours them."""
    stripped = line.lstrip()
    if stripped.startswith(("+ ", "- ")):
        return stripped[0] + line[1:].replace(stripped[0], " ", 1)
    if stripped.startswith("~ "):
        return "!" + line[1:].replace("~", " ", 1)
    return " " + line
