"""A sink of subscriptions that remembers what was reported."""

from __future__ import annotations

from collections.abc import Sequence

from nexus_cli.drivers.base import Fault, Notification
from nexus_cli.wire.sample import Value


class Heard:
    """What subscriptions reported.

    Attributes:
        all: Every report, in order.
        newest: By path of the device and name of the tag.
    """

    def __init__(self) -> None:
        self.all: list[Notification] = []
        self.newest: dict[tuple[str, str], Notification] = {}

    def __call__(self, path: str, reported: Sequence[Notification]) -> None:
        """Take a report."""
        for one in reported:
            self.all.append(one)
            self.newest[path, one.point.name] = one

    def clear(self) -> None:
        """Forget it all."""
        self.all.clear()
        self.newest.clear()

    def value(self, path: str, tag: str) -> Value:
        """The newest value; None when there is none."""
        found = self.newest.get((path, tag))
        return None if found is None else found.value

    def of(self, tag: str) -> list[Notification]:
        """The reports of a tag, in order."""
        return [one for one in self.all if one.point.name == tag]

    @property
    def values(self) -> dict[str, Value]:
        """Newest value by tag."""
        return {tag: one.value for (_, tag), one in self.newest.items()}

    @property
    def faults(self) -> dict[str, Fault | None]:
        """Newest fault by tag."""
        return {tag: one.fault for (_, tag), one in self.newest.items()}

    @property
    def times(self) -> dict[str, int | None]:
        """The device's time of the newest value by tag, µs since 1970 UTC."""
        return {tag: one.source_time_us for (_, tag), one in self.newest.items()}
