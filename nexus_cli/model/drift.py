"""`drift:` of the site language: how often control looks for drift, and what it leaves out.

drift:
  every: 6h
  ignore: ["packaging/line-9/**", "**:description-changed"]
  severity: medium
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from pydantic import Field

from nexus_cli.model.spelling import Age, Strict, within

KIND_NAMES = (
    "writable-changed",
    "rights-changed",
    "rights-behind",
    "read-only",
    "type-changed",
    "gateway-behind",
    "address-changed",
    "address-gone",
    "address-moved",
    "block-short",
    "read-refused",
    "device-silent",
    "device-failed",
    "not-recorded",
    "not-declared",
    "settings-changed",
    "sampling-changed",
    "description-changed",
    "identity-changed",
    "database-table",
    "database-column",
    "database-constraint",
    "database-index",
    "database-trigger",
    "database-function",
    "database-view",
    "database-partition",
    "database-policy",
    "database-rollup",
    "database-grant",
)
"""Kinds of drift; their severities are in `drift/kinds.py`."""


class Drift(Strict):
    """How often control compares what is recorded with gateways and devices."""

    every: Annotated[Age, within("1m", "30d")] = Field(
        description="Time from one look to the next, e.g. 6h; from 1m to 30d."
    )
    ignore: list[str] = Field(
        default_factory=list,
        description="What is no finding: a path glob, or glob:kind, such as **:description-changed.",
    )
    severity: Literal["critical", "high", "medium", "low"] = Field(
        default="low", description="The least severity that counts."
    )


class DriftConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`drift` of the resource `site`.

    Attributes:
        every_ms: Time from one look to the next, in ms.
        ignore: As in the site file.
        severity: The least severity that counts.
    """

    every_ms: int
    ignore: list[str] = []
    severity: str = "low"


def drift_config(drift: Drift | None) -> DriftConfig | None:
    """The normal form; None where the site has no schedule."""
    if drift is None:
        return None
    return DriftConfig(every_ms=drift.every, ignore=list(drift.ignore), severity=drift.severity)
