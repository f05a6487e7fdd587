"""JSON Schemas of every message on the wire (draft-07); `nexus schema` writes them to `schemas/`."""

from __future__ import annotations

from typing import Any

from nexus_cli.wire.command import ID_PATTERN, State
from nexus_cli.wire.frame import GapReason
from nexus_cli.wire.sample import REASONS, Quality

Schema = dict[str, Any]

DRAFT = "http://json-schema.org/draft-07/schema#"
_VALUE: Schema = {
    "description": "The value: a scalar, an array, a structure, or null when it is BAD. 64-bit integers beyond 2^53 are strings on tag topics."
}
_EPOCH: Schema = {"type": "string", "minLength": 1, "description": "Names one life of an outbox (a ULID)."}
_INSTANCE: Schema = {
    "type": "string",
    "description": "Names the process (a ULID made at its start): of two under one name only one works.",
}
_SEQ: Schema = {
    "type": "integer",
    "minimum": 1,
    "description": "Rising by one within the epoch, frames and gaps together.",
}
_MICROSECONDS: Schema = {"type": "integer", "description": "Microseconds since 1970 UTC."}
_MILLISECONDS: Schema = {"type": "integer", "description": "Milliseconds since 1970 UTC."}
_QUALITY: Schema = {"enum": [quality.name for quality in Quality]}
_REASON: Schema = {"enum": [reason.value for reason in REASONS]}
_DIGEST: Schema = {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}
_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}


def _map(of: Schema) -> Schema:
    return {"type": "object", "additionalProperties": of}


def _object(
    title: str, description: str, required: dict[str, Schema], optional: dict[str, Schema] | None = None
) -> Schema:
    return {
        "$schema": DRAFT,
        "title": title,
        "description": description,
        "type": "object",
        "required": list(required),
        "properties": {**required, **(optional or {})},
    }


def message_schemas() -> dict[str, Schema]:
    """Every message by its file name without `.schema.json`."""
    return {**_record(), **_live(), **_configuration(), **_commands(), **_browsing()}


def _record() -> dict[str, Schema]:
    quality = {"type": "array", "minItems": 3, "maxItems": 3, "description": "[quality, reason or null, protocol code]"}
    pair = {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}
    ranges: Schema = {"type": "array", "items": pair, "description": "Disjoint, ascending, inclusive."}
    return {
        "frame": _object(
            "Frame",
            "The samples of one device and one moment: _nexus/{enterprise}/{site}/data/{gateway}/{area}/{line}/{device}",
            {"epoch": _EPOCH, "seq": _SEQ, "time": _MICROSECONDS, "samples": _map(_VALUE)},
            {"quality": _map(quality), "source_time": _map(_MICROSECONDS)},
        ),
        "gap": _object(
            "Gap",
            "Samples that are known to be missing: _nexus/{enterprise}/{site}/gap/{gateway}",
            {"epoch": _EPOCH, "seq": _SEQ, "device": _TEXT, "start": _MICROSECONDS, "end": _MICROSECONDS},
            {"frames": _COUNT, "reason": {"enum": [reason.value for reason in GapReason]}},
        ),
        "committed": _object(
            "Committed",
            "The historian's receipt, retained: _nexus/{enterprise}/{site}/committed/{gateway}",
            {
                "epoch": _EPOCH,
                "ranges": ranges,
            },
            {
                "earlier": {
                    "type": "array",
                    "maxItems": 7,
                    "description": "The newest ranges of the lives of the disk log before.",
                    "items": {
                        "type": "object",
                        "required": ["epoch", "ranges"],
                        "properties": {"epoch": _EPOCH, "ranges": ranges},
                    },
                }
            },
        ),
    }


def _clock() -> Schema:
    """A gateway's clock."""
    return {
        "type": "object",
        "properties": {
            "synchronised": {"type": ["boolean", "null"], "description": "null: nobody can be asked."},
            "by": {"enum": ["system", "setting", ""], "description": "Who says so."},
            "error_us": {**_COUNT, "description": "The largest error that the operating system reckons with."},
            "steps": {**_COUNT, "description": "Steps of the machine's clock over 1 s."},
            "last_step_us": {"type": "integer"},
            "ahead_us": {"type": "integer", "description": "Gateway time ahead of the machine's clock."},
            "turns": {**_COUNT, "description": "How often gateway time was set back."},
            "refused_floor_us": {"type": "integer", "description": "A last time on disk that can't be; 0: none."},
            "doubt": {
                "type": "string",
                "description": "Why samples are UNCERTAIN clock_unsynchronised; empty: they are not.",
            },
            "doubtful_since": _MICROSECONDS,
        },
    }


def _live() -> dict[str, Schema]:
    health = _object(
        "Health",
        "One process, retained, with a last will: _nexus/{enterprise}/{site}/health/{role}/{name}",
        {
            "state": {
                "enum": ["running", "waiting", "stopping", "lost"],
                "description": "waiting: another process of this name works; such a message is not retained.",
            }
        },
        {
            "time": _MICROSECONDS,
            "instance": _INSTANCE,
            "host": {**_TEXT, "description": "Name of the machine."},
            "pid": _COUNT,
            "term": {**_MICROSECONDS, "description": "When this gateway took its name over from another instance."},
            "accounted_since": {
                **_MICROSECONDS,
                "description": "Of a gateway: it declares what it did not read since then; 0 for always.",
            },
            "version": _TEXT,
            "role": {"enum": ["control", "gateway", "historian"]},
            "name": _TEXT,
            "links": _map(
                {
                    "type": "object",
                    "properties": {
                        "state": {"enum": ["connected", "connecting", "backoff", "idle"]},
                        "detail": _TEXT,
                        "since": _MICROSECONDS,
                    },
                }
            ),
            "limited": _map(
                {
                    "type": "object",
                    "description": "A device that does not report all that it should.",
                    "properties": {
                        "polled": {
                            "type": "array",
                            "items": _TEXT,
                            "description": "Tags that are polled instead, 200 at most.",
                        },
                        "count": {**_COUNT, "description": "How many there are."},
                        "why": {**_TEXT, "description": "What the device or its server said."},
                    },
                }
            ),
            "counters": {"type": "object"},
            "clock": _clock(),
            "stalled": {
                "type": "array",
                "items": _TEXT,
                "description": "What has work and does none of it, as sentences; empty while everything moves.",
            },
        },
    )
    severity: Schema = {"enum": ["info", "warning", "critical"]}
    return {
        "live": _object(
            "Live value",
            "The newest value of a tag, retained: {enterprise}/{site}/{area}/{line}/{device}/{tag}",
            {"value": _VALUE, "timestamp": _MILLISECONDS, "quality": _QUALITY},
            {"source_timestamp": _MILLISECONDS, "unit": _TEXT, "label": _TEXT, "reason": _REASON},
        ),
        "health": health,
        "alert": _object(
            "Alert",
            "State of one alert, retained: _nexus/{enterprise}/{site}/alert/{name}",
            {
                "name": _TEXT,
                "state": {"enum": ["active", "acknowledged", "cleared"]},
                "severity": severity,
                "tag": _TEXT,
            },
            {
                "since": _MICROSECONDS,
                "value": _VALUE,
                "description": _TEXT,
                "acknowledged_by": {"type": ["string", "null"]},
            },
        ),
    }


def _configuration() -> dict[str, Schema]:
    number: Schema = {"type": "integer", "minimum": 0, "description": "Number of the deployment."}
    device = {
        "type": "object",
        "required": ["digest", "state"],
        "properties": {
            "digest": {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$", "description": "Empty when unknown."},
            "state": {"enum": ["running", "failed"]},
            "detail": _TEXT,
        },
    }
    verification = {
        "type": "object",
        "properties": {
            "good": _COUNT,
            "bad": _COUNT,
            "reachable": {"type": "boolean"},
            "detail": {**_TEXT, "description": "Why no tag is good."},
        },
    }
    return {
        "config": _object(
            "Configuration notice",
            "A deployment is waiting, retained: _nexus/{enterprise}/{site}/config/{gateway}",
            {"deployment": number, "digest": _DIGEST},
            {
                "again": {
                    "type": "boolean",
                    "description": "True asks for every tag on its live topic once more: BAD gateway_lost may lie over it.",
                }
            },
        ),
        "observed": _object(
            "Observed",
            "What a gateway runs, retained: _nexus/{enterprise}/{site}/observed/{gateway}",
            {"deployment": number, "digest": _DIGEST, "time": _MICROSECONDS},
            {
                "instance": _INSTANCE,
                "devices": _map(device),
                "removed": {"type": "array", "items": _TEXT},
                "verification": _map(verification),
            },
        ),
    }


def _commands() -> dict[str, Schema]:
    state: Schema = {"enum": [state.value for state in State]}
    command_id: Schema = {"type": "string", "pattern": f"^{ID_PATTERN}$", "description": "Idempotency key."}
    command = _object(
        "Command",
        "A write, QoS 2, never retained: _nexus/{enterprise}/{site}/cmd/{area}/{line}/{device}/{tag}/{principal}",
        {
            "id": command_id,
            "value": {
                "description": "In the published unit; the name of an enumeration's code is accepted for the code."
            },
            "expires_at": {**_MICROSECONDS, "description": "Microseconds since 1970 UTC; at most 60 s ahead."},
        },
        {
            "expect": {"description": "What the tag must hold right before; compared with a fresh read."},
            "reason": {"type": "string", "maxLength": 500, "description": "For the audit trail."},
        },
    )
    command["additionalProperties"] = False
    response = _object(
        "Response",
        "The answer to a command: _nexus/{enterprise}/{site}/response/{gateway}/{principal}/{id}",
        {"id": _TEXT, "state": state},
        {
            "path": _TEXT,
            "time": _MICROSECONDS,
            "value": {"description": "What was written, after rounding to what the device can hold."},
            "old": {"description": "What the tag held before, as far as known."},
            "read_back": {"description": "What it holds afterwards; absent when it was not read."},
            "unit": _TEXT,
            "code": _TEXT,
            "detail": _TEXT,
        },
    )
    report = _object(
        "Command report",
        "How a command ended, for the record; kept like a frame: _nexus/{enterprise}/{site}/audit/{gateway}",
        {
            "epoch": _EPOCH,
            "seq": _SEQ,
            "gateway": _TEXT,
            "principal": _TEXT,
            "received": _MICROSECONDS,
            "response": {key: value for key, value in response.items() if key != "$schema"},
        },
        {"asked": _VALUE, "expect": _VALUE, "expires_at": _MICROSECONDS, "reason": _TEXT},
    )
    return {"command": command, "response": response, "command-report": report}


def _browsing() -> dict[str, Schema]:
    return {
        "browse": _object(
            "Request to browse",
            "Asks a gateway to browse one of its links, or to read one address there: _nexus/{enterprise}/{site}/browse/{gateway}/{principal}",
            {"id": {"type": "string", "minLength": 1, "maxLength": 128, "description": "Names the request."}},
            {
                "device": {**_TEXT, "description": "area/line/device that the gateway runs."},
                "read": {
                    **_TEXT,
                    "description": "Name of a tag of the device: its address is read now, and nothing is browsed.",
                },
                "link": {**_TEXT, "description": "Link id, when no device is named."},
                "connection": {
                    "type": "object",
                    "description": "Connection keys that the device of the link must have, when several share it.",
                },
                "start": {**_TEXT, "description": "Where to begin, in the protocol's spelling; empty for everything."},
                "nodes": {
                    "type": "array",
                    "description": "OPC UA: look at these alone. What is below them comes back in beats, to be asked for.",
                    "items": {
                        "type": "array",
                        "minItems": 2,
                        "maxItems": 4,
                        "description": "[node, path, is a variable, is a property]",
                    },
                },
                "depth": _COUNT,
                "properties": {"type": "boolean"},
                "cancel": {"type": "boolean", "description": "End the walk with this id."},
                "expires_at": _MICROSECONDS,
            },
        ),
        "browse-page": _object(
            "Page of what was browsed",
            "One of several answers to a request to browse: _nexus/{enterprise}/{site}/response/{gateway}/{principal}/{id}",
            {
                "id": _TEXT,
                "page": {"type": "integer", "minimum": 1, "description": "Rising by one."},
                "items": {
                    "type": "array",
                    "items": {
                        "type": "array",
                        "minItems": 7,
                        "maxItems": 7,
                        "description": "[path, address, type, unit, description, writable, detail]",
                    },
                },
                "done": {"type": "boolean", "description": "The last page."},
            },
            {
                "error": {**_TEXT, "description": "Why the walk ended early."},
                "again": {"type": "boolean", "description": "With an error: the same request may be answered soon."},
                "read": {
                    "type": "object",
                    "description": "On the last page of a request to read: what the device answered.",
                    "required": ["asked", "bytes", "raw", "value", "quality", "reason", "problem", "time"],
                    "properties": {
                        "asked": {**_TEXT, "description": "What went out, in words."},
                        "bytes": {**_TEXT, "description": "Hexadecimal, as they came; empty where there are none."},
                        "raw": {"description": "Before scale and unit."},
                        "value": _VALUE,
                        "quality": _QUALITY,
                        "reason": {"enum": ["", *_REASON["enum"]]},
                        "problem": {**_TEXT, "description": "What went wrong; empty when there was an answer."},
                        "time": _MICROSECONDS,
                    },
                },
            },
        ),
    }
