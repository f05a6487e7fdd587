"""What a change of a gateway's frames, or of an old path, does to topics. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from nexus_cli.diagnostics.wording import duration
from nexus_cli.plan.change import Action, Change


def gateway_lines(change: Change) -> Iterator[tuple[str, str]]:
    before, after = change.before or {}, change.after or {}
    frames = after.get("frames", "columns")
    if change.action is Action.UPDATE and frames != before.get("frames", "columns"):
        way = "each frame as JSON on its device's topic" if frames == "json" else "many frames in one message by column"
        yield "topics", f"the record is sent as {frames}: {way}; nothing is lost in between"


def alias_lines(change: Change) -> Iterator[tuple[str, str]]:
    old, new = change.before or {}, change.after or {}
    to = str((new or old).get("to", ""))
    if not new:
        yield "topics", f"{to} is no longer published under {change.name}; its retained messages there are cleared"
        return
    span = duration(int(new.get("for_ms", 0)))
    if not old:
        yield "topics", f"{to} is published under {change.name}, too, for {span} from the apply on"
        yield (
            "rights",
            f"who may subscribe to {to} may subscribe to {change.name}; commands take the new path alone",
        )
    elif old.get("for_ms") != new.get("for_ms"):
        yield "topics", f"{to} is published under {change.name}, too, for {span} from this apply on"
    elif old.get("to") != new.get("to"):
        yield "topics", f"{change.name} has the values of {to} instead of {old.get('to')}"
