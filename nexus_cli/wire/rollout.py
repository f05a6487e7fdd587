"""How a deployment goes out, in the request for it, and the rollout that one belongs to: what `control.py` has of rollouts.

See docs/decisions/0104.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

NO_NUL = r"^[^\x00]*$"
MOST_ADDRESSES = 100_000
MOST_WAVES = 51
"""Those that a site may declare, and the rest."""
LONGEST_SOAK_MS = 30 * 86_400_000
ACTIVE = ("waiting", "applying", "soaking", "rolling-back")
"""States of a rollout that is in flight: nothing else is applied meanwhile."""
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
WindowUse = Literal["refuse", "wait", "ignore"]
"""What is done outside a maintenance window: refuse, wait until it opens, or continue."""


class Gates(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What must hold when a wave has soaked; None asks nothing.

    Attributes:
        good: Least share of the wave's tags whose newest value is GOOD.
        missed_polls: Largest share of its polls that did not take place.
        alarms: How many of its alarms may become active.
    """

    good: Share | None = None
    missed_polls: Share | None = None
    alarms: Annotated[int, msgspec.Meta(ge=0, le=100_000)] | None = None


class WaveRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One wave: which changed addresses go out together, and how long it soaks, in ms; 0 measures no gates."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=NO_NUL)]
    addresses: Annotated[
        list[Annotated[str, msgspec.Meta(min_length=1, max_length=500, pattern=NO_NUL)]],
        msgspec.Meta(min_length=1, max_length=MOST_ADDRESSES),
    ]
    soak_ms: Annotated[int, msgspec.Meta(ge=0, le=LONGEST_SOAK_MS)] = 0


class RolloutRequest(msgspec.Struct, frozen=True, kw_only=True):
    """How a deployment goes out.

    Attributes:
        waves: In order; together they have each change once. None is one wave of everything.
        gates: Of every wave that soaks.
        on_failure: `stop`, or `rollback` what was done.
        window: What is done outside a maintenance window.
        at_once: A person wants no waves, also where a rollout that stopped has left some.
    """

    waves: Annotated[list[WaveRequest], msgspec.Meta(max_length=MOST_WAVES)] = []
    gates: Gates = Gates()
    on_failure: Literal["stop", "rollback"] = "stop"
    window: WindowUse = "refuse"
    at_once: bool = False


class RolloutOf(msgspec.Struct, frozen=True, kw_only=True):
    """The rollout of a deployment: its number, the name and the position of the wave, from 1, of how many; and its state."""

    number: int
    wave: str
    position: int
    waves: int
    state: str
