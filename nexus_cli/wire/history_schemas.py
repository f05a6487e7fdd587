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
        "deployments": _of(Deployments, "NEXUS deployments", "`nexus deployments --format json`, the newest first."),
        "deployment": _of(DeploymentProgress, "NEXUS deployment", "`nexus deployments show N --format json`."),
        "rollouts": _of(Rollouts, "NEXUS rollouts", "`nexus rollout list --format json`, the newest first."),
        "rollout": _of(
            Rollout,
            "NEXUS rollout",
            "`nexus rollout show --format json`, and `nexus apply --format json` of a deployment in waves.",
        ),
        "lock": _of(LockHeld, "NEXUS lock", "`nexus lock list --format json`; null when it is free."),
        "audit": _of(AuditTrail, "NEXUS audit trail", "`nexus audit --format json`, the oldest first."),
        "lock-broken": _of(LockBroken, "NEXUS broken lock", "`nexus lock break --format json`."),
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


def _of(kind: type[msgspec.Struct], title: str, text: str) -> JsonObject:
    (_,), parts = msgspec.json.schema_components([kind], ref_template=_DEFINITIONS)
    own = {name: value for name, value in parts.pop(kind.__name__).items() if name not in ("title", "description")}
    return {"$schema": DRAFT, "title": title, "description": text, **own, "definitions": parts}
