"""Retained topics without an owner: below the site, and of no declared tag, message or other system. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from nexus_cli.wire.topic import PLATFORM, Topics, matches


def why_owned(
    topic: str,
    topics: Topics,
    *,
    declared: Callable[[str], bool],
    external: Callable[[str], bool],
    messages: Sequence[str],
) -> str:
    """Why what a broker keeps on a topic is not to be cleared, as the end of a sentence; "" when it has no owner.

    Args:
        topic: A whole topic.
        topics: Of the site.
        declared: Whether a path below the site is a declared tag.
        external: Whether another system publishes under a path below the site.
        messages: Filters of the declared messages.
    """
    if topic == PLATFORM or topic.startswith((f"{PLATFORM}/", "$")):
        return "a topic of the platform, which clears it itself"
    path = topics.path(topic)
    if path is None:
        return f"not below {topics.live}"
    if declared(path):
        return "the topic of a declared tag"
    if any(matches(filter_, topic) for filter_ in messages):
        return "the topic of a declared message"
    if external(path):
        return "another system publishes there"
    return ""


def unowned(
    kept: Iterable[str],
    topics: Topics,
    *,
    declared: Callable[[str], bool],
    external: Callable[[str], bool],
    messages: Sequence[str],
) -> list[str]:
    """Those of the topics without an owner, sorted; arguments as of `why_owned`."""
    return sorted(
        topic for topic in kept if not why_owned(topic, topics, declared=declared, external=external, messages=messages)
    )
