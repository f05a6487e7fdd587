"""Measures the devices of a wave: values, polls and alarms, for its gates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from nexus_cli.apply.gates import Measured, Polls
from nexus_cli.apply.observation import Observations
from nexus_cli.database import rollouts as rows
from nexus_cli.database.connect import Pool, plain_errors
from nexus_cli.model.snapshot import Attributes
from nexus_cli.runtime.control.wave_values import WaveValues
from nexus_cli.settings import Settings
from nexus_cli.wire.rollout import Gates

EXTERNAL = "external"
POLL = "poll"


class WaveMeter:
    """Asks the broker, the gateways' health and the journal of alarms; each only where a gate wants it."""

    def __init__(self, *, settings: Settings, pool: Pool, seen: Observations, values: WaveValues) -> None:
        """Join the parts."""
        self._settings, self._pool, self._seen, self._values = settings, pool, seen, values

    async def good(self, devices: Mapping[str, Attributes], gates: Gates) -> Measured:
        """Only the values.

        Raises:
            NexusError: The broker or the database is away.
        """
        if gates.good is None:
            return Measured()
        return Measured(good=await self._values.qualities([path for path, _ in _tags(devices)]))

    def polls(self, devices: Mapping[str, Attributes], gates: Gates) -> Measured:
        """Only the polls, as the gateways counted them until now."""
        if gates.missed_polls is None:
            return Measured()
        found: dict[str, Polls] = {}
        unheard: list[str] = []
        for path, attributes in devices.items():
            if not is_polled(attributes):
                continue
            health = self._seen.health(str(attributes.get("gateway", "")))
            reads = health.reads.get(path) if health is not None and health.state == "running" else None
            if reads is None:
                unheard.append(path)
            else:
                found[path] = Polls.of(reads)
        return Measured(polls=found, unheard=sorted(unheard))

    async def all(self, devices: Mapping[str, Attributes], gates: Gates, *, since: datetime) -> Measured:
        """Everything that the gates ask for; alarms since a moment of control's clock.

        Raises:
            NexusError: The broker or the database is away.
        """
        values, polls = await self.good(devices, gates), self.polls(devices, gates)
        alarms: list[str] | None = None
        if gates.alarms is not None:
            with plain_errors(self._settings):
                async with self._pool.acquire() as conn:
                    alarms = await rows.alarms_since(conn, self._settings.site, since=since, devices=sorted(devices))
        return Measured(good=values.good, polls=polls.polls, unheard=polls.unheard, alarms=alarms)


def is_polled(device: Attributes) -> bool:
    """Whether a gateway reads any of its tags in cycles."""
    if not device.get("gateway") or device.get("enabled", True) is False or device.get("protocol") == EXTERNAL:
        return False
    tags = (device.get("tags") or {}).values()
    return any(tag.get("enabled", True) and not tag.get("expr") and tag.get("mode", POLL) == POLL for tag in tags)


def _tags(devices: Mapping[str, Attributes]) -> Iterator[tuple[str, Attributes]]:
    """Tags that a gateway gives values of: enabled ones of devices that are enabled and not others'."""
    for path, device in devices.items():
        if not device.get("gateway") or device.get("enabled", True) is False or device.get("protocol") == EXTERNAL:
            continue
        for name, tag in (device.get("tags") or {}).items():
            if tag.get("enabled", True):
                yield f"{path}/{name}", tag
