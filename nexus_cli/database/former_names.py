"""Former paths of tags, and of the devices, lines and areas that were renamed with them. Pure."""

from __future__ import annotations

from collections.abc import Iterable


def with_levels(moved: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Present path by former one, from those of tags: also of what was renamed with everything below."""
    found: dict[str, str] = {}
    for former, current in moved:
        found[former] = current
        old, new = former.split("/"), current.split("/")
        while len(old) == len(new) > 1 and old[-1] == new[-1]:
            old, new = old[:-1], new[:-1]
            if old != new:
                found["/".join(old)] = "/".join(new)
    return found
