"""Process exit codes: part of the interface, CI jobs branch on them."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """See the table in docs/cli.md."""

    OK = 0
    FINDINGS = 1
    """Errors in your files, or it failed and nothing changed."""
    CHANGES = 2
    """Only with --detailed-exitcode: changes."""
    BLOCKED = 3
    """A hazard without consent."""
    PARTLY = 4
    """Partly applied."""
    CONFLICT = 5
    """Lock held, or plan stale."""
    OUTSIDE = 6
    """Runtime, broker, database or device unreachable, or a failure there."""
    USAGE = 64
    BUG = 70
    INTERRUPTED = 130
    CUT = 141
    """Who read the output has gone (128 + SIGPIPE)."""


TEXT: dict[int, str] = {
    Exit.OK: "done, or nothing to do",
    Exit.FINDINGS: "errors in your files, or it failed and nothing changed",
    Exit.CHANGES: "changes (with --detailed-exitcode)",
    Exit.BLOCKED: "blocked: a hazard without consent",
    Exit.PARTLY: "partly applied",
    Exit.CONFLICT: "lock held, or plan stale",
    Exit.OUTSIDE: "runtime, broker, database or device unreachable",
}

OUTCOMES: dict[str, Exit] = {
    "applied": Exit.OK,
    "nothing": Exit.OK,
    "partly": Exit.PARTLY,
    "failed": Exit.FINDINGS,
}
"""Of a deployment that ended; any other outcome is `PARTLY`."""
