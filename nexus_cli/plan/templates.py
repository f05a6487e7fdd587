"""The blast radius of a template: every device made from it that changes, and what happens to it. Pure.

The snapshot does not name templates, so that digests do not change with them; the loader knows which device has which.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nexus_cli.plan.change import Change
from nexus_cli.plan.link_sessions import LinkSessions
from nexus_cli.plan.reach import Reached, reached


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateReach:
    """What a plan does to the devices of one template."""

    template: str
    reached: Reached


def template_reach(
    changes: Sequence[Change], template_of: Mapping[str, str], sessions: LinkSessions
) -> tuple[TemplateReach, ...]:
    """The templates whose devices change, by name.

    Args:
        changes: Of a plan.
        template_of: Template by path of every declared device that has one.
        sessions: What becomes of the sessions.
    """
    touched: dict[str, list[Change]] = {}
    for change in changes:
        template = template_of.get(change.name) if change.type == "device" and change.after is not None else None
        if template is not None:
            touched.setdefault(template, []).append(change)
    if not touched:
        return ()
    users = Counter(template_of.values())
    return tuple(
        TemplateReach(
            template=name,
            reached=reached(found, sessions, whole=users[name], tags=sum(len(change.tags) for change in found)),
        )
        for name, found in sorted(touched.items())
    )
