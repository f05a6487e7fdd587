"""The gap that a new session costs: how long, and how many polls that is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from nexus_cli.diagnostics.wording import counted, duration
from nexus_cli.drivers.link_load import SHORTEST_POLL_MS
from nexus_cli.drivers.registry import kinds
from nexus_cli.drivers.timeouts import connect_timeout_s
from nexus_cli.model.config import TagConfig
from nexus_cli.plan.change import Attributes, Change
from nexus_cli.plan.load_facts import LinkFacts

POLL_MS: int = TagConfig(type="bool").poll_ms


def gap(device: Attributes, facts: Mapping[str, LinkFacts]) -> str:
    """Of a device that opens a new session, as a phrase: measured where its link was, else the longest.

    Args:
        device: After the change.
        facts: What a runtime measured, by link. A link that is new has none.
    """
    known = facts.get(str(device.get("link", "")))
    if known is not None and known.connect_ms is not None:
        return f"gap of about {known.connect_ms:,.0f} ms, as its last connect took{_missed(device, known.connect_ms)}"
    longest_ms = connect_timeout_s(device.get("connection") or {}) * 1000
    return f"gap of about one connect{_missed(device, longest_ms, at_most=True)}"


def restarts(change: Change) -> bool:
    """Whether a device that stays gets a new session: another link or gateway, or a key of its link."""
    before, after = change.before, change.after
    if before is None or after is None:
        return False
    if any(before.get(key) != after.get(key) for key in ("link", "gateway", "protocol")):
        return True
    return bool(_keys_of_link(before, after))


def _keys_of_link(before: Attributes, after: Attributes) -> set[str]:
    """Keys of the connection that differ and cost the session; of an unknown protocol any."""
    changed = _connection_keys(before, after)
    kind = kinds().get(str(after.get("protocol")))
    return changed if kind is None else changed & kind.link_keys


def _connection_keys(before: Attributes, after: Attributes) -> set[str]:
    old, new = before.get("connection") or {}, after.get("connection") or {}
    return {key for key in {*old, *new} if old.get(key) != new.get(key)}


def reconnected(
    before: Attributes, after: Attributes, *, sharing: int, facts: Mapping[str, LinkFacts]
) -> Iterator[tuple[str, str]]:
    """Plane and text for a device whose connection changes on the same link: only keys of the link cost its session.

    Args:
        before, after: The device.
        sharing: Other devices on the link.
        facts: What a runtime measured, by link.
    """
    link = after.get("link") or "its link"
    if not _keys_of_link(before, after):
        changed = ", ".join(sorted(_connection_keys(before, after)))
        yield "devices", f"it is asked with the new {changed}; the session on {link} stays"
        return
    yield "devices", f"session on {link} is set up again with the new connection; {gap(after, facts)}"
    if sharing > 0:
        yield "devices", f"{counted(sharing, 'other device')} on {link} wait{'s' * (sharing == 1)} as long"


def _missed(device: Attributes, gap_ms: float, *, at_most: bool = False) -> str:
    """Polls that fall into a gap, of the shortest interval; "" where nothing is polled."""
    intervals = [
        max(int(tag.get("poll_ms", POLL_MS)), SHORTEST_POLL_MS)
        for tag in (device.get("tags") or {}).values()
        if tag.get("address") and tag.get("enabled", True) and tag.get("mode", "poll") == "poll"
    ]
    if not intervals:
        return ""
    shortest_ms = min(intervals)
    polls = counted(math.ceil(gap_ms / shortest_ms), "poll")
    return f" ({'at most ' * at_most}{polls} at {duration(shortest_ms)})"
