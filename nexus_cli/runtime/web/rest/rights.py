"""What the routes for reading need."""

from __future__ import annotations

from nexus_cli.runtime.web.rest import (
    cards,
    devices,
    discoveries,
    exports,
    find,
    histories,
    latencies,
    lineages,
    orphans,
    plants,
    records,
    renamed,
    statistics,
    whys,
)

ROUTES = (
    *find.ROUTES,
    *cards.ROUTES,
    *histories.ROUTES,
    *exports.ROUTES,
    *statistics.ROUTES,
    *lineages.ROUTES,
    *whys.ROUTES,
    *devices.ROUTES,
    *plants.ROUTES,
    *records.ROUTES,
    *renamed.ROUTES,
    *discoveries.ROUTES,
    *orphans.ROUTES,
    *latencies.ROUTES,
)
