"""The door to control's API for drift."""

from __future__ import annotations

from collections.abc import Mapping

from nexus_cli.wire import control_drift as wire
from nexus_cli.wire.http import ControlClient

REVERT_S = 600.0
"""An index of a large table takes minutes; control continues when the answer is not awaited any more."""


class DriftClient(ControlClient):
    """`ControlClient` with the calls about drift; errors as there."""

    async def drift(self) -> wire.DriftFacts:
        """What differs as far as control knows without asking a device."""
        return await self.call("GET", "/drift", wire.DriftFacts, timeout_s=60.0)

    async def revert_drift(self, *, preview: bool) -> wire.Reverted:
        """Put back what can be put back, or say what would be."""
        asked = wire.RevertRequest(preview=preview)
        return await self.call("POST", "/drift/revert", wire.Reverted, body=asked, timeout_s=REVERT_S)

    async def take_identities(self, identities: Mapping[str, Mapping[str, str]]) -> list[str]:
        """Record what devices say of themselves; gives the paths."""
        asked = wire.IdentitiesRequest(identities={path: dict(one) for path, one in identities.items()})
        return (await self.call("POST", "/drift/identities", wire.IdentitiesTaken, body=asked)).paths
