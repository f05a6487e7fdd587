"""The blast radius of a template: every device made from it that changes, and what happens to it. Pure.

The snapshot does not name templates, so that digests do not change with them; the loader knows which device has which.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from nexus_cli.diagnostics.wording import counted
from nexus_cli.plan.change import Action, Change
from nexus_cli.plan.link_sessions import Effect, LinkSessions, Place, in_service, place_of

DONE: Mapping[str, str] = {"create": "new", "update": "updated", "move": "moved", "forget": "forgotten"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateReach:
    """What a plan does to the devices of one template.

    Attributes:
        template: Its name.
        devices: Paths of its devices that change, sorted.
        unchanged: How many of its devices do not.
        tags: Tags that change in them.
        actions: How many devices by action.
        restarts: How many sessions are set up again, or closed here and opened on another link.
    """

    template: str
    devices: tuple[str, ...]
    unchanged: int
    tags: int
    actions: Mapping[str, int]
    restarts: int = 0

    @property
    def text(self) -> str:
        """What happens, one line."""
        done = ", ".join(f"{count:,} {DONE[action]}" for action, count in self.actions.items())
        whole = len(self.devices) + self.unchanged
        reach = f"{len(self.devices):,} of {counted(whole, 'device')}: {done}; {counted(self.tags, 'tag')} changed"
        session = f"{counted(self.restarts, 'session')} restart" if self.restarts else "no session restarts"
        return f"{reach}; {session}{'s' * (self.restarts == 1)}"


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
    return tuple(_reach(name, found, users[name], sessions) for name, found in sorted(touched.items()))


def _reach(template: str, changes: Iterable[Change], users: int, sessions: LinkSessions) -> TemplateReach:
    found = sorted(changes, key=lambda change: change.name)
    actions = Counter(change.action for change in found)
    return TemplateReach(
        template=template,
        devices=tuple(change.name for change in found),
        unchanged=users - len(found),
        tags=sum(len(change.tags) for change in found),
        actions={action.value: actions[action] for action in Action if actions[action]},
        restarts=len(set(_restarted(found, sessions))),
    )


def _restarted(changes: Iterable[Change], sessions: LinkSessions) -> Iterator[Place]:
    """Of each device that is read before and after: its session, where that is another one afterwards."""
    for change in changes:
        before, after = change.before, change.after
        if before is None or after is None or not (in_service(before) and in_service(after)):
            continue
        if sessions.effect(after) is Effect.RESTARTS or place_of(before) != place_of(after):
            yield place_of(after)
