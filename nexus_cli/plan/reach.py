"""The blast radius of one text that many devices share: what a plan does to the devices that it reaches. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from nexus_cli.diagnostics.wording import counted
from nexus_cli.model.bound import Place
from nexus_cli.plan.change import Action, Change
from nexus_cli.plan.link_sessions import Effect, LinkSessions, in_service, place_of

DONE: Mapping[str, str] = {"create": "new", "update": "updated", "move": "moved", "forget": "forgotten"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """What a plan does to the devices that one text reaches.

    Attributes:
        devices: Paths of those that change, sorted.
        unchanged: How many do not.
        tags: Tags that change in them.
        actions: How many devices by action.
        restarts: How many sessions are set up again, or closed here and opened on another link.
    """

    devices: tuple[str, ...]
    unchanged: int
    tags: int
    actions: Mapping[str, int]
    restarts: int = 0

    @property
    def text(self) -> str:
        """What happens, one line."""
        done = ", ".join(f"{count:,} {DONE[action]}" for action, count in self.actions.items() if action in DONE)
        whole = len(self.devices) + self.unchanged
        reach = f"{len(self.devices):,} of {counted(whole, 'device')}: {done}; {counted(self.tags, 'tag')} changed"
        session = f"{counted(self.restarts, 'session')} restart" if self.restarts else "no session restarts"
        return f"{reach}; {session}{'s' * (self.restarts == 1)}"


def reached(
    changes: Iterable[Change],
    sessions: LinkSessions,
    *,
    whole: int,
    tags: int,
    restarting: Collection[str] | None = None,
) -> Reached:
    """What happens to some devices.

    Args:
        changes: Of these devices.
        sessions: What becomes of the sessions.
        whole: Devices that the text reaches, changed or not.
        tags: Tags that change because of it.
        restarting: Addresses of those whose session it can restart; None is all.
    """
    found: Sequence[Change] = sorted(changes, key=lambda change: change.name)
    actions = Counter(change.action for change in found)
    may = [change for change in found if restarting is None or change.address in restarting]
    return Reached(
        devices=tuple(change.name for change in found),
        unchanged=max(whole - len(found), 0),
        tags=tags,
        actions={action.value: actions[action] for action in Action if actions[action]},
        restarts=len(set(_restarted(may, sessions))),
    )


def _restarted(changes: Iterable[Change], sessions: LinkSessions) -> Iterator[Place]:
    """Of each device that is read before and after: its session, where that is another one afterwards."""
    for change in changes:
        before, after = change.before, change.after
        if before is None or after is None or not (in_service(before) and in_service(after)):
            continue
        effect = sessions.effect(after)  # a link that is open already takes one more device without a new session
        if effect is Effect.RESTARTS or (effect is Effect.OPENS and place_of(before) != place_of(after)):
            yield place_of(after)
