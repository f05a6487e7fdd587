"""JSON Schemas of what `nexus apply`, `rollback`, `confirm`, `purge` and `keep` answer (draft-07); `nexus schema` writes them.

They are derived from the bodies of control's API. Fields that a later version adds pass.
"""

from __future__ import annotations

from nexus_cli.json_value import JsonObject
from nexus_cli.wire.control import DeploymentProgress
from nexus_cli.wire.control_kept import KeptSeries
from nexus_cli.wire.control_purges import Purge, PurgePreview, Purges
from nexus_cli.wire.control_undo import Confirmed
from nexus_cli.wire.history_schemas import schema_of
from nexus_cli.wire.schemas import DRAFT


def change_schemas() -> dict[str, JsonObject]:
    """By name."""
    return {
        "applied": _applied(),
        "confirmed": schema_of(Confirmed, "NEXUS confirmation", "`nexus confirm --format json`."),
        "purge-preview": schema_of(
            PurgePreview, "NEXUS purge preview", "`nexus purge start --dry-run --format json`: what would be removed."
        ),
        "purge": schema_of(
            Purge, "NEXUS purge", "`nexus purge start --format json` and `nexus purge show --format json`."
        ),
        "purges": schema_of(Purges, "NEXUS purges", "`nexus purge list --format json`, the newest first."),
        "kept-series": _kept(),
        "keep-ended": {
            "$schema": DRAFT,
            "title": "NEXUS ended protection",
            "description": "`nexus keep end --format json`.",
            "type": "object",
            "properties": {"path": {"type": "string"}, "ended": {"const": True}},
            "required": ["path", "ended"],
            "additionalProperties": False,
        },
    }


def _applied() -> JsonObject:
    """A deployment at its end, with the tags that it left not GOOD; or that there was nothing to do."""
    whole = schema_of(
        DeploymentProgress,
        "NEXUS applied deployment",
        "`nexus apply --format json` and `nexus rollback --format json` of what goes out at once.",
    )
    names = ("path", "quality", "reason")
    bad: JsonObject = {
        "type": "object",
        "properties": {name: {"type": "string"} for name in names},
        "required": list(names),
        "additionalProperties": False,
    }
    listed = {"type": "array", "items": bad, "description": "Tags that it left not GOOD."}
    properties = {**whole.pop("properties"), "not_good": listed}
    head = {name: whole.pop(name) for name in ("$schema", "title", "description")}
    definitions = whole.pop("definitions")
    nothing: JsonObject = {
        "type": "object",
        "description": "There was nothing to do: no deployment was made.",
        "properties": {
            "outcome": {"const": "nothing"},
            "counts": {"type": "object", "maxProperties": 0},
            "table": {"type": "array", "maxItems": 0},
        },
        "required": ["outcome", "counts", "table"],
        "additionalProperties": False,
    }
    required = [*whole.pop("required"), "not_good"]
    made = {**whole, "properties": properties, "required": required}
    return {**head, "oneOf": [made, nothing], "definitions": definitions}


def _kept() -> JsonObject:
    """A list, by path."""
    one = schema_of(KeptSeries, "NEXUS protected series", "`nexus keep list --format json`, by path.")
    head = {name: one.pop(name) for name in ("$schema", "title", "description")}
    one.pop("definitions")
    return {**head, "type": "array", "items": one}
