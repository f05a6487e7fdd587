"""JSON Schema of `nexus adopt series --format json`, draft-07-safe like the others. Pure."""

from __future__ import annotations

from nexus_cli.discover.adopt.series import STATES
from nexus_cli.json_value import JsonObject

FORMAT_VERSION = "1.0"

_COUNT: JsonObject = {"type": "integer", "minimum": 0}
_MAYBE: JsonObject = {"type": ["integer", "null"]}


def _text(description: str) -> JsonObject:
    return {"type": "string", "description": description}


def _object(properties: JsonObject, description: str = "") -> JsonObject:
    said: JsonObject = {"description": description} if description else {}
    return {
        "type": "object",
        **said,
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _sums(description: str) -> JsonObject:
    return _object({"found": _COUNT, **dict.fromkeys(STATES, _COUNT)}, description)


def _entry() -> JsonObject:
    entry = _object(
        {
            "path": _text("Its last path."),
            "ulid": _text("Its id, which survives renames."),
            "type": _text("Of its newest segment."),
            "unit": _text("Of its newest segment; empty without one."),
            "retention": _text("Class that its samples belong to."),
            "active": {"type": "boolean", "description": "It was never forgotten: a row that was written by hand."},
            "protected": {"type": "boolean", "description": "Its samples are never dropped."},
            "samples": {**_MAYBE, "minimum": 0, "description": "Null where counting took too long."},
            "first": {**_MAYBE, "description": "Microseconds since 1970 UTC; null where there is none."},
            "last": {**_MAYBE, "description": "Microseconds since 1970 UTC; null where there is none."},
            "state": {"enum": list(STATES)},
            "becomes": _text("What it is then; empty of what is left."),
            "reason": _text("Why it is left; else what there is to say."),
        }
    )
    some: JsonObject = {"type": "string", "minLength": 1}
    return entry | {
        "if": {"properties": {"state": {"const": "left"}}},
        "then": {"properties": {"becomes": {"const": ""}, "reason": some}},
        "else": {"properties": {"becomes": some}},
    }


def series_adoption_schema() -> JsonObject:
    """The shape of what `series_document` makes."""
    after = _object({"series": _COUNT, "samples": _COUNT, "uncounted": _COUNT})
    elsewhere = _object({"site": _text("enterprise/site"), "series": _COUNT})
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "NEXUS adoption of series",
        "description": "Series that no site declares, and what becomes of each of them (`nexus adopt series`).",
        **_object(
            {
                "format_version": _text("Of this document."),
                "site": _text("enterprise/site"),
                "into": _text("The file of the site that is edited; empty where nothing changes."),
                "series": _sums("How many; `found` is the sum of the others."),
                "samples": _sums("Their samples; of series that were not counted none."),
                "uncounted": {**_COUNT, "description": "Series whose samples were not counted: it took too long."},
                "entries": {"type": "array", "items": _entry()},
                "elsewhere": {
                    "type": "array",
                    "items": elsewhere,
                    "description": "Sites of this database that are run no more; none of the entries is theirs.",
                },
                "diff": _text("The edit as a unified diff; empty where nothing changes."),
                "written": {"type": "boolean", "description": "Whether it was carried out."},
                "settled": _object({"forgotten": _COUNT, "kept": _COUNT}, "What control did."),
                "after": {
                    "anyOf": [{"type": "null"}, after],
                    "description": "What is undeclared afterwards, as the database says; null before.",
                },
                "notes": {"type": "array", "items": {"type": "string"}},
            }
        ),
    }
