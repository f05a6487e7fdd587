"""How long a written value is looked for: the tag's own `read_back_timeout`, else the default of its kind."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from nexus_cli.model.config import TagConfig
from nexus_cli.model.proof import proof_s
from nexus_cli.runtime.gateway.commands.execution import CommandResult, PendingCommand
from nexus_cli.runtime.gateway.commands.queue import DeviceQueues
from nexus_cli.wire.command import State

NOT_YET = CommandResult(state=State.FAILED, code="NX6815", detail="it holds 1 instead of 2", again=True)
SHOWN = CommandResult(state=State.DONE, read_back=2)


class Looking:
    """A device that shows what it was written after some time, on a clock of which only these looks take any."""

    def __init__(self, shown_s: float) -> None:
        self.shown_s, self.passed_s = shown_s, 0.0
        self.looks: list[float] = []
        self.driver = None

    async def sleep(self, delay_s: float) -> None:
        self.passed_s += delay_s

    def look_again(self, _: Any, first: CommandResult, looked: asyncio.Future[CommandResult]) -> Any:
        self.looks.append(round(self.passed_s, 3))
        looked.set_result(SHOWN if self.passed_s >= self.shown_s else first)
        return None

    def submit(self, work: Any, *, dropped: Any) -> bool:
        return True


async def looked_for(tag: TagConfig, *, shown_s: float) -> tuple[CommandResult, list[float]]:
    looking: Any = Looking(shown_s)
    none: Any = None
    lanes = DeviceQueues(
        gateway="gw", journal=none, execution=looking, supervisor=none, expired=none, ended=none, clock=looking
    )
    order: Any = SimpleNamespace(accepted=SimpleNamespace(tag=tag))
    wanted: PendingCommand = order
    return await lanes._look_again(wanted, looking, NOT_YET), looking.looks


@pytest.mark.parametrize(
    ("keys", "seconds"),
    [
        ({}, 0.75),
        ({"read_back": "none"}, 0.75),
        ({"read_back": "a/l/d/opened"}, 5.0),
        ({"read_back_timeout_ms": 200}, 0.2),
        ({"read_back_timeout_ms": 4_000}, 4.0),
        ({"read_back": "a/l/d/opened", "read_back_timeout_ms": 1_500}, 1.5),
        ({"read_back": "a/l/d/opened", "read_back_timeout_ms": 20_000}, 20.0),
    ],
)
async def test_a_value_is_looked_for_as_long_as_its_tag_says(keys: dict[str, Any], seconds: float) -> None:
    tag = TagConfig(type="uint16", writable=True, **keys)
    assert proof_s(tag) == seconds
    found, looks = await looked_for(tag, shown_s=float("inf"))
    assert found is NOT_YET
    assert looks[-1] == seconds, "the last look is at the end of the time, and none comes later"
    assert max(after - before for before, after in zip([0.0, *looks], looks, strict=False)) <= 1.0
    found, looks = await looked_for(tag, shown_s=seconds - 0.001)
    assert (found, looks[-1]) == (SHOWN, seconds), "what shows up late is a proof too"
    found, looks = await looked_for(tag, shown_s=0.1)
    assert (found, len(looks)) == (SHOWN, 1), "what shows up early ends it"
