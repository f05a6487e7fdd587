"""The recorded running sequences, for plans and for accepting deployments."""

from __future__ import annotations

import msgspec

from nexus_cli.database import sequences as rows
from nexus_cli.database.connect import Connection
from nexus_cli.model.procedure_config import SequenceConfig
from nexus_cli.plan.change import Attributes
from nexus_cli.runtime.control.sequences.live_values import paths_in
from nexus_cli.wire.control import Running


async def sequences_running(conn: Connection, site: str) -> list[Running]:
    """Every run that has not ended."""
    return [running_of(one.id, one.name, _config(one.definition)) for one in await rows.running(conn, site)]


def running_of(run: str, name: str, config: SequenceConfig) -> Running:
    """The resources that a run uses."""
    return Running(
        run=run,
        name=name,
        on_change=config.on_change,
        tags=tuple(sorted(paths_in(config.conditions()) | config.written())),
        messages=tuple(sorted(config.published())),
    )


def _config(definition: Attributes) -> SequenceConfig:
    """The sequence as it began; of one that an older version wrote and that can't be read, nothing is known."""
    try:
        return msgspec.convert(dict(definition), SequenceConfig)
    except msgspec.ValidationError:
        return SequenceConfig()
