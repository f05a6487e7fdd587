"""What a caller may read and write, tag by tag: computed once for each combination of roles, from the grants that the broker
enforces. So the page and the broker never differ.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nexus_cli.access.evaluate import plain_part
from nexus_cli.access.grants import Action, Grant
from nexus_cli.access.people import ANY_TIME
from nexus_cli.access.role_grants import user_grants
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.identity.held import PLATFORM
from nexus_cli.runtime.web.site_view import SiteView, TagView
from nexus_cli.wire.topic import matches

Mask = NDArray[np.bool_]
_CALLER = "caller"
"""The name under which the grants of a combination of roles are compiled; no role of it is declared for anybody else."""
_AFTER = "0"
"""The character after `/`: a subtree `a/b/#` ends before `a/b0`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerRights:
    """Rights on the tags of one `SiteView`, in the order of its tags, and on topics beside them.

    Attributes:
        readable: Tags whose values it may see.
        writable: Tags that take commands from it.
        grants: What it may do at the broker under the name `caller`; of the platform's own principals nothing is listed.
        everything: True of the command line and of control: every tag, every topic of the site.
    """

    readable: Mask
    writable: Mask
    grants: tuple[Grant, ...] = ()
    everything: bool = False

    def may_read(self, tag: TagView) -> bool:
        """Whether its value may be seen."""
        return bool(self.readable[tag.index])

    def may_write(self, tag: TagView) -> bool:
        """Whether a command may be sent to it."""
        return bool(self.writable[tag.index])

    def may_hear(self, topic: str) -> bool:
        """Whether messages on a topic may be seen."""
        return self.everything or self._has("subscribe", topic)

    def may_publish(self, topic: str) -> bool:
        """Whether a message may be published on a topic."""
        return self.everything or self._has("publish", topic)

    def _has(self, action: Action, topic: str) -> bool:
        return any(grant.action == action and matches(grant.filter, topic) for grant in self.grants)


def readable_tag(view: SiteView, rights: CallerRights, path: str) -> TagView:
    """A tag that the caller may read; one that it may not read is as one that is not there.

    Raises:
        NexusError: NX6802.
    """
    tag = view.by_path.get(path)
    if tag is None or not rights.may_read(tag):
        raise NexusError(f"There is no tag '{path[:200]}' that you may read.", code="NX6802")
    return tag


def rights_of(view: SiteView, caller: Caller) -> CallerRights:
    """The rights of a caller now. Up to a second for 41,000 tags and roles that name them one by one: not on the loop."""
    count = len(view.tags)
    takes = np.fromiter((tag.writable for tag in view.tags), np.bool_, count)
    if caller.held.kind == PLATFORM:
        whole = caller.held.admin
        return CallerRights(readable=np.full(count, whole), writable=takes & whole, everything=whole)
    grants = tuple(_grants(view, caller.held.roles))
    topics = view.topics
    paths = [tag.path for tag in view.tags]
    reads = _filters(grants, "subscribe", prefix=f"{topics.live}/")
    writes = _filters(grants, "publish", prefix=f"{topics.platform}/cmd/", suffix=f"/{_CALLER}")
    return CallerRights(readable=_mask(paths, reads), writable=_mask(paths, writes) & takes, grants=grants)


def _grants(view: SiteView, roles: Sequence[str]) -> Iterable[Grant]:
    kinds = ("role.", "message.", "alert.")
    resources = {address: value for address, value in view.resources.items() if address.startswith(kinds)}
    resources["site"] = view.resources.get("site", {})
    resources[f"user.{_CALLER}"] = {"roles": list(roles)}
    snapshot = Snapshot(view.topics.enterprise, view.topics.site, resources)
    return user_grants(view.topics, snapshot, view.tree, ANY_TIME)


def _filters(grants: Iterable[Grant], action: Action, *, prefix: str, suffix: str = "") -> list[str]:
    """The path part of the grants' filters on one kind of topic."""
    return [
        grant.filter[len(prefix) : len(grant.filter) - len(suffix)]
        for grant in grants
        if grant.action == action and grant.filter.startswith(prefix) and grant.filter.endswith(suffix)
    ]


def _mask(paths: Sequence[str], filters: Iterable[str]) -> Mask:
    """Which of the sorted paths the filters cover."""
    mask = np.zeros(len(paths), np.bool_)
    for each in filters:
        plain = plain_part(each)
        low = bisect_left(paths, plain)
        high = bisect_left(paths, plain[:-1] + _AFTER) if plain else len(paths)
        if each == f"{plain}#":
            mask[low:high] = True
        elif not ("+" in each or "#" in each):
            at = bisect_left(paths, each)
            if at < len(paths) and paths[at] == each:
                mask[at] = True
        else:
            for at in range(low, high):
                if not mask[at] and matches(each, paths[at]):
                    mask[at] = True
    return mask
