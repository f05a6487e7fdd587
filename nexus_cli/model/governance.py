"""What the site language says about data beyond its value: who owns it, whom it concerns, and how good it has to be.

quality:
  range: reject
  rate: {above: 50, per: 1s, do: flag}
  flat: {for: 10m, do: alarm}
  missing: {for: 1m, do: flag}
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nexus_cli.model.alarms import Priority
from nexus_cli.model.spelling import Duration, Strict

Do = Literal["flag", "reject", "alarm"]
"""`flag` makes the value UNCERTAIN, `reject` keeps it out of history and topics and puts it to the dead letters, `alarm` raises an alert."""
PRIORITY = "With `alarm`: low, medium, high or critical, an alarm that a person answers (default: an alert that notifies no one)."


class RangeRule(Strict):
    """A value outside the tag's range; `range: alarm` is short for `range: {do: alarm}`."""

    do: Do = Field(default="flag", description="flag, reject or alarm.")
    priority: Priority | None = Field(default=None, description=PRIORITY)


class RateRule(Strict):
    """A value that moves faster than the process can."""

    above: float = Field(gt=0, description="Largest move, up or down, in the published unit.")
    per: Duration = Field(default=1_000, description="In this time (default 1s).")
    do: Do = Field(default="flag", description="flag, reject or alarm.")
    priority: Priority | None = Field(default=None, description=PRIORITY)


class TimeRule(Strict):
    """A value that does not move, or does not come."""

    for_: Duration = Field(alias="for", description="For so long.")
    do: Literal["flag", "alarm"] = Field(default="flag", description="flag or alarm: there is no value to reject.")
    priority: Priority | None = Field(default=None, description=PRIORITY)


class QualityRules(Strict):
    """How good a value has to be. The nearest rule of each kind counts."""

    range: Do | RangeRule | None = Field(
        default=None, description="What happens outside the tag's `range` (default flag)."
    )
    rate: RateRule | None = Field(default=None, description="Moves faster than the process can.")
    flat: TimeRule | None = Field(default=None, description="Does not move, as of a sensor that is stuck.")
    missing: TimeRule | None = Field(default=None, description="Does not come.")


def does(rules: QualityRules, kind: str) -> Do | None:
    """What the rule of a kind does; None where there is none."""
    rule: Do | RangeRule | RateRule | TimeRule | None = getattr(rules, kind)
    return rule.do if isinstance(rule, RangeRule | RateRule | TimeRule) else rule


def priority_of(rules: QualityRules, kind: str) -> Priority | None:
    """The priority that the rule of a kind names, whatever it does."""
    found: Priority | None = getattr(getattr(rules, kind), "priority", None)
    return found
