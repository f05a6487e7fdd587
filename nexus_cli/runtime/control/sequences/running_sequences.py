"""The recorded running sequences, for plans and for accepting deployments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from nexus_cli.database import sequences as rows
from nexus_cli.model.procedure_config import SequenceConfig
from nexus_cli.plan.running import Running
from nexus_cli.runtime.control.sequences.live_values import paths_in


async def sequences_running(conn: Any, site: str) -> list[Running]:
    """The runs that have not ended."""
    return [running_of(one["id"], one["name"], _config(one["definition"])) for one in await rows.running(conn, site)]


def running_of(run: str, name: str, config: SequenceConfig) -> Running:
    """The resources that a run uses."""
    return Running(
        run=run,
        name=name,
        on_change=config.on_change,
        tags=tuple(sorted(paths_in(config.conditions()) | config.written())),
        messages=tuple(sorted(config.published())),
    )


def _config(definition: Mapping[str, Any]) -> SequenceConfig:
    """The sequence of a run; empty when an older version wrote it and it can't be decoded."""
    try:
        return msgspec.convert(dict(definition), SequenceConfig)
    except msgspec.ValidationError:
        return SequenceConfig()
