"""Rights of the routes of this folder."""

from __future__ import annotations

from nexus_cli.runtime.api.decisions import open_route, route

DECISIONS = (
    # Before anybody logs in, the page says whether it shows the plant.
    open_route("GET", "/environment"),
    route("GET", "/views", "values:read"),
)
