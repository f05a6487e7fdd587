"""Templates and defaults in the plan as JSON: their entries, the JSON Schema of these, and the way to control and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from nexus_cli.json_value import JsonObject
from nexus_cli.plan.defaults import LEVELS, DefaultsReach
from nexus_cli.plan.reach import Reached
from nexus_cli.plan.templates import TemplateReach
from nexus_cli.wire.reach import MOST_PLACES, Reach, SentDefaults, SentReach, SentTemplate


class ReachEntry(TypedDict):
    """What happens to the devices that one text reaches, see `plan.reach.Reached`; every device that changes is named."""

    devices: list[str]
    unchanged: int
    tags: int
    actions: dict[str, int]
    restarts: int
    text: str


class TemplateEntry(ReachEntry):
    """Of one template."""

    template: str


class DefaultsEntry(ReachEntry):
    """Of one place that hands values down, see `plan.defaults.DefaultsReach`."""

    level: str
    path: str
    keys: list[str]


def _entry(found: Reached) -> ReachEntry:
    return {
        "devices": list(found.devices),
        "unchanged": found.unchanged,
        "tags": found.tags,
        "actions": dict(found.actions),
        "restarts": found.restarts,
        "text": found.text,
    }


def template_entry(each: TemplateReach) -> TemplateEntry:
    """One template as JSON."""
    return {"template": each.template, **_entry(each.reached)}


def defaults_entry(each: DefaultsReach) -> DefaultsEntry:
    """One place as JSON."""
    return {"level": each.level, "path": each.path, "keys": list(each.keys), **_entry(each.reached)}


def reach_of(templates: Sequence[TemplateEntry], defaults: Sequence[DefaultsEntry]) -> Reach | None:
    """What is sent with a deployment; None when there is nothing of it."""
    if not templates and not defaults:
        return None
    return Reach(
        templates=[SentTemplate(template=each["template"], **_sent(each)) for each in templates[:MOST_PLACES]],
        defaults=[
            SentDefaults(level=each["level"], path=each["path"], keys=each["keys"], **_sent(each))
            for each in defaults[:MOST_PLACES]
        ],
    )


def received(reach: Reach) -> tuple[tuple[TemplateReach, ...], tuple[DefaultsReach, ...]]:
    """Templates and defaults of a deployment on record."""
    return (
        tuple(TemplateReach(template=each.template, reached=_reached(each)) for each in reach.templates),
        tuple(
            DefaultsReach(level=each.level, path=each.path, keys=tuple(each.keys), reached=_reached(each))
            for each in reach.defaults
        ),
    )


def _sent(entry: ReachEntry) -> JsonObject:
    return {
        "devices": entry["devices"],
        "unchanged": entry["unchanged"],
        "tags": entry["tags"],
        "actions": entry["actions"],
        "restarts": entry["restarts"],
    }


def _reached(sent: SentReach) -> Reached:
    return Reached(
        devices=tuple(sent.devices),
        unchanged=sent.unchanged,
        tags=sent.tags,
        actions=sent.actions,
        restarts=sent.restarts,
    )


def reach_schemas() -> JsonObject:
    """JSON Schema of the keys `templates` and `defaults` of a plan."""
    text: JsonObject = {"type": "string"}
    count: JsonObject = {"type": "integer", "minimum": 0}
    texts: JsonObject = {"type": "array", "items": text}
    reach: JsonObject = {
        "devices": texts,
        "unchanged": count,
        "tags": count,
        "actions": {"type": "object", "additionalProperties": count},
        "restarts": {**count, "description": "Sessions that are set up again; devices on one link share one."},
        "text": text,
    }
    place: JsonObject = {
        "level": {"enum": list(LEVELS), "description": "`built-in`: no text gives the value any more."},
        "path": {**text, "description": "The area or line; empty for the others."},
        "keys": {**texts, "description": "Inherited keys whose value changes, as they are written."},
    }
    return {
        "templates": list_of(
            {"template": text, **reach}, "What happens to the devices of each template that has changed ones."
        ),
        "defaults": list_of(
            {**place, **reach}, "What happens to the devices that inherit a value that changes, by who hands it down."
        ),
    }


def list_of(keys: JsonObject, description: str) -> JsonObject:
    """JSON Schema of a list of objects that have all of these keys."""
    one: JsonObject = {
        "type": "object",
        "properties": keys,
        "required": list(keys),
        "additionalProperties": False,
    }
    return {"type": "array", "items": one, "description": description}
