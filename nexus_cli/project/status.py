"""The verb of `nexus status`: how the runtime of this folder is."""

from __future__ import annotations

import asyncio
from typing import Any

from nexus_cli.local.layout import home_of
from nexus_cli.local.status import collect
from nexus_cli.settings import load_settings


def status() -> dict[str, Any]:
    """How broker, database, roles and links are, as JSON values (see `local.status.collect`)."""
    settings = load_settings()
    return asyncio.run(collect(home_of(settings), settings))
