"""JSON Schema (draft-07) of `nexus status --format json`, derived from its Structs. Fields that a later version adds pass."""

from __future__ import annotations

import msgspec

from nexus_cli.json_value import JsonObject
from nexus_cli.local.status_report import StatusReport
from nexus_cli.wire.schemas import DRAFT


def status_schema() -> JsonObject:
    """Of a `StatusReport`; what each role answers on `/status` is any JSON here."""
    (_,), parts = msgspec.json.schema_components([StatusReport], ref_template="#/definitions/{name}")
    own = parts.pop(StatusReport.__name__)
    facts = {name: value for name, value in own.items() if name not in ("title", "description")}
    text = "`nexus status --format json`: how the runtime of this folder is."
    return {"$schema": DRAFT, "title": "NEXUS status", "description": text, **facts, "definitions": parts}
