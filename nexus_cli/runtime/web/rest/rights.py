"""What the routes for reading need."""

from __future__ import annotations

from nexus_cli.runtime.web.rest import cards, find, histories, statistics

ROUTES = (*find.ROUTES, *cards.ROUTES, *histories.ROUTES, *statistics.ROUTES)
