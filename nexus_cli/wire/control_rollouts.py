"""Bodies of control's HTTP API about rollouts: deployments that go out in waves, or wait for a maintenance window.

Rules as in `control.py`. See docs/decisions/0104.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from nexus_cli.wire.control import NO_NUL, Body, Question
from nexus_cli.wire.rollout import Gates

Why = Annotated[str, msgspec.Meta(max_length=500, pattern=NO_NUL)]


class Verdict(Body, frozen=True, kw_only=True):
    """What a gate found.

    Attributes:
        gate: `good`, `missed_polls` or `alarms`.
        state: `passed`, `failed`, or `not-applicable` where there is nothing to measure.
        text: What was measured, for people.
        before, after: What was measured; None where nothing could be.
        limit: Of the gate.
    """

    gate: str
    state: str
    text: str
    before: float | None = None
    after: float | None = None
    limit: float | None = None


class RolloutWave(Body, frozen=True, kw_only=True):
    """One wave of a rollout.

    Attributes:
        name: Of the wave.
        state: `pending`, `waiting`, `applying`, `soaking`, `passed`, `failed` (its gates), `stopped` (by a person) or `rolled-back`.
        resources, devices: How many of its changes, and how many of them are devices.
        soak_ms, left_ms: How long it soaks, and what is left of that.
        deployment: Number of its deployment; 0 before it began.
        opens: When the window that it waits for opens; None where it waits for none.
        verdicts: Of its gates.
    """

    name: str
    state: str
    resources: int = 0
    devices: int = 0
    soak_ms: int = 0
    left_ms: int = 0
    deployment: int = 0
    opens: int | None = None
    verdicts: list[Verdict] = []


class Rollout(Body, frozen=True, kw_only=True):
    """A deployment in waves.

    Attributes:
        number: From 1 upwards, within the site; deployments have numbers of their own.
        who, reason: As of a deployment.
        state: `waiting` (for a window, or for the lock), `applying`, `soaking`, `stopped`, `rolling-back`, `rolled-back`
            or `applied`.
        why: Why it was stopped, or what it waits for; "" otherwise.
        wave: Position of the wave that it is at, from 1.
        waves: All of them.
        gates, on_failure, window: As it was asked for.
        base: Number of the deployment before it.
        run_url: Page of the CI run that made it; "" of one that a person made.
        undone_by: Number of the deployment that took it back; 0 is none.
        started, ended: `ended` is None while it is in flight.
    """

    number: int
    who: str = ""
    reason: str = ""
    state: str
    why: str = ""
    wave: int = 1
    waves: list[RolloutWave] = []
    gates: Gates = Gates()
    on_failure: str = "stop"
    window: str = "refuse"
    base: int = 0
    run_url: str = ""
    undone_by: int = 0
    started: int = 0
    ended: int | None = None


class Rollouts(Body, frozen=True, kw_only=True):
    """The newest first."""

    rollouts: list[Rollout]


class RolloutNote(Question, frozen=True, kw_only=True):
    """Why a rollout is stopped, continued or taken back."""

    reason: Why = ""


def in_words(rollout: Rollout) -> str:
    """Where a rollout is, in one line: `rollout 3: wave canary (1 of 3) soaks, 4 min left`."""
    wave = rollout.waves[rollout.wave - 1] if rollout.waves else RolloutWave(name="all", state="pending")
    at = f"wave {wave.name} ({rollout.wave} of {len(rollout.waves)})"
    if rollout.state == "waiting":
        what = "waits for its maintenance window" if wave.state == "waiting" else "is about to begin"
        text = f"{at} {what}"
    elif rollout.state == "applying":
        text = f"{at} is being applied as deployment {wave.deployment}"
    elif rollout.state == "soaking":
        left_s = wave.left_ms // 1000
        text = f"{at} soaks, " + (f"{left_s // 60} min left" if left_s >= 120 else f"{left_s} s left")
    elif rollout.state == "rolling-back":
        text = f"it is being taken back; {rollout.why}"
    elif rollout.state == "applied":
        text = f"applied in {len(rollout.waves)} waves"
    else:
        text = f"{'stopped' if rollout.state == 'stopped' else 'taken back'}: {rollout.why}"
    return f"rollout {rollout.number}: {text}"
