"""The declared views, as far as a caller may subscribe to them."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from nexus_cli.model.resources import decode
from nexus_cli.model.view_config import ViewConfig, topic_filter
from nexus_cli.runtime.web.caller_rights import CallerRights
from nexus_cli.runtime.web.site_view import SiteView
from nexus_cli.wire.topic import meet
from nexus_cli.wire.web_environment import ShownView


def views_for(view: SiteView, rights: CallerRights) -> list[ShownView]:
    """By priority, then name. A filter stays when the caller may subscribe to some topic of it; a view without any is left out."""
    return sorted(_shown(view, rights), key=lambda each: (each.priority, each.name))


def _shown(view: SiteView, rights: CallerRights) -> Iterator[ShownView]:
    heard = {grant.filter for grant in rights.grants if grant.action == "subscribe"}
    for name, attributes in view.of_kind("view"):
        try:
            config = decode(attributes, ViewConfig)
        except msgspec.ValidationError:  # a later version wrote it
            continue
        filters = [topic_filter(text, view.topics) for text in config.filters]
        kept = [each for each in filters if rights.everything or any(meet(each, one) for one in heard)]
        if kept:
            yield ShownView(
                name=name,
                priority=config.priority,
                description=config.description or "",
                filters=kept,
                left_out=len(filters) - len(kept),
            )
