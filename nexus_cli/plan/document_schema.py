"""JSON Schema of a plan (`nexus plan --format json`), draft-07-safe like the others."""

from __future__ import annotations

from nexus_cli.json_value import JsonObject
from nexus_cli.plan.action_document import actions_schema
from nexus_cli.plan.aliases import alias_schema
from nexus_cli.plan.approvals import approvals_schema
from nexus_cli.plan.document_impact import impact_schemas
from nexus_cli.plan.measured_schema import measured_schemas
from nexus_cli.plan.policy_document import EFFECT_SCHEMA, policies_schema
from nexus_cli.plan.rollout_schema import rollout_properties

_STRING = {"type": "string"}
_ACTIONS = {"type": "array", "items": {"enum": ["create", "update", "move", "forget"]}, "minItems": 1, "maxItems": 1}
_ATTRIBUTES = {"type": ["object", "null"]}
_KEYS = {"type": "array", "items": _STRING}
PLANES = ["devices", "topics", "rights", "series", "load", "database"]


def _object(required: JsonObject, optional: JsonObject | None = None) -> JsonObject:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


def plan_schema() -> JsonObject:
    """The shape of what `plan_document` makes; field names are Terraform's where it has one."""
    tag = _object(
        {
            "address": {"type": "string", "pattern": "^tag\\."},
            "change": _object({"actions": _ACTIONS, "keys": _KEYS}, {"before": _ATTRIBUTES, "after": _ATTRIBUTES}),
        },
        {"previous_address": _STRING},
    )
    change = _object(
        {"actions": _ACTIONS, "before": _ATTRIBUTES, "after": _ATTRIBUTES, "keys": _KEYS},
        {"before_sensitive": {"type": "object"}, "after_sensitive": {"type": "object"}},
    )
    resource = _object(
        {"address": _STRING, "type": _STRING, "name": _STRING, "change": change},
        {"previous_address": _STRING, "tags": {"type": "array", "items": tag}},
    )
    pair = {"type": "array", "items": _STRING, "minItems": 2, "maxItems": 2}
    planes = {"enum": ["devices", "topics", "rights", "series", "load", "database", "people"]}
    rights = {"principals": _KEYS, "action": _STRING, "kind": _STRING, "gained": _KEYS, "lost": _KEYS}
    sessions = {"principals": _KEYS, "broker": _STRING, "at_once": {"type": "boolean"}, "text": _STRING}
    hazard = dict.fromkeys(("name", "code", "scope", "address", "message"), _STRING)
    diagnostic = {"code": _STRING, "severity": _STRING, "summary": _STRING, "where": _STRING, "hint": _STRING}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "NEXUS plan",
        "description": "What apply would change. Digests name both sides; secrets are never in it.",
        **_object(
            {
                "format_version": _STRING,
                "site": {"type": "string", "description": "enterprise/site"},
                "base": _object({"deployment": {"type": "integer", "minimum": 0}, "digest": _STRING}),
                "desired": _object({"digest": _STRING}),
                "resource_changes": {"type": "array", "items": resource},
                "impact": {
                    "type": "array",
                    "items": _object(
                        {"address": _STRING, "plane": planes, "text": _STRING}, {"names": _KEYS, "measured": _STRING}
                    ),
                },
                "hazards": {
                    "type": "array",
                    "items": _object({**hazard, "allowed": {"type": "boolean"}}, {"measured": _STRING}),
                },
                "diagnostics": {"type": "array", "items": _object(diagnostic, {"range": {"type": "object"}})},
                "summary": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}},
                "moved": {"type": "array", "items": pair},
                "applyable": {"type": "boolean", "description": "There is something to do, and nothing forbids it."},
                "complete": {"type": "boolean"},
                "errored": {"type": "boolean", "description": "A finding forbids applying it."},
            },
            {
                **impact_schemas(),
                "actions": actions_schema(),
                "effect": EFFECT_SCHEMA,
                "policies": policies_schema(),
                "approvals": approvals_schema(),
                **measured_schemas(),
                "rights": {
                    "type": "array",
                    "items": _object(rights),
                    "description": "Who may do what that they could not before (gained), or no longer (lost); whole lists.",
                },
                "sessions": {
                    "type": "array",
                    "items": _object(sessions),
                    "description": "What becomes of live sessions of those who lose a right, by kind of broker.",
                },
                "steps": {
                    "type": "array",
                    "items": _object({"step": _STRING, "subject": _STRING, "text": _STRING}),
                    "description": "What apply does, in order; the subject is a gateway, or empty for the site.",
                },
                **rollout_properties(),
                "renames": {
                    "type": "array",
                    "items": pair,
                    "description": "Entries missing in `moved:`: a removed and an added tag have the same address.",
                },
                "aliases": alias_schema(),
            },
        ),
    }
