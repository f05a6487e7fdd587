"""JSON Schemas of what `nexus deployments`, `rollout`, `lock`, `audit` and `diff` answer (draft-07); `nexus schema` writes them.

All but the last are derived from the bodies of control's API. Fields that a later version adds pass.
"""

from __future__ import annotations

import msgspec

from nexus_cli.json_value import JsonObject
from nexus_cli.wire.control import DeploymentProgress, Deployments, LockBroken, LockHeld
from nexus_cli.wire.control_audit import AuditTrail
from nexus_cli.wire.control_rollouts import Rollout, Rollouts
from nexus_cli.wire.schemas import DRAFT

_DEFINITIONS = "#/definitions/{name}"


def history_schemas(plan: JsonObject) -> dict[str, JsonObject]:
    """By name; `plan` is the schema of a plan, which a comparison holds."""
    side = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "As it was asked for."},
            "deployment": {"type": "integer", "minimum": 0, "description": "Its number; 0 for files."},
        },
        "required": ["name", "deployment"],
        "additionalProperties": False,
    }
    inner = {name: value for name, value in plan.items() if name != "$schema"}
    return {
        "deployments": schema_of(
            Deployments, "NEXUS deployments", "`nexus deployments --format json`, the newest first."
        ),
        "deployment": schema_of(DeploymentProgress, "NEXUS deployment", "`nexus deployments show N --format json`."),
        "rollouts": schema_of(Rollouts, "NEXUS rollouts", "`nexus rollout list --format json`, the newest first."),
        "rollout": schema_of(
            Rollout,
            "NEXUS rollout",
            "`nexus rollout show --format json`, and `nexus apply --format json` of a deployment in waves.",
        ),
        "lock": schema_of(LockHeld, "NEXUS lock", "`nexus lock list --format json`; null when it is free."),
        "audit": schema_of(AuditTrail, "NEXUS audit trail", "`nexus audit --format json`, the oldest first."),
        "lock-broken": schema_of(LockBroken, "NEXUS broken lock", "`nexus lock break --format json`."),
        "diff": {
            "$schema": DRAFT,
            "title": "NEXUS comparison",
            "description": "`nexus diff A B --format json`: what turns one state into the other.",
            "type": "object",
            "properties": {"from": side, "to": side, "plan": inner},
            "required": ["from", "to", "plan"],
            "additionalProperties": False,
        },
    }


def schema_of(kind: type[msgspec.Struct], title: str, text: str) -> JsonObject:
    """The schema of a body that a command gives as JSON."""
    (_,), parts = msgspec.json.schema_components([kind], ref_template=_DEFINITIONS)
    own = {name: value for name, value in parts.pop(kind.__name__).items() if name not in ("title", "description")}
    return {"$schema": DRAFT, "title": title, "description": text, **own, "definitions": parts}
