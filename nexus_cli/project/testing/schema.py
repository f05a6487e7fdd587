"""The JSON Schemas of a test file and of the report, draft-07-safe like the others."""

from __future__ import annotations

from nexus_cli.access.lines import RIGHTS
from nexus_cli.json_value import JsonObject
from nexus_cli.project.testing.declared import KINDS, STATES
from nexus_cli.wire.sample import Quality, Reason

_STRING: JsonObject = {"type": "string"}
_COUNT: JsonObject = {"type": "integer", "minimum": 0}
_STRINGS: JsonObject = {"type": "array", "items": _STRING}


def _object(required: JsonObject, optional: JsonObject | None = None) -> JsonObject:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


def report_schema() -> JsonObject:
    """The shape of what `document` makes."""
    boolean: JsonObject = {"type": "boolean"}
    assertion = _object(
        {
            "kind": {"enum": list(KINDS)},
            "subject": _STRING,
            "passed": boolean,
            "expected": _STRING,
            "got": _STRING,
            "line": _COUNT,
            "how": _STRINGS,
        }
    )
    test = _object(
        {
            "name": _STRING,
            "id": _STRING,
            "file": _STRING,
            "line": _COUNT,
            "passed": boolean,
            "error": _STRING,
            "assertions": {"type": "array", "items": assertion},
        },
        {"description": _STRING, "skipped": {**_STRING, "description": "Why it was not run against simulators."}},
    )
    diagnostic = _object(
        {"code": _STRING, "severity": {"enum": ["error", "warning", "info"]}, "summary": _STRING, "hint": _STRING},
        {"file": _STRING, "line": _COUNT, "column": _COUNT},
    )
    percent = {"type": "number", "minimum": 0, "maximum": 100}
    share = _object({"total": _COUNT, "touched": _COUNT, "percent": percent, "untouched": _STRINGS})
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "NEXUS test report",
        "description": "What `nexus test --format json` answers.",
        **_object(
            {
                "format_version": _STRING,
                "site": {"type": "string", "description": "enterprise/site"},
                "passed": boolean,
                "summary": _object(
                    dict.fromkeys(("tests", "passed", "failed", "broken", "assertions"), _COUNT), {"skipped": _COUNT}
                ),
                "tests": {"type": "array", "items": test},
                "broken": {"type": "array", "items": _STRING, "description": "Tests with findings: they did not run."},
                "diagnostics": {"type": "array", "items": diagnostic},
                "coverage": {
                    "type": "object",
                    "properties": dict.fromkeys(("tags", "alarms", "rights"), share),
                    "additionalProperties": False,
                },
            },
            {"live": {"const": True, "description": "It ran against simulators."}},
        ),
    }


def file_schema() -> JsonObject:
    """The shape of a test file, for editors."""
    time: JsonObject = {
        "type": "string",
        "pattern": r"^\d+(\.\d+)?\s*(ms|s|m|h|d|w)$",
        "description": "Time since the begin of the test.",
        "examples": ["0s", "500ms", "3s"],
    }
    reason: JsonObject = {"enum": [one.value for one in Reason]}
    within: JsonObject = {"type": "number", "minimum": 0, "description": "Tolerance, in the published unit."}
    quality: JsonObject = {"enum": [one.name for one in Quality]}
    word: JsonObject = {"type": ["integer"], "minimum": 0, "maximum": 0xFFFF}
    form = _given_schema(time, reason, word)
    facts: JsonObject = {"value": {}, "quality": quality, "within": within, "at": time}
    words: JsonObject = {"reason": reason, "unit": _STRING, "label": _STRING}
    sample = {"anyOf": [{"const": "none"}, _some({**facts, **words}), {"not": {"type": "object"}}]}
    times: JsonObject = {"timestamp": {"type": "integer"}, "source_timestamp": {"type": "integer"}}
    topic = {"anyOf": [{"const": "none"}, _some({**facts, **words, **times}), {"not": {"type": "object"}}]}
    state: JsonObject = {"enum": list(STATES)}
    verb: JsonObject = {"enum": list(RIGHTS)}
    right: JsonObject = {
        **_some({"user": _STRING, "may": verb, "may_not": verb, "path": _STRING}),
        "required": ["user", "path"],
        "oneOf": [{"properties": {name: verb}, "required": [name]} for name in ("may", "may_not")],
    }
    row = {"anyOf": [_some(facts), {"not": {"type": "object"}}]}
    expect = _some(
        {
            "sample": _by_name(sample, "The newest sample of a tag, by path."),
            "topic": _by_name(topic, "Parts of the live payload, by topic; none is no message."),
            "alarm": _by_name(
                {"anyOf": [state, _object({"state": state}, {"at": time})]}, "State of an alert, by name."
            ),
            "right": {"type": "array", "items": right, "description": "Who may what."},
            "row": _by_name({"type": "array", "items": row}, "All rows that the historian gets of a tag, by path."),
            "finding": {
                "type": "array",
                "items": {"type": "string", "pattern": r"^NX\d{4}$"},
                "description": "Codes that validate gives; [] is none.",
            },
        }
    )
    test = _some(
        {
            "description": _STRING,
            "given": _by_name(form, "What a device holds, by path of the tag."),
            "expect": {**expect, "minProperties": 1},
            "for": {**time, "description": "How long the test runs, at least."},
        }
    )
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "NEXUS test file",
        "description": "tests/*.yaml beside a site file; `nexus test` runs them.",
        **_object({"tests": {**_by_name({**test, "required": ["expect"]}, "Tests by name."), "minProperties": 1}}),
    }


def _given_schema(time: JsonObject, reason: JsonObject, word: JsonObject) -> JsonObject:
    form = _some(
        {
            "raw": {"description": "The decoded value, before scale and unit."},
            "value": {"description": "A value in the published unit."},
            "registers": {
                "type": "array",
                "items": word,
                "minItems": 1,
                "description": "16-bit words as the device holds them.",
            },
            "bytes": {"type": "string", "description": "Bytes as the device holds them, in hexadecimal."},
            "bad": {**reason, "description": "The device gives no value, for this reason."},
            "uncertain": {**reason, "description": "The value is doubtful, for this reason."},
            "code": {"type": "integer", "description": "The protocol's own code of a bad value."},
            "at": time,
        }
    )
    return {
        "anyOf": [
            form,
            {"type": "array", "items": {"anyOf": [form, {"not": {"type": "object"}}]}},
            {"allOf": [{"not": {"type": each}} for each in ("object", "array", "null")]},
        ]
    }


def _some(properties: JsonObject) -> JsonObject:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _by_name(value: JsonObject, description: str) -> JsonObject:
    return {"type": "object", "additionalProperties": value, "description": description}
