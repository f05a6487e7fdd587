"""The gap that a new session costs: how long, and how many polls that is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from nexus_cli.diagnostics.wording import counted, duration
from nexus_cli.drivers.link_load import SHORTEST_POLL_MS
from nexus_cli.drivers.registry import kinds
from nexus_cli.drivers.timeouts import connect_timeout_s
from nexus_cli.model.bound import Place
from nexus_cli.model.config import TagConfig
from nexus_cli.plan.change import Attributes
from nexus_cli.plan.link_sessions import place_of
from nexus_cli.plan.load_facts import LinkFacts

POLL_MS: int = TagConfig(type="bool").poll_ms


def gap(device: Attributes, facts: Mapping[Place, LinkFacts]) -> str:
    """Of a device that opens a new session, as a phrase: measured where its link was, else the longest.

    Args:
        device: After the change.
        facts: What a runtime measured, by gateway and link. A link that is new has none.
    """
    known = facts.get(place_of(device))
    if known is not None and known.connect_ms is not None:
        return f"gap of about {known.connect_ms:,.0f} ms, as its last connect took{_missed(device, known.connect_ms)}"
    longest_ms = connect_timeout_s(device.get("connection") or {}) * 1000
    return f"gap of about one connect{_missed(device, longest_ms, at_most=True)}"


def needs_session(device: Attributes, keys: Iterable[str]) -> bool:
    """Whether one of these connection keys belongs to the link; where no driver says so, each does."""
    kind = kinds().get(str(device.get("protocol")))
    return kind is None or not kind.link_keys.isdisjoint(keys)


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
