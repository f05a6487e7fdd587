"""Rights on old topics, while values are published there as well (`keep_old_for`): those of the new topics. Pure.

Whoever hears a value under its new path hears it under the old one, and the gateway that publishes there may publish
here. Nothing else is given, and no command has another topic.

See docs/decisions/0105.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nexus_cli.access.grants import RESERVED, Grant
from nexus_cli.model.alias_config import AliasConfig
from nexus_cli.model.resources import every
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.wire.topic import Topics


def alias_grants(grants: Iterable[Grant], snapshot: Snapshot, topics: Topics) -> Iterator[Grant]:
    """The grants on old topics that follow from those on the new ones.

    Args:
        grants: Of the state without its aliases.
        snapshot: The state.
        topics: Of its site.
    """
    aliases = [(name, config) for name, config in every(snapshot, "alias", AliasConfig)]
    if not aliases:
        return
    head = f"{topics.live}/"
    for grant in grants:
        if not grant.filter.startswith(head) or not _follows(grant):
            continue
        rest = grant.filter[len(head) :].split("/")
        for old, config in aliases:
            found = _instead(rest, new=config.to.split("/"), old=old.split("/"))
            if found is not None:
                why = f"{grant.why}; {old} is {config.to} now"
                yield Grant(grant.principal, grant.action, head + "/".join(found), why, grant.qos, grant.retain)


def _follows(grant: Grant) -> bool:
    """Hearing by users, and publishing by gateways; the other roles have the whole live view."""
    if grant.action == "publish":
        return grant.principal.startswith(f"{RESERVED}gateway.")
    return not grant.principal.startswith(RESERVED)


def _instead(filter_: list[str], *, new: list[str], old: list[str]) -> list[str] | None:
    """The same filter below the old path; None when it does not reach below the new one."""
    for at, level in enumerate(new):
        if at >= len(filter_):
            return None
        if filter_[at] == "#":
            return [*old, "#"]
        if filter_[at] not in ("+", level):
            return None
    return [*old, *filter_[len(new) :]]
