"""`on_change:` of a device or a line: sequences that a deployment runs around a change of it.

See docs/decisions/0110.
"""

from __future__ import annotations

from pydantic import Field

from nexus_cli.model.spelling import Strict

BEFORE = "before"
AFTER = "after"


class OnChange(Strict):
    """Sequences around a deployment that changes a device; the nearest `on_change` counts as a whole."""

    before: str | None = Field(
        default=None, description="Sequence that runs before anything changes; if it fails, nothing changes."
    )
    after: str | None = Field(
        default=None, description="Sequence that runs when the gateways run the changed configuration."
    )


def bindings(on_change: OnChange | None) -> dict[str, str]:
    """Name of the sequence by `before` and `after`, those that are there."""
    given = {BEFORE: on_change.before, AFTER: on_change.after} if on_change is not None else {}
    return {when: name for when, name in given.items() if name}
