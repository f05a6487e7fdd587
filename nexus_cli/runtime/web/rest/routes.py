"""Every route for reading."""

from __future__ import annotations

from fastapi import FastAPI

from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.runtime.web.rest.cards import add_card_routes
from nexus_cli.runtime.web.rest.find import add_find_routes
from nexus_cli.runtime.web.rest.histories import add_history_routes
from nexus_cli.runtime.web.rest.statistics import add_statistics_routes
from nexus_cli.runtime.web.rest.stored import Stored


def add_rest_routes(app: FastAPI, *, base: str, parts: WebParts) -> None:
    """Add them."""
    stored = Stored(parts)
    add_find_routes(app, base=base, parts=parts)
    add_card_routes(app, base=base, parts=parts)
    add_history_routes(app, base=base, parts=parts, stored=stored)
    add_statistics_routes(app, base=base, parts=parts, stored=stored)
