"""JSON Schema of `nexus adopt … --format json`, draft-07-safe like the others. Pure."""

from __future__ import annotations

from nexus_cli.discover.adopt.entries import ADOPTED, LEFT, PRESENT
from nexus_cli.json_value import JsonObject

FORMAT_VERSION = "1.0"

_COUNT: JsonObject = {"type": "integer", "minimum": 0}


def _text(description: str) -> JsonObject:
    return {"type": "string", "description": description}


def _object(properties: JsonObject) -> JsonObject:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def adoption_schema() -> JsonObject:
    """The shape of what `adoption_document` makes: what is left has a reason and no place, everything else has a place."""
    entry = _object(
        {
            "what": _text("A rule, a user or a topic, as its source has it."),
            "state": {"enum": [ADOPTED, PRESENT, LEFT]},
            "becomes": _text("What it is in the site; empty of what is left."),
            "reason": _text("Why it is left out, or what of it is; empty otherwise."),
        }
    )
    some: JsonObject = {"type": "string", "minLength": 1}
    entry |= {
        "if": {"properties": {"state": {"const": LEFT}}},
        "then": {"properties": {"becomes": {"const": ""}, "reason": some}},
        "else": {"properties": {"becomes": some}},
    }
    found = _object({"found": _COUNT, ADOPTED: _COUNT, PRESENT: _COUNT, LEFT: _COUNT})
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "NEXUS adoption",
        "description": "What `nexus adopt` found, and what became of each thing.",
        **_object(
            {
                "format_version": _text("Of this document."),
                "source": _text("A file and its broker, or an address."),
                "into": _text("The file of the site that is edited; empty where nothing changes."),
                "counts": {**found, "description": "`found` is the sum of the others, and the number of entries."},
                "entries": {"type": "array", "items": entry},
                "diff": _text("The edit as a unified diff; empty where nothing changes."),
                "written": {"type": "boolean", "description": "Whether the file was written."},
                "notes": {"type": "array", "items": {"type": "string"}},
            }
        ),
    }
