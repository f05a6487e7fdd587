"""Sequences that a plan runs, as JSON and as text: its key `actions`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypedDict

from nexus_cli.json_value import JsonObject
from nexus_cli.model.actions import AFTER, BEFORE
from nexus_cli.plan.actions import Bound, PlannedAction, action_sentence

MOST_ACTIONS = 20
MOST_STEPS = 12


class ActionEntry(TypedDict):
    """One sequence that apply runs, see `plan.actions.PlannedAction`."""

    sequence: str
    when: str
    because: list[str]
    steps: list[str]
    writes: list[str]


def action_entries(actions: Sequence[PlannedAction]) -> list[ActionEntry]:
    """The actions of a plan as JSON, in the order in which they run."""
    return [
        {
            "sequence": one.bound.sequence,
            "when": one.bound.when,
            "because": list(one.bound.because),
            "steps": list(one.steps),
            "writes": list(one.writes),
        }
        for one in actions
    ]


def actions_schema() -> JsonObject:
    """JSON Schema of the key `actions`."""
    text: JsonObject = {"type": "string"}
    texts: JsonObject = {"type": "array", "items": text}
    keys = {"sequence": text, "when": {"enum": [BEFORE, AFTER]}, "because": texts, "steps": texts, "writes": texts}
    return {
        "type": "array",
        "items": {"type": "object", "properties": keys, "required": list(keys), "additionalProperties": False},
        "description": "Sequences that apply runs before and after devices change; `because` names these devices.",
    }


def action_lines(actions: Sequence[ActionEntry], style: Callable[[str, str], str]) -> Iterator[str]:
    """The block of a plan's text; nothing where no sequence runs."""
    if not actions:
        return
    yield from ("", style("Sequences that run:", "bold"))
    for one in actions[:MOST_ACTIONS]:
        bound = Bound(sequence=one["sequence"], when=one["when"], because=tuple(one["because"]))
        yield f"  {action_sentence(bound).removeprefix('sequence ')}"
        for number, step in enumerate(one["steps"][:MOST_STEPS], 1):
            yield f"      {number}. {step}"
        if len(one["steps"]) > MOST_STEPS:
            yield f"      … and {len(one['steps']) - MOST_STEPS} more (--format json shows all)"
    if len(actions) > MOST_ACTIONS:
        yield f"  … and {len(actions) - MOST_ACTIONS} more (--format json shows all)"
