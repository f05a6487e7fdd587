"""What the files declare against what control recorded. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from nexus_cli.drift.kinds import found
from nexus_cli.plan.change import Action, Attributes, Change, TagChange
from nexus_cli.wire.control_drift import DriftFinding

RIGHTS = frozenset({"role", "user", "group", "login", "policy", "approvals"})
"""Kinds of resources that say who may do what."""
CLASSIFICATION = "classification"
"""Of a device or tag: it decides which roles reach it."""
WORDS = frozenset({"description", "labels", "owner", "pii", "response", "consequence", "simulate"})
TYPES = frozenset(
    {
        "type",
        "published_type",
        "options",
        "scale",
        "offset",
        "unit",
        "publish_unit",
        "unit_factor",
        "unit_shift",
        "values",
        "range",
        "expr",
        "inputs",
    }
)
"""Keys of a tag that say what its value means. The range is one: it decides quality, and which commands are refused."""
SAMPLING = frozenset(
    {"mode", "poll_ms", "deadband", "heartbeat_ms", "live_publish", "live_qos", "live_retain", "live_every_ms"}
)
"""Keys of a tag that say how often its value is read and published."""
ADDRESSES = frozenset({"address", "connection", "link", "gateway", "protocol", "path", "enabled"})
"""Keys that say where a value comes from."""
HINT = "nexus plan shows it, nexus apply records it"
BACK = "nexus apply takes it out of the record, or declare it again"


def declared_drift(changes: Sequence[Change], *, changing: Collection[str] = ()) -> list[DriftFinding]:
    """One finding per resource or tag that differs.

    Args:
        changes: From what is recorded to what the files declare.
        changing: Addresses that a deployment in flight changes: what it has not recorded yet is no drift.
    """
    return [one for change in changes if change.address not in changing for one in _change(change)]


def _change(change: Change) -> Iterator[DriftFinding]:
    path = change.name if change.type == "device" else change.address
    if change.action is Action.CREATE:
        yield _present(path, "declared", change.after, rights=change.type in RIGHTS)
        return
    if change.action is Action.FORGET:
        yield _present(path, "recorded", change.before, rights=change.type in RIGHTS)
        return
    if change.action is Action.MOVE:
        yield found(
            "address-changed",
            path,
            "declared",
            f"{path} is recorded as {change.previous_name}",
            recorded=change.previous_name,
            now=path,
            hint=HINT,
        )
    if change.keys:
        kind = "rights-changed" if change.type in RIGHTS and set(change.keys) - WORDS else _kind(change.keys)
        yield _differs(kind, path, change.keys, change.before, change.after)
    for tag in change.tags:
        yield _tag(tag)


def _tag(tag: TagChange) -> DriftFinding:
    if tag.action is Action.CREATE:
        return _present(tag.path, "declared", tag.after)
    if tag.action is Action.FORGET:
        return _present(tag.path, "recorded", tag.before)
    writable = bool((tag.before or {}).get("writable") or (tag.after or {}).get("writable"))
    if tag.action is Action.MOVE and not tag.keys:
        text = f"{tag.path} is recorded as {tag.previous_path}"
        return found(
            "address-changed",
            tag.path,
            "declared",
            text,
            recorded=tag.previous_path,
            now=tag.path,
            hint=HINT,
            writable=writable,
        )
    kind = "writable-changed" if "writable" in tag.keys else _kind(tag.keys)
    return _differs(kind, tag.path, tag.keys, tag.before, tag.after, writable=writable)


def _kind(keys: Sequence[str]) -> str:
    """The worst of what these keys say."""
    changed = set(keys)
    if CLASSIFICATION in changed:
        return "rights-changed"
    if TYPES & changed:
        return "type-changed"
    if ADDRESSES & changed:
        return "address-changed"
    if changed <= WORDS:
        return "description-changed"
    return "sampling-changed" if changed <= WORDS | SAMPLING else "settings-changed"


def _present(path: str, plane: str, attributes: Attributes | None, *, rights: bool = False) -> DriftFinding:
    """One side alone has it. With `rights` it says who may do what, which is as critical as a tag that may be written."""
    tags: Mapping[str, Any] = (attributes or {}).get("tags") or {}
    writable = rights or bool((attributes or {}).get("writable") or any(each.get("writable") for each in tags.values()))
    if plane == "declared":
        text = f"{path} is declared and not recorded"
        return found("not-recorded", path, plane, text, now="declared", hint=HINT, writable=writable)
    text = f"{path} is recorded and not declared"
    return found("not-declared", path, plane, text, recorded="recorded", hint=BACK, writable=writable)


def _differs(
    kind: str,
    path: str,
    keys: Sequence[str],
    before: Attributes | None,
    after: Attributes | None,
    *,
    writable: bool = False,
) -> DriftFinding:
    recorded = {key: (before or {}).get(key) for key in keys}
    declared = {key: (after or {}).get(key) for key in keys}
    text = f"{path} is declared with other {', '.join(keys)} than recorded"
    return found(kind, path, "declared", text, recorded=recorded, now=declared, hint=HINT, writable=writable)
