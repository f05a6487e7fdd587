"""Bodies of control's HTTP API about the audit trail; rules as in `control.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec

from nexus_cli.wire.control import Absent, Body

if TYPE_CHECKING:
    from nexus_cli.wire.sample import Value
else:
    Value = Any  # recursive, as in wire/frame.py

AuditKind = Literal[
    "",
    "command",
    "sequence",
    "deployment",
    "rollout",
    "alert",
    "message",
    "device",
    "retained",
    "job",
    "history",
    "drift",
    "dead-letter",
    "export",
    "signature",
    "access",
]
"""The keys of `database.audit.KINDS`, and "" for all."""
AUDIT_KINDS: tuple[str, ...] = tuple(filter(None, get_args(AuditKind)))
"""Without "": those that a person chooses from."""


class AuditEntry(Body, frozen=True, kw_only=True):
    """One line of the audit trail. Which of the facts after `subject` it has depends on its kind.

    Attributes:
        at: When.
        kind: One of `AUDIT_KINDS`, such as `command` or `deployment`.
        what: What was done, such as `apply` or `break-lock`.
        who: Principal.
        subject: Path, name, or deployment; "" of a command that could not be read.
        id: Of a command.
        state: How a command or a run ended.
        value, written, old, read_back, expect: Of a command, in the published unit `unit`.
        via: Who sent a command for `who`: `nexus.web`.
        gateway: Who carried the command out, or refused it.
        reason: As the user gave it.
        code, detail: Why it did not go well.
        run: Of a sequence.
        set: Values of parameters or fields, by name.
        step: The one at which a run ended.
        abort_branch: How the abort branch went.
        outcome, counts, owner: Of a deployment; whose lock was broken.
        aborted_by, topic: Who ended a run; of a message.
        until: When a device is in service again.
        count: Of cleared topics; of exported samples; of refusals, since the line before it about the same.
    """

    at: int
    kind: str
    what: str
    who: str
    subject: str
    id: str | Absent = msgspec.UNSET
    state: str | Absent = msgspec.UNSET
    value: Value | Absent = msgspec.UNSET
    written: Value | Absent = msgspec.UNSET
    old: Value | Absent = msgspec.UNSET
    read_back: Value | Absent = msgspec.UNSET
    expect: Value | Absent = msgspec.UNSET
    unit: str | Absent = msgspec.UNSET
    via: str | Absent = msgspec.UNSET
    gateway: str | Absent = msgspec.UNSET
    reason: str | Absent = msgspec.UNSET
    code: str | Absent = msgspec.UNSET
    detail: str | Absent = msgspec.UNSET
    run: str | Absent = msgspec.UNSET
    set: dict[str, Value] | Absent = msgspec.UNSET
    step: int | Absent = msgspec.UNSET
    abort_branch: str | Absent = msgspec.UNSET
    outcome: str | Absent = msgspec.UNSET
    counts: dict[str, int] | Absent = msgspec.UNSET
    owner: str | Absent = msgspec.UNSET
    aborted_by: str | Absent = msgspec.UNSET
    topic: str | Absent = msgspec.UNSET
    until: int | Absent = msgspec.UNSET
    count: int | Absent = msgspec.UNSET


class AuditTrail(Body, frozen=True, kw_only=True):
    """The newest lines that were asked for, oldest first; `truncated` when there are older ones beyond the limit.

    `older` is then what to ask with (`before=`) for those; it is left out when there are none.
    """

    entries: list[AuditEntry]
    truncated: bool
    older: str | Absent = msgspec.UNSET
