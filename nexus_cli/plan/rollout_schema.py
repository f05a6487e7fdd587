"""JSON Schema of what a plan says of its waves, its windows and its part."""

from __future__ import annotations

from nexus_cli.json_value import JsonObject

_STRING = {"type": "string"}
_TEXTS = {"type": "array", "items": _STRING}
_COUNT = {"type": "integer", "minimum": 0}
_SHARE = {"type": ["number", "null"], "minimum": 0, "maximum": 1}


def _object(**properties: JsonObject) -> JsonObject:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def rollout_properties() -> JsonObject:
    """The optional keys `rollout` and `targets` of a plan."""
    wave = _object(name=_STRING, addresses=_TEXTS, devices=_COUNT, soak_ms=_COUNT)
    window = _object(
        address=_STRING,
        window=_STRING,
        hours=_STRING,
        open={"type": "boolean"},
        opens={"type": ["string", "null"]},
        text=_STRING,
    )
    rollout = _object(
        waves={"type": "array", "items": wave},
        gates=_object(good=_SHARE, missed_polls=_SHARE, alarms={"type": ["integer", "null"], "minimum": 0}),
        on_failure={"enum": ["stop", "rollback"]},
        windows={"type": "array", "items": window},
    )
    targets = _object(
        target=_TEXTS,
        exclude=_TEXTS,
        added={"type": "array", "items": _object(address=_STRING, because=_STRING)},
        left_out=_COUNT,
        files=_STRING,
    )
    return {
        "rollout": {
            **rollout,
            "description": "How it goes out: waves in order (none: all at once), gates, windows of what changes.",
        },
        "targets": {
            **targets,
            "description": "The part that --target and --exclude leave, with what it needs; files: digest of the whole.",
        },
    }
