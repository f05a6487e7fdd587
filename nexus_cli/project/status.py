"""The verb of `nexus status`: how the runtime of this folder is."""

from __future__ import annotations

import asyncio

from nexus_cli.local.layout import home_of
from nexus_cli.local.status import collect
from nexus_cli.local.status_report import StatusReport
from nexus_cli.settings import load_settings


def status() -> StatusReport:
    """How broker, database, roles and links are."""
    settings = load_settings()
    return asyncio.run(collect(home_of(settings), settings))
