"""Whether a deployment can reach what it needs, asked before anything of it begins. See docs/decisions/0115."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from nexus_cli.apply.observation import Observations
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.plan.change import Change
from nexus_cli.plan.unreachable import Unreachable, refusal_words, unreachable

EACH_S = 0.1
"""How often the connection is looked at while it is waited for, in seconds."""

Reach = Callable[[Sequence[Change], bool, float], Awaitable[None]]
"""Called with the changes, whether they take something back, and how long to wait, in seconds; raises NexusError NX5040."""


async def anything(_: Sequence[Change], __: bool, ___: float) -> None:
    """The `Reach` of who has no broker."""


def states_of(seen: Observations) -> dict[str, str]:
    """The state that each gateway reported last, by name."""
    return {name: health.state or "" for name, health in seen.healths().items()}


class Reaching:
    """Asks the connection to the broker and what the gateways reported."""

    def __init__(self, *, cut_off: Callable[[], str], seen: Observations) -> None:
        """`cut_off` says why there is no connection to the broker, "" while there is one."""
        self._cut_off, self._seen = cut_off, seen

    async def assert_reached(self, changes: Sequence[Change], undoes: bool, wait_s: float) -> None:
        """Return when a deployment of these changes may begin. See `Reach`.

        Raises:
            NexusError: NX5040 (retriable): the broker or a gateway can't be reached, and was not within `wait_s`.
        """
        until_s = asyncio.get_running_loop().time() + wait_s
        while words := refusal_words(self._found(changes, undoes)):
            left_s = until_s - asyncio.get_running_loop().time()
            if left_s <= 0:
                raise NexusError(words, code="NX5040", retriable=True)
            await asyncio.sleep(min(EACH_S, left_s))

    def _found(self, changes: Sequence[Change], undoes: bool) -> tuple[Unreachable, ...]:
        return unreachable(changes, broker=self._cut_off(), states=states_of(self._seen), undoes=undoes)
