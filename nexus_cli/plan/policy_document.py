"""Violated policies as JSON and as text; the effect digest's line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypedDict

from nexus_cli.json_value import JsonObject
from nexus_cli.plan.policies import Violation

MOST_PATHS = 5
EFFECT_IS = "what an approval signs"
_STYLES = {"error": "error", "warning": "warning", "info": "info"}


class PolicyEntry(TypedDict):
    """A violated policy, see `plan.policies.Violation`; `blocking` where nothing allows it, `allowed` by a consent."""

    name: str
    severity: str
    owner: str
    message: str
    subject: str
    paths: list[str]
    recorded: bool
    overridable: bool
    blocking: bool


def policy_entries(violations: Sequence[Violation]) -> list[PolicyEntry]:
    """As JSON, in the order of the violations."""
    return [
        {
            "name": one.name,
            "severity": one.severity,
            "owner": one.owner,
            "message": one.message,
            "subject": one.subject,
            "paths": list(one.paths),
            "recorded": one.recorded,
            "overridable": one.overridable,
            "blocking": one.blocking,
        }
        for one in violations
    ]


def blocking_policies(violated: Iterable[PolicyEntry]) -> list[PolicyEntry]:
    """The violated policies that no consent overrides."""
    return [one for one in violated if one["blocking"]]


def policy_lines(violated: Sequence[PolicyEntry], style: Callable[[str, str], str]) -> Iterator[str]:
    """A block for a terminal; nothing where no policy is violated."""
    if violated:
        yield ""
        yield style("Violates policies:", "bold")
    for one in violated:
        end = "can't be overridden" if one["blocking"] else "needs consent" if one["severity"] == "error" else ""
        kept = ", on record" if one["recorded"] else ""
        owner = f" ({one['owner']})" if one["owner"] else ""
        yield f"  ! {style(one['severity'], _STYLES[one['severity']])} {one['name']}{owner}: {one['message']}" + (
            f" [{end}{kept}]" if end else ""
        )
        yield from (f"      {path}" for path in one["paths"][:MOST_PATHS])
        if len(one["paths"]) > MOST_PATHS:
            yield f"      … and {len(one['paths']) - MOST_PATHS:,} more (--format json shows all)"


def effect_line(effect: str) -> str:
    """`Effect: sha256:…`, and what it is for; "" for a plan of an older version."""
    return f"Effect: {effect}  ({EFFECT_IS})" if effect else ""


def policies_schema() -> JsonObject:
    """JSON Schema of the document's `policies`."""
    text = {"type": "string"}
    flag = {"type": "boolean"}
    properties: JsonObject = {
        "name": text,
        "severity": {"enum": ["error", "warning", "info"]},
        "owner": text,
        "message": text,
        "subject": {"enum": ["tag", "device", "change", "hazard", "plan"]},
        "paths": {"type": "array", "items": text, "minItems": 1},
        "recorded": flag,
        "overridable": flag,
        "blocking": flag,
    }
    return {
        "type": "array",
        "items": {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        },
        "description": "Policies that the plan violates, those on record and those that it declares.",
    }


EFFECT_SCHEMA: JsonObject = {
    "type": "string",
    "pattern": "^sha256:[0-9a-f]{64}$",
    "description": "What the plan does, whatever the files look like: approvals name it, `apply --effect` demands it.",
}
