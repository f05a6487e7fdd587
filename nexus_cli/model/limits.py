"""`limits:` of the site language: how much one deployment may change without consent.

limits: {mass_change: 20%}
limits: {mass_change: {devices: 20%, series: 1%}}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, Field

from nexus_cli.model.spelling import Strict

DEVICES, TAGS, SERIES, RIGHTS = "devices", "tags", "series", "rights"
KINDS = (DEVICES, TAGS, SERIES, RIGHTS)
"""What a mass change is counted of."""
_SHARE = r"^(100|\d{1,2})(\.\d{1,3})?\s*%$"
Share = Annotated[str, Field(pattern=_SHARE, max_length=12, examples=["20%"])]
"""A percentage, e.g. `20%`."""


class MassChange(Strict):
    """A limit for each of them; what is left out has none."""

    devices: Share | None = Field(
        default=None, description="Of the recorded devices: those that change, move or go, or of which a tag does."
    )
    tags: Share | None = Field(default=None, description="Of the recorded tags: those that change, move or go.")
    series: Share | None = Field(
        default=None,
        description="Of the recorded series: those that end, get another name, begin a segment (type, unit), go to "
        "another retention class, or whose class keeps its samples otherwise.",
    )
    rights: Share | None = Field(
        default=None, description="Of the users and provider groups on record: those that gain or lose a right."
    )


def _for_each(value: object) -> object:
    """One share is the limit of each kind."""
    if value is None or isinstance(value, Mapping | MassChange):
        return value
    if not isinstance(value, str) or not re.fullmatch(_SHARE, value):
        raise ValueError("is a percentage such as 20%, or a map of such")
    return dict.fromkeys(KINDS, value)


class Limits(Strict):
    """What one deployment may do at once."""

    mass_change: Annotated[MassChange | None, BeforeValidator(_for_each, json_schema_input_type=Share | MassChange)] = (
        Field(
            default=None,
            description="Share of the recorded devices, tags, series and principals that one deployment may change, move "
            "or forget; beyond it, it needs the consent mass-change. A map sets them apart. Without it there is no such limit.",
        )
    )


def share_of(text: str | None) -> float | None:
    """A written percentage as a share: `20%` is 0.2, and `0.7%` the number that is written 0.007."""
    return None if text is None else float(Decimal(text.rstrip("% ")) / 100)


def mass_change_of(limits: Limits) -> float | dict[str, float] | None:
    """The limit as the snapshot has it: one share where it is the same for each kind, else by kind; None is no limit."""
    given = {kind: share_of(getattr(limits.mass_change, kind, None)) for kind in KINDS}
    shares = {kind: share for kind, share in given.items() if share is not None}
    alike = len(shares) == len(KINDS) and len(set(shares.values())) == 1
    return shares[DEVICES] if alike else shares or None
