"""First-out: which alarm of a group came first.

As on an annunciator (ISA-18.1, sequences with first-out): an alarm that comes while no alarm of its group waits for an answer is the
first of a cascade; those that follow are not, until all of them are acknowledged. Alarms without a group are one group.
"""

from __future__ import annotations

from nexus_cli.alarms.machine import UNANSWERED, Alert


class Cascades:
    """Which alarms wait for an answer, by group."""

    def __init__(self) -> None:
        """Begin with none."""
        self._waiting: dict[str, set[str]] = {}
        self._group_of: dict[str, str] = {}

    def follow(self, name: str, alert: Alert, *, raised: bool) -> None:
        """Note an alert as it is now, and with `raised` say in it whether it is the first."""
        waits = alert.config.priority != "" and alert.state in UNANSWERED and not alert.held
        group = alert.config.group
        if self._group_of.get(name, group) != group or not waits or raised:
            self.forget(name)
        if not waits:
            return
        waiting = self._waiting.setdefault(group, set())
        if raised:
            alert.first_out = not waiting
        waiting.add(name)
        self._group_of[name] = group

    def forget(self, name: str) -> None:
        """An alert is not waiting any more, or gone."""
        group = self._group_of.pop(name, None)
        if group is None:
            return
        waiting = self._waiting[group]
        waiting.discard(name)
        if not waiting:
            del self._waiting[group]
