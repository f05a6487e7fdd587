"""Confirmations of writes: bound to path, value and caller, once, and for two minutes."""

from __future__ import annotations

from typing import Any

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.project.mcp.writing import MOST_WAITING, VALID_S, Confirmations


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


WISH: dict[str, Any] = {"path": "a/l/d/t", "value": 5, "token": "vera"}


def test_it_gives_back_what_the_dry_run_showed_once() -> None:
    waiting = Confirmations(Clock())
    key = waiting.give(**WISH, old=4)
    assert waiting.take(key, **WISH) == 4
    with pytest.raises(NexusError, match="not for writing 5 to a/l/d/t") as raised:
        waiting.take(key, **WISH)
    assert raised.value.code == "NX6945"


@pytest.mark.parametrize(
    "other", [{"path": "a/l/d/u"}, {"value": 5.5}, {"value": "5"}, {"value": True}, {"token": "hal"}]
)
def test_it_is_for_this_write_of_this_caller(other: dict[str, Any]) -> None:
    waiting = Confirmations(Clock())
    key = waiting.give(**WISH, old=4)
    with pytest.raises(NexusError):
        waiting.take(key, **{**WISH, **other})
    assert waiting.take(key, **WISH) == 4, "a mistake does not use it up"


def test_it_ends() -> None:
    clock = Clock()
    waiting = Confirmations(clock)
    key = waiting.give(**WISH, old=4)
    clock.now = VALID_S
    with pytest.raises(NexusError):
        waiting.take(key, **WISH)


def test_the_oldest_ends_when_there_are_too_many() -> None:
    waiting = Confirmations(Clock())
    keys = [waiting.give(**WISH, old=number) for number in range(MOST_WAITING + 1)]
    with pytest.raises(NexusError):
        waiting.take(keys[0], **WISH)
    assert waiting.take(keys[1], **WISH) == 1
