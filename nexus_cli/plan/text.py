"""A plan as text for people; rendered from its JSON form."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec
import orjson

from nexus_cli.diagnostics.wording import counted, duration
from nexus_cli.model.config import TagConfig
from nexus_cli.plan.action_document import action_lines
from nexus_cli.plan.approvals import approvals_lines
from nexus_cli.plan.change import Attributes
from nexus_cli.plan.consents import consent_to
from nexus_cli.plan.document import ChangeEntry, HazardEntry, ImpactEntry, PlanDocument, TagEntry
from nexus_cli.plan.policy_document import effect_line, policy_lines
from nexus_cli.plan.rollout_document import rollout_lines, targets_lines
from nexus_cli.plan.text_groups import (
    MOST_GROUPS,
    SINGLE_HAZARDS,
    alike,
    hazard_groups,
    impact_lines,
    places,
)
from nexus_cli.plan.text_impact import impact_blocks
from nexus_cli.plan.text_measured import measured_blocks
from nexus_cli.plan.text_rights import rights_lines

Style = Callable[[str, str], str]

MARKS = {"create": "+", "update": "~", "move": "->", "forget": "-"}
STYLES = {"create": "good", "update": "warning", "move": "info", "forget": "error"}
FOLD_ABOVE = 25
"""New or vanished devices of one line are folded into one row when a plan has more of them than this."""
MOST_TAGS = 20
MOST_HAZARDS = 40
MOST_RENAMES = 40
RENAMED = "An address is removed under one name and added under another. To keep its history, write:"
LONG = 40
"""Lines; a longer plan repeats its summary at the top."""
WIDTH = 60
NOTHING: Mapping[str, object] = {}
_PLAIN: Mapping[str, object] = msgspec.structs.asdict(TagConfig(type=""))
EFFECTIVE = {
    key: _PLAIN[key] for key in ("poll_ms", "mode", "scale", "retention", "live_qos", "live_retain", "live_publish")
}
"""What a tag has that says nothing else, by key: where `none` would be wrong, because something counts."""
FOLLOWERS = {"published_type": "type", "publish_unit": "unit"}


def plan_text(plan: PlanDocument, *, style: Style, steps: bool = False, between: tuple[str, str] | None = None) -> str:
    """The plan for a terminal.

    Args:
        plan: As `plan_document` makes it.
        style: Colours a text by a style's name, or leaves it.
        steps: Also the steps of apply; a plan of an older version has none.
        between: The names of two states that were compared, instead of what apply would do.
    """
    if between is None:
        lines = [style(f"Plan for {plan['site']}", "bold") + f" against {_base(plan)}", ""]
        nothing = "Nothing to do: what is recorded is what is declared."
    else:
        lines = [style(f"Difference of {plan['site']}", "bold") + f" from {between[0]} to {between[1]}", ""]
        nothing = "No difference."
    if not plan["resource_changes"]:
        lines += [nothing]
    impacts: dict[str, list[ImpactEntry]] = defaultdict(list)
    for impact in plan["impact"]:
        impacts[impact["address"]].append(impact)
    folded, shown = _fold(plan["resource_changes"])
    changed = [change for change in shown if change["type"] == "device" and action_of(change) == "update"]
    if len(changed) > FOLD_ABOVE:
        together = {change["address"] for change in changed}
        shown = [change for change in shown if change["address"] not in together]
        lines += _alike(changed, impacts, style)
    for change in shown:
        lines += change_lines(change, impacts[change["address"]], style)
    for (action, line), (devices, tags) in sorted(folded.items()):
        mark = style(MARKS[action], STYLES[action])
        lines.append(f"  {mark} device.{line}/* ({counted(devices, 'device')}, {counted(tags, 'tag')})")
    lines += impact_blocks(plan, style)
    lines += measured_blocks(plan, style)
    lines += action_lines(plan.get("actions") or [], style)
    lines += rights_lines(plan, style)
    lines += _hazards(plan["hazards"], style)
    lines += policy_lines(plan.get("policies", ()), style)
    lines += approvals_lines(plan.get("approvals"), style)
    lines += _renames(plan, style)
    lines += targets_lines(plan.get("targets"), style)
    lines += rollout_lines(plan.get("rollout"), style)
    if steps and plan.get("steps"):
        lines += ["", style("Steps of apply:", "bold")]
        lines += [f"  {number}. {each['text']}" for number, each in enumerate(plan["steps"], 1)]
    if plan["resource_changes"]:
        if len(lines) > LONG or len(plan["resource_changes"]) > FOLD_ABOVE:
            lines[1:1] = [headline(plan), *_reach(plan)]
        lines += ["", *filter(None, [effect_line(plan.get("effect", ""))]), headline(plan)]
    return "\n".join(lines)


def _reach(plan: PlanDocument) -> Iterator[str]:
    """The extent of a long plan and the consents that it needs, for readers of its first lines only."""
    touched = dict.fromkeys((impact["plane"], impact["address"]) for impact in plan["impact"])
    planes = Counter(plane for plane, _ in touched)
    if planes:
        yield "Changes with impact on: " + ", ".join(f"{plane} {count:,}" for plane, count in planes.items()) + "."
    names = Counter(hazard["name"] for hazard in plan["hazards"] if not hazard["allowed"])
    if names:
        yield "Needs consent: " + ", ".join(f"{name} {count:,}" for name, count in names.items()) + "; see below."


def _alike(changed: Sequence[ChangeEntry], impacts: Mapping[str, Sequence[ImpactEntry]], style: Style) -> Iterator[str]:
    """Changed devices, one block for all that change alike; beyond `MOST_GROUPS` kinds of change only counts."""

    def block(change: ChangeEntry) -> list[str]:
        found = impacts.get(change["address"], ())
        return [*list(change_lines(change, (), lambda text, _: text))[1:], *impact_lines(found, name=change["name"])]

    groups = alike(changed, block)
    mark = style(MARKS["update"], STYLES["update"])
    for first, group in groups[:MOST_GROUPS]:
        if len(group) == 1:
            yield from change_lines(first, impacts.get(first["address"], ()), style)
            continue
        yield f"  {mark} {counted(len(group), 'device')} alike: {places(one['name'] for one in group)}"
        yield from list(change_lines(first, (), style))[1:]
        for line in impact_lines(impacts.get(first["address"], ()), name=first["name"]):
            yield style(f"      each: {line}", "dim")
    rest = [one for _, group in groups[MOST_GROUPS:] for one in group]
    if rest:
        tags = sum(len(one["tags"]) for one in rest)
        yield f"  {mark} {counted(len(rest), 'device')} more ({counted(tags, 'tag')}): {places(one['name'] for one in rest)}"
        yield "      (--format json shows all)"


def headline(plan: PlanDocument) -> str:
    """`Plan: 2 to create, 1 to update …`, with the tags."""
    words = {"create": "to create", "update": "to update", "move": "to move", "forget": "to forget"}
    summary = plan["summary"]
    resources = ", ".join(f"{summary[action]} {word}" for action, word in words.items() if summary[action])
    tags = ", ".join(
        f"{summary['tags_' + action]} {word}" for action, word in words.items() if summary["tags_" + action]
    )
    return f"Plan: {resources or 'nothing'}" + (f" (tags: {tags})" if tags else "") + "."


def value_text(value: object) -> str:
    """A value in one short piece."""
    if value is None:
        return "none"
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"


def spelt(key: str, value: object) -> str:
    """A value as a site says it: durations with their unit."""
    return duration(value) if key.endswith("_ms") and isinstance(value, int) else value_text(value)


def differences(
    before: Attributes, after: Attributes, keys: Sequence[str], *, effective: Mapping[str, object] = NOTHING
) -> Iterator[str]:
    """`key: old -> new` for each differing key; mappings one level deep.

    Args:
        before, after: Both sides.
        keys: Those that differ.
        effective: What counts where a side says nothing, by key; shown as inherited.
    """
    for key in keys:
        if key in effective and not (key in before and key in after):
            sides = [side[key] if key in side else effective[key] for side in (before, after)]
            marks = ["" if key in side else " (inherited)" for side in (before, after)]
            texts = [spelt(key, value) + mark for value, mark in zip(sides, marks, strict=True)]
            yield f"{key.removesuffix('_ms')}: {' -> '.join(texts)}"
            continue
        old, new = before.get(key), after.get(key)
        if isinstance(old, Mapping) or isinstance(new, Mapping):
            old, new = old or {}, new or {}
            for inner in sorted({*old, *new}):
                if old.get(inner) != new.get(inner):
                    yield f"{key}.{inner}: {value_text(old.get(inner))} -> {value_text(new.get(inner))}"
        else:
            yield f"{key.removesuffix('_ms')}: {spelt(key, old)} -> {spelt(key, new)}"


def _base(plan: PlanDocument) -> str:
    number = plan["base"]["deployment"]
    return f"deployment {number}" if number else "an empty runtime"


def _fold(changes: Sequence[ChangeEntry]) -> tuple[dict[tuple[str, str], tuple[int, int]], list[ChangeEntry]]:
    """New and removed devices by action and line when there are many, and the changes that are shown one by one."""
    whole = [change for change in changes if change["type"] == "device" and action_of(change) in ("create", "forget")]
    many = {action for action, count in Counter(action_of(change) for change in whole).items() if count > FOLD_ABOVE}
    folded: dict[tuple[str, str], tuple[int, int]] = {}
    shown = []
    for change in changes:
        action = action_of(change)
        if change["type"] != "device" or action not in many:
            shown.append(change)
            continue
        key = (action, change["name"].rpartition("/")[0])
        devices, tags = folded.get(key, (0, 0))
        folded[key] = (devices + 1, tags + len(change["tags"]))
    return folded, shown


def change_lines(
    change: ChangeEntry, impacts: Sequence[ImpactEntry], style: Style, *, most_tags: int = MOST_TAGS
) -> Iterator[str]:
    """One change, its heading first, with at most so many of its tags, and what it brings."""
    action = action_of(change)
    mark = style(MARKS[action], STYLES[action])
    tags: Sequence[TagEntry] = change.get("tags", ())
    if action == "move":
        yield f"  {mark} {change['address']} (was {change['previous_address']})"
    elif action in ("create", "forget") and tags:
        yield f"  {mark} {change['address']} ({counted(len(tags), 'tag')})"
    else:
        yield f"  {mark} {change['address']}"
    inner = change["change"]
    if inner["before"] is not None and inner["after"] is not None:
        for difference in differences(inner["before"], inner["after"], inner["keys"]):
            yield f"      {difference}"
        for tag in tags[:most_tags]:
            yield from _tag(tag, style)
        if len(tags) > most_tags:
            yield f"      … and {counted(len(tags) - most_tags, 'tag')} more (--format json shows all)"
    for line in impact_lines(impacts):
        yield style(f"      {line}", "dim")


def _tag(tag: TagEntry, style: Style) -> Iterator[str]:
    inner = tag["change"]
    action = inner["actions"][0]
    name = tag["address"].rpartition("/")[2]
    mark = style(MARKS[action], STYLES[action])
    if action == "move":
        name = f"{name} (was {tag['previous_address'].removeprefix('tag.')})"
    before, after = inner.get("before"), inner.get("after")
    if before is None or after is None:
        yield f"      {mark} {name}"
        return
    found = list(differences(before, after, _telling(before, after, inner["keys"]), effective=EFFECTIVE))
    yield f"      {mark} {name}" + (f"  {'; '.join(found)}" if found else "")


def _telling(before: Attributes, after: Attributes, keys: Sequence[str]) -> list[str]:
    """The keys that differ, without those that only follow another: `publish_unit` where no other than `unit` is."""
    same = {
        key
        for key, source in FOLLOWERS.items()
        if source in keys and all(side.get(key) == side.get(source) for side in (before, after))
    }
    return [key for key in keys if key not in same]


def _hazards(hazards: Sequence[HazardEntry], style: Style) -> Iterator[str]:
    if not hazards:
        return
    yield ""
    yield style("Needs consent:", "bold")
    by_name: dict[str, list[HazardEntry]] = defaultdict(list)
    for hazard in hazards:
        by_name[hazard["name"]].append(hazard)
    for name, found in by_name.items():
        groups = list(hazard_groups(found))
        for sentence, group in groups[:MOST_HAZARDS]:
            allowed = all(hazard["allowed"] for hazard in group)
            state = style("allowed", "good") if allowed else style("not allowed", "error")
            counts = f" ({group[0]['measured']})" if len(group) == 1 and "measured" in group[0] else ""
            yield f"  ! {name}: {sentence}{counts} [{state}]"
            if not allowed and len(found) > SINGLE_HAZARDS:
                yield f"      consent: --allow {consent(group, name)}"
        if len(groups) > MOST_HAZARDS:
            yield f"  ! {name}: … and {sum(len(group) for _, group in groups[MOST_HAZARDS:]):,} more"
        if not all(hazard["allowed"] for hazard in found):
            every = " for all of them" if len(groups) > 1 else ""
            yield f"    consent{every}: --allow {consent(found, name)}"


def _renames(plan: PlanDocument, style: Style) -> Iterator[str]:
    """The block to paste when a removed and an added tag are most likely the same."""
    if plan.get("renames"):
        yield ""
        yield style("Renamed?", "bold") + f" {RENAMED}"
        yield from (f"  {line}" for line in moved_block(plan))


def moved_block(plan: PlanDocument) -> Iterator[str]:
    """`moved:` with the renames that are not declared, as it is written in a site file."""
    renames = plan["renames"]
    yield "moved:" if not plan["moved"] else "moved:   # add to the list that is there"
    yield from (f"  - {{from: {old}, to: {new}}}" for old, new in renames[:MOST_RENAMES])
    if len(renames) > MOST_RENAMES:
        yield f"  # … and {len(renames) - MOST_RENAMES:,} more (--format json shows all)"


def consent(hazards: Sequence[HazardEntry], name: str) -> str:
    """The `--allow` value that consents to all hazards of this name, and to as little else as a glob permits; of a few
    principals one each."""
    return consent_to(name, [hazard["scope"] for hazard in hazards if hazard["name"] == name])


def action_of(change: ChangeEntry) -> str:
    """`create`, `update`, `move` or `forget`."""
    return str(change["change"]["actions"][0])
