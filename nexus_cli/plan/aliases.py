"""The old paths that a plan begins, changes or ends to publish under (`keep_old_for`). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from nexus_cli.model.alias_config import covered, under
from nexus_cli.plan.change import Action, Change


class AliasEntry(TypedDict):
    """One old path; the time counts from the apply on. `action` is `create`, `update` or `forget` (it ends)."""

    old: str
    to: str
    for_ms: int
    action: str


def alias_entries(changes: Iterable[Change]) -> list[AliasEntry]:
    """In the order of the changes; of one that ends what was recorded."""
    found: list[AliasEntry] = []
    for change in changes:
        if change.type == "alias":
            said = change.after or change.before or {}
            found.append(
                {
                    "old": change.name,
                    "to": str(said.get("to", "")),
                    "for_ms": int(said.get("for_ms", 0)),
                    "action": change.action.value,
                }
            )
    return found


def begun(changes: Iterable[Change]) -> dict[str, str]:
    """Present path by old path, of what is published under an old one from now on."""
    return {each["old"]: each["to"] for each in alias_entries(changes) if each["action"] != Action.FORGET}


def stays_under(old: str, new: str, aliases: Mapping[str, str]) -> bool:
    """Whether values of `new` are published under `old`, too; `aliases` as `begun` gives them."""
    return any(covered(to, new) and under(new, new=to, old=was) == old for was, to in aliases.items())


def alias_schema() -> dict[str, Any]:
    """As a JSON Schema."""
    text = {"type": "string"}
    fields = {"old": text, "to": text, "for_ms": {"type": "integer", "minimum": 0}, "action": text}
    return {
        "type": "array",
        "items": {
            "type": "object",
            "properties": fields,
            "required": list(fields),
            "additionalProperties": False,
        },
        "description": "Old paths under which values are published for a while, from the apply on; `forget` ends one.",
    }
