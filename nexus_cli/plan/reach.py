"""The blast radius of one text that many devices share: what a plan does to the devices that it reaches. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from nexus_cli.diagnostics.wording import counted
from nexus_cli.plan.change import Action, Change
from nexus_cli.plan.session_gap import restarts

DONE: Mapping[str, str] = {"create": "new", "update": "updated", "move": "moved", "forget": "forgotten"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """What a plan does to the devices that one text reaches.

    Attributes:
        devices: Paths of those that change, sorted.
        unchanged: How many do not.
        tags: Tags that change in them.
        actions: How many devices by action.
        restarts: How many sessions are set up again; devices on one link share one.
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


def reached(changes: Iterable[Change], *, whole: int, tags: int, restarting: Collection[str] | None = None) -> Reached:
    """What happens to some devices.

    Args:
        changes: Of these devices.
        whole: Devices that the text reaches, changed or not.
        tags: Tags that change because of it.
        restarting: Addresses of those whose session it can restart; None is all.
    """
    found: Sequence[Change] = sorted(changes, key=lambda change: change.name)
    actions = Counter(change.action for change in found)
    sessions = {
        ((change.after or {}).get("gateway"), (change.after or {}).get("link"))
        for change in found
        if restarts(change) and (restarting is None or change.address in restarting)
    }
    return Reached(
        devices=tuple(change.name for change in found),
        unchanged=max(whole - len(found), 0),
        tags=tags,
        actions={action.value: actions[action] for action in Action if actions[action]},
        restarts=len(sessions),
    )
