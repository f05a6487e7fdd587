"""Rights that go along with a deployment: old and new together while it runs, the new ones alone afterwards."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nexus_cli.access.accounts import with_second_accounts
from nexus_cli.access.compile import compile_grants
from nexus_cli.access.grants import join
from nexus_cli.access.grants_file import Wanted, is_asked, wait_in_force
from nexus_cli.access.passwords import Hashes
from nexus_cli.access.people import Moment, next_change_us
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.snapshot import Attributes, Snapshot

Resources = Mapping[str, Attributes]
"""A whole state: attributes by address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RightsGiven:
    """Rights and passwords that are on record beside the site file.

    Attributes:
        when: The moment, and who is elevated.
        people: Passwords by declared user and slot, `a` or `b`, in the forms that brokers check.
        ends_us: When the first of these passwords ends, in µs since 1970 UTC; None when none does.
    """

    when: Moment
    people: Mapping[tuple[str, str], Hashes] = field(default_factory=dict)
    ends_us: int | None = None


Given = Callable[[], Awaitable[RightsGiven]]


async def nothing_given() -> RightsGiven:
    """No passwords, and no user is elevated; now."""
    return RightsGiven(when=Moment(at_us=time.time_ns() // 1000))


class Rights:
    """Writes grants for the process that renders them for the broker (`nexus up` does so for its own broker).

    Attributes:
        next_change_us: When they change by themselves, in µs since 1970 UTC, as last written; None when they don't.
        of_us: The moment whose rights were last written, in µs since 1970 UTC; 0 before the first.
        written: Set each time, also by a deployment; who waits for `next_change_us` clears it.
    """

    next_change_us: int | None = None
    of_us: int = 0

    def __init__(self, home: Path, *, enterprise: str, site: str, given: Given = nothing_given) -> None:
        """Rights of one site, written in `home`.

        Args:
            home: The `.nexus` folder.
            enterprise, site: Of the site.
            given: What is not in the site file; asked each time.
        """
        self._home, self._enterprise, self._site, self._given = home, enterprise, site, given
        self._between: tuple[Resources, ...] = ()
        self._one_at_a_time = asyncio.Lock()
        self.written = asyncio.Event()

    async def hold(self, *states: Resources) -> None:
        """Ask for the rights of these states together and wait until they are in force.

        Raises:
            NexusError: NX5009, they could not be handed over, or are not in force in time.
        """
        async with self._one_at_a_time:
            self._between = states if len(states) > 1 else ()
            await self._write(states)

    async def again(self, recorded: Callable[[], Awaitable[Resources | None]]) -> None:
        """Ask again for the rights of the recorded state, or of both states of the deployment that is running.

        Args:
            recorded: Gives the recorded state; None before the first deployment.

        Raises:
            NexusError: As `hold`.
        """
        async with self._one_at_a_time:
            states = self._between
            if not states:
                state = await recorded()
                states = () if state is None else (state,)
            if states:
                await self._write(states)

    async def _write(self, states: Sequence[Resources]) -> None:
        given = await self._given()
        snapshots = [self._snapshot(state) for state in states]
        grants = join(*(compile_grants(snapshot, when=given.when) for snapshot in snapshots))
        wanted = Wanted(*with_second_accounts(grants, given.people))
        try:
            asked = wanted.digest if is_asked(self._home, wanted) else wanted.write(self._home)
        except OSError as error:
            raise _not_in_force(str(error)) from None
        ends = [given.ends_us, *(next_change_us(snapshot, given.when) for snapshot in snapshots)]
        self.next_change_us = min((end for end in ends if end is not None), default=None)
        self.of_us = given.when.at_us or 0
        self.written.set()
        if not await wait_in_force(self._home, asked):
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
