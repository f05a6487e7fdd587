"""The resource `view.NAME`, and which topics its filters mean."""

from __future__ import annotations

import msgspec

from nexus_cli.model.views import View
from nexus_cli.wire.topic import PLATFORM, Topics, glob_to_filter

LEVELS = 4
"""area/line/device/tag"""


class ViewConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The resource `view.NAME`.

    Attributes:
        priority: 1 (first) to 6.
        filters: As they are written: path globs below the site, or MQTT filters.
        description: For people.
    """

    priority: int
    filters: list[str] = []
    description: str | None = None


def view_config(view: View) -> ViewConfig:
    """A view in normal form."""
    return ViewConfig(priority=view.priority, filters=list(view.filters), description=view.description)


def is_topic_filter(text: str) -> bool:
    """True for a whole MQTT filter; everything else is a path glob below the site."""
    return "+" in text or "#" in text or text.split("/", 1)[0] == PLATFORM


def topic_filter(text: str, topics: Topics) -> str:
    """The MQTT filter that a filter of a view means. The path of an area, line or device means everything below it."""
    if is_topic_filter(text):
        return text
    levels = text.strip("/").split("/")
    if len(levels) < LEVELS and levels[-1] != "**":
        levels.append("**")
    return topics.tag(glob_to_filter("/".join(levels)))
