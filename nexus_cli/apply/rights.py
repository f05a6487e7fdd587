"""Rights that go along with a deployment: old and new together while it runs, the new ones alone afterwards."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nexus_cli.access.accounts import with_second_accounts
from nexus_cli.access.compile import Moment, compile_grants
from nexus_cli.access.grants import join
from nexus_cli.access.grants_file import Wanted, wait_in_force
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.snapshot import Attributes, Snapshot

Resources = Mapping[str, Attributes]
"""A whole state: attributes by address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RightsGiven:
    """Rights and passwords that are on record beside the site file.

    Attributes:
        when: The moment, and who is elevated.
        people: Password hashes (`passwords.Hashes.sha512`) by declared user and slot, `a` or `b`.
    """

    when: Moment
    people: Mapping[tuple[str, str], str] = field(default_factory=dict)


Given = Callable[[], Awaitable[RightsGiven]]


async def nothing_given() -> RightsGiven:
    """No passwords, and nobody elevated; now."""
    return RightsGiven(when=Moment(at_us=time.time_ns() // 1000))


class Rights:
    """Writes grants for the process that renders them for the broker (`nexus up` does so for its own broker)."""

    def __init__(self, home: Path, *, enterprise: str, site: str, given: Given = nothing_given) -> None:
        """Rights of one site, written in `home`.

        Args:
            home: The `.nexus` folder.
            enterprise, site: Of the site.
            given: What is not in the site file; asked each time.
        """
        self._home, self._enterprise, self._site, self._given = home, enterprise, site, given

    async def hold(self, *states: Resources) -> None:
        """Ask for the rights of these states together and wait until they are in force.

        Raises:
            NexusError: NX5009, they could not be handed over, or are not in force in time.
        """
        given = await self._given()
        snapshots = [self._snapshot(state) for state in states]
        grants = join(*(compile_grants(snapshot, when=given.when) for snapshot in snapshots))
        try:
            wanted = Wanted(*with_second_accounts(grants, given.people)).write(self._home)
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
