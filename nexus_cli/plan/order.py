"""The order in which changes are shown and done: the same for the same plan, moves first, deletes last."""

from __future__ import annotations

from collections.abc import Iterable

from nexus_cli.plan.change import Action, Change

_PHASES = {Action.MOVE: 0, Action.CREATE: 1, Action.UPDATE: 2, Action.FORGET: 3}
_KINDS = (
    "site",
    "archive",
    "retention",
    "gateway",
    "device",
    "role",
    "user",
    "alert",
    "channel",
    "route",
    "digest",
    "message",
    "sequence",
    "view",
    "policy",
    "approvals",
)
"""Resources that others refer to are first; among deletes, last."""


def ordered(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Moves, creates, updates, then deletes; within each, what others refer to first (deletes: last), then by address."""
    return tuple(sorted(changes, key=_key))


def _key(change: Change) -> tuple[int, int, str]:
    rank = _KINDS.index(change.type) if change.type in _KINDS else len(_KINDS)
    return _PHASES[change.action], -rank if change.action is Action.FORGET else rank, change.address
