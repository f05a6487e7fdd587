"""Rights that go along with a deployment: old and new together while it runs, the new ones alone afterwards."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nexus_cli.access.accounts import with_second_accounts
from nexus_cli.access.compile import compile_grants
from nexus_cli.access.grants import RESERVED, Grant, join
from nexus_cli.access.grants_file import Wanted, altered_by_hand, in_force, is_asked, wait_in_force
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


Given = Callable[[Sequence[Resources]], Awaitable[RightsGiven]]
"""Called with the states whose rights are written."""


async def nothing_given(_states: Sequence[Resources]) -> RightsGiven:
    """No passwords, and no user elevated; now."""
    return RightsGiven(when=Moment(at_us=time.time_ns() // 1000))


class Rights:
    """Writes grants for the process that renders them for the broker (`nexus up` does so for its own broker).

    Attributes:
        next_change_us: When they change by themselves, in µs since 1970 UTC, as last written; None when they don't.
        of_us: The moment whose rights were last written, in µs since 1970 UTC; 0 before the first.
        written: Set each time, also by a deployment; the one that waits for `next_change_us` clears it.
        asked: Digest of what was in force after the last write; "" before the first, and while one is under way.
    """

    next_change_us: int | None = None
    of_us: int = 0
    asked: str = ""

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

    def difference(self) -> str:
        """What the local broker has in the place of what was asked for; "" when there is none, or no local broker."""
        applied = in_force(self._home)
        if not applied or not self.asked or applied == self.asked:
            return ""
        if files := altered_by_hand(applied):
            return f"somebody changed {files.replace(' ', ' and ')} of the broker"
        return "the broker took over others than control asked for"

    async def _write(self, states: Sequence[Resources]) -> None:
        self.asked = ""
        given = await self._given(states)
        snapshots = [self._snapshot(state) for state in states]
        grants = join(*(compile_grants(snapshot, when=given.when) for snapshot in snapshots[:1]))
        for before in snapshots[1:]:
            grants = join(grants, _kept_meanwhile(before, after=snapshots[0], when=given.when))
        wanted = Wanted(*with_second_accounts(grants, _declared(given.people, states)))
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
        self.asked = asked

    def _snapshot(self, state: Resources) -> Snapshot:
        return Snapshot(self._enterprise, self._site, {address: dict(value) for address, value in state.items()})


def _kept_meanwhile(before: Snapshot, *, after: Snapshot, when: Moment) -> Iterator[Grant]:
    """Rights of the state before a deployment, while it runs: NEXUS's own as they were, and those of users among the
    devices of both states, so that a role of before reaches nothing that is new and closed to it."""
    devices = {address: value for address, value in after.resources.items() if address.startswith("device.")}
    both = Snapshot(before.enterprise, before.site, {**before.resources, **devices})
    yield from (grant for grant in compile_grants(before, users=False, when=when))
    yield from (grant for grant in compile_grants(both, when=when) if not grant.principal.startswith(RESERVED))


def _declared(people: Mapping[tuple[str, str], Hashes], states: Sequence[Resources]) -> dict[tuple[str, str], Hashes]:
    """Without the passwords of users that are declared no more: they don't even connect."""
    return {key: each for key, each in people.items() if any(f"user.{key[0]}" in state for state in states)}


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
