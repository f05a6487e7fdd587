"""The door to control's API for series that are never dropped."""

from __future__ import annotations

from urllib.parse import quote

from nexus_cli.wire import control_kept as wire
from nexus_cli.wire.http import ControlClient


class KeptClient(ControlClient):
    """`ControlClient` with the calls about protected series; errors as there."""

    async def kept(self) -> list[wire.KeptSeries]:
        """The protected series, by path."""
        return (await self.call("GET", "/kept", wire.KeptList)).series

    async def end_keep(self, path: str) -> wire.KeepEnded:
        """End the protection of the series at a path."""
        return await self.call("DELETE", f"/kept/{quote(path)}", wire.KeepEnded)
