"""Whether a deployment has to be confirmed, and how long it waits: in bodies of control's API and in its health."""

from __future__ import annotations

import msgspec


class Confirmation(msgspec.Struct, frozen=True, kw_only=True):
    """The confirmation of a deployment that was applied with `--confirm-within`.

    Attributes:
        number: Of the deployment.
        state: `armed` while the deployment runs, `waiting`, `confirmed`, `rolled-back`, or `dropped` when the deployment
            recorded nothing, so that there is nothing to be confirmed.
        within_s: The time that was asked for, from the end of the deployment on, in seconds.
        left_s: What is left of it.
        who: Who confirmed it, or rolled it back; "" while it waits.
        reason: Why it was rolled back.
        at: When the state came, or when `left_s` was counted; µs since 1970 UTC.
        undone_by: Number of the deployment that rolled it back; 0 is none.
        problem: Why control could not take it back yet although its time is over; "" where nothing keeps it. A control that does
            not lead does not know.
    """

    number: int
    state: str
    within_s: int
    left_s: float
    who: str = ""
    reason: str = ""
    at: int = 0
    undone_by: int = 0
    problem: str = ""
