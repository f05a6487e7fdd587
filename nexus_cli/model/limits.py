"""`limits:` of the site language: how much one deployment may change without consent.

limits: {mass_change: 20%}
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from nexus_cli.model.spelling import Strict

Share = Annotated[str, Field(pattern=r"^(100|\d{1,2})(\.\d{1,3})?\s*%$", max_length=12, examples=["20%"])]
"""A percentage, e.g. `20%`."""


class Limits(Strict):
    """What one deployment may do at once."""

    mass_change: Share | None = Field(
        default=None,
        description="Share of the recorded devices that one deployment may change, move or forget; beyond it, it needs "
        "the consent mass-change. Without it there is no such limit.",
    )


def share_of(text: str | None) -> float | None:
    """A written percentage as a share: `20%` is 0.2, and `0.7%` the number that is written 0.007."""
    return None if text is None else float(Decimal(text.rstrip("% ")) / 100)
