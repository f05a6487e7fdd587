"""Views of the site language: what a person may write under `views:`, what is watched first.

views:
  line-1:
    priority: 1
    filters: ["bottling/line-1/**", "partner/+/press/#"]
    description: The line that everything waits for.
"""

from __future__ import annotations

from pydantic import Field

from nexus_cli.model.spelling import Strict

PRIORITIES = 6


class View(Strict):
    """Topics that are watched together, and how soon one looks at them."""

    priority: int = Field(ge=1, le=PRIORITIES, description="1 is watched first, 6 last; several views may share one.")
    filters: list[str] = Field(
        default_factory=list,
        description="Path globs below the site (`*` one level, `**` the rest), or whole MQTT filters, which have `+` or "
        "`#` in them: others' topics, too.",
    )
    description: str | None = Field(default=None, description="For people.")
