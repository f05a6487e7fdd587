"""Updates that a caller may see at the moment that they are given."""

from __future__ import annotations

from collections.abc import Iterable

from nexus_cli.runtime.web.i3x.address_space import AddressSpace
from nexus_cli.runtime.web.i3x.subscriptions.queue import Update


def shown_updates(space: AddressSpace, updates: Iterable[Update]) -> list[Update]:
    """Those of tags that it may read, of devices that it sees whole as they were put, and of levels."""
    known: dict[str, bool] = {}
    found = []
    for update in updates:
        may = known.get(update.path)
        if may is None:
            tag = space.view.by_path.get(update.path)
            may = known[update.path] = tag is None or space.rights.may_read(tag)
        if may:
            found.append(update)
    return found
