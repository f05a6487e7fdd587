"""JSON Schemas of the keys of a plan that have what was measured, what was tried and what is not known."""

from __future__ import annotations

from nexus_cli.json_value import JsonObject, JsonValue

_STRING: JsonObject = {"type": "string"}
_COUNT: JsonObject = {"type": "integer", "minimum": 0}
_COUNT_OR_NONE: JsonObject = {"type": ["integer", "null"], "minimum": 0}
_MS_OR_NONE: JsonObject = {"type": ["number", "null"], "minimum": 0}
_TIME_OR_NONE: JsonObject = {"type": ["string", "null"]}
_STRINGS: JsonObject = {"type": "array", "items": _STRING}


def _object(required: JsonObject, optional: JsonObject | None = None, *, description: str = "") -> JsonObject:
    names: list[JsonValue] = list(required)
    found: JsonObject = {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": names,
        "additionalProperties": False,
    }
    return {"description": description, **found} if description else found


def _list_of(item: JsonObject, description: str = "") -> JsonObject:
    found: JsonObject = {"type": "array", "items": item}
    return {**found, "description": description} if description else found


def measured_schemas() -> JsonObject:
    """The schemas of `measured`, `probe`, `unreachable` and `unknowns`, by key."""
    series = _object(
        {
            "path": _STRING,
            "samples": _COUNT_OR_NONE,
            "exact": {"type": "boolean", "description": "False for an estimate."},
            "first": _TIME_OR_NONE,
            "last": _TIME_OR_NONE,
            "bytes": {**_COUNT_OR_NONE, "description": "With its part of the index; always an estimate."},
            "text": _STRING,
        }
    )
    link = _object(
        {
            "link": _STRING,
            "gateway": _STRING,
            "state": _STRING,
            "devices": _COUNT,
            "answering": _COUNT,
            "cycle_ms": {**_MS_OR_NONE, "description": "The longest of the newest poll turns."},
            "requests": {**_COUNT_OR_NONE, "description": "Of that turn."},
            "time_per_request_ms": _MS_OR_NONE,
            "connect_ms": _MS_OR_NONE,
            "text": _STRING,
        }
    )
    database = _object(
        {
            "revision": {"type": ["string", "null"]},
            "head": _STRING,
            "pending": _STRINGS,
            "policies": {"enum": ["server", "historian"], "description": "Who drops samples that are too old."},
            "tables": {**_STRINGS, "description": "Retention classes without a table yet."},
            "text": _STRING,
        }
    )
    clients = _list_of(_object({"user": _STRING, "clients": _COUNT, "connected": _COUNT}))
    broker = _object(
        {
            "retained": {**_COUNT, "description": "Retained messages that go, by the recorded state."},
            "subscribers": {
                **_COUNT_OR_NONE,
                "description": "Clients that subscribe to topics that end; null where the broker does not report them.",
            },
        },
        {
            "clients": {**clients, "description": "These clients by user."},
            "stale": {**clients, "description": "Sessions of those who lose a right, by principal."},
        },
    )
    read = _object(
        {
            "path": _STRING,
            "address": _STRING,
            "device": _STRING,
            "link": _STRING,
            "value": {"description": "As it would be published; null where there is none."},
            "quality": {"enum": ["GOOD", "UNCERTAIN", "BAD"]},
            "status": {"type": "integer", "description": "The protocol's own code; 0 for none."},
            "type": _STRING,
            "bytes": {"type": "string", "description": "Hexadecimal, as received."},
            "text": _STRING,
        }
    )
    return {
        "measured": _object(
            {"series": _list_of(series), "links": _list_of(link), "broker": broker},
            {"database": database},
            description="What the runtime counted of the things that change.",
        ),
        "probe": _list_of(read, "Trial reads of new and changed addresses (`--probe`)."),
        "unreachable": _list_of(
            _object(
                {
                    "gateways": _STRINGS,
                    "refused": {"type": "boolean", "description": "True where apply refuses (NX5040)."},
                    "text": _STRING,
                }
            ),
            "What control can't reach of what the plan needs, when it was asked.",
        ),
        "unknowns": {**_STRINGS, "description": "What is not known, and why."},
    }
