"""Rights that go along with a deployment: old and new together while it runs, the new ones alone afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nexus_cli.access.grants_file import wait_in_force, write_grants
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.snapshot import Attributes, Snapshot

Resources = Mapping[str, Attributes]
"""A whole state: attributes by address."""


class Rights:
    """Writes grants for the process that renders them for the broker (`nexus up` does so for its own broker)."""

    def __init__(self, home: Path, *, enterprise: str, site: str) -> None:
        """Rights of one site, written in `home`."""
        self._home, self._enterprise, self._site = home, enterprise, site

    async def hold(self, *states: Resources) -> None:
        """Ask for the rights of these states together and wait until they are in force.

        Raises:
            NexusError: NX5009, they could not be handed over, or are not in force in time.
        """
        try:
            wanted = write_grants(self._home, *(self._snapshot(state) for state in states))
        except OSError as error:
            raise _not_in_force(str(error)) from None
        if not await wait_in_force(self._home, wanted):
            raise _not_in_force("the local broker did not take them over in time")

    def _snapshot(self, state: Resources) -> Snapshot:
        return Snapshot(self._enterprise, self._site, {address: dict(value) for address, value in state.items()})


def after_and_before(
    kept: Resources, *, changed: Mapping[str, Attributes | None], before: Resources
) -> tuple[Resources, Resources]:
    """The states after and before a deployment, from what it leaves alone and what it changes."""
    written = {address: value for address, value in changed.items() if value is not None}
    return {**kept, **written}, {**kept, **before}


def _not_in_force(cause: str) -> NexusError:
    return NexusError(
        "The broker's rights could not be brought in line.",
        code="NX5009",
        cause=cause,
    )
