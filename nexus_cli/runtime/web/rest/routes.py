"""Every route for reading, and for exports."""

from __future__ import annotations

from fastapi import FastAPI

from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.runtime.web.rest.cards import add_card_routes
from nexus_cli.runtime.web.rest.devices import add_device_routes
from nexus_cli.runtime.web.rest.discoveries import add_discovery_routes
from nexus_cli.runtime.web.rest.exports import add_export_routes
from nexus_cli.runtime.web.rest.find import add_find_routes
from nexus_cli.runtime.web.rest.histories import add_history_routes
from nexus_cli.runtime.web.rest.latencies import add_latency_routes
from nexus_cli.runtime.web.rest.lineages import add_lineage_routes
from nexus_cli.runtime.web.rest.orphans import add_orphan_routes
from nexus_cli.runtime.web.rest.plants import add_plant_routes
from nexus_cli.runtime.web.rest.records import add_record_routes
from nexus_cli.runtime.web.rest.renamed import add_renamed_routes
from nexus_cli.runtime.web.rest.reports import Reports
from nexus_cli.runtime.web.rest.statistics import add_statistics_routes
from nexus_cli.runtime.web.rest.stored import Stored
from nexus_cli.runtime.web.rest.whys import add_why_routes


def add_rest_routes(app: FastAPI, *, base: str, parts: WebParts) -> None:
    """Add them."""
    stored, reports = Stored(parts), Reports(parts.cache, parts.topics)
    add_find_routes(app, base=base, parts=parts)
    add_latency_routes(app, base=base, parts=parts)
    add_card_routes(app, base=base, parts=parts)
    add_history_routes(app, base=base, parts=parts, stored=stored)
    add_export_routes(app, base=base, parts=parts, stored=stored)
    add_statistics_routes(app, base=base, parts=parts, stored=stored)
    add_lineage_routes(app, base=base, parts=parts)
    add_why_routes(app, base=base, parts=parts, stored=stored, reports=reports)
    add_device_routes(app, base=base, parts=parts, reports=reports)
    add_plant_routes(app, base=base, parts=parts, stored=stored, reports=reports)
    add_record_routes(app, base=base, parts=parts, stored=stored)
    add_discovery_routes(app, base=base, parts=parts, stored=stored)
    add_renamed_routes(app, base=base, parts=parts)
    add_orphan_routes(app, base=base, parts=parts)
