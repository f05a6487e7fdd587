"""The JSON Schema of what `nexus adopt --format json` answers, draft-07-safe like the others. Pure."""

from __future__ import annotations

from typing import get_args

from nexus_cli.discover.adopt.entries import LEFT, State
from nexus_cli.json_value import JsonObject

FORMAT_VERSION = "1.0"

_STATES = get_args(State)
_STRING: JsonObject = {"type": "string"}


def adoption_schema() -> JsonObject:
    """The shape of an adoption.

    A schema can't say that `counts.found` is the sum of the others and the length of `entries`; its description does.
    What is left has a reason and becomes nothing; what is not left becomes something.
    """
    entry = _object(
        {
            "what": _named("A rule, a user or a topic, as its source has it."),
            "state": {"enum": list(_STATES), "description": "`present`: the site has it already."},
            "becomes": _named("What it is in the site; empty for what is left."),
            "reason": _named("Why it is left, or what of it is."),
        }
    )
    entry |= {
        "if": {"properties": {"state": {"const": LEFT}}},
        "then": {"properties": {"becomes": {"const": ""}, "reason": {"minLength": 1}}},
        "else": {"properties": {"becomes": {"minLength": 1}}},
    }
    counted = _object({key: {"type": "integer", "minimum": 0} for key in ("found", *_STATES)})
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "NEXUS adoption",
        "description": "What `nexus adopt --format json` answers: one entry for each thing that was found.",
        **_object(
            {
                "format_version": _STRING,
                "source": _named("Where it comes from, for people."),
                "into": _named("The file that is edited; empty if nothing changes."),
                "counts": {**counted, "description": "`found` is the number of entries and the sum of the others."},
                "entries": {"type": "array", "items": entry},
                "diff": _named("Unified diff of the file; empty if nothing changes."),
                "written": {"type": "boolean", "description": "The file was written, not only shown."},
                "notes": {"type": "array", "items": _STRING, "description": "What to do next, for people."},
            }
        ),
    }


def _named(text: str) -> JsonObject:
    return {**_STRING, "description": text}


def _object(properties: JsonObject) -> JsonObject:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
