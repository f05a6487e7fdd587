"""What comes too fast waits as long as it takes to come slowly."""

from __future__ import annotations

import pytest

from nexus_cli.runtime.web.socket.pace import AT_ONCE, PER_S, TOPICS_TURNS, Pace, turns_of
from nexus_cli.wire.web_socket import Ping, Topics, Watch


def test_many_at_once_wait_and_time_gives_them_back() -> None:
    pace = Pace(now_s=0.0)
    assert [pace.wait_s(1.0, 0.0) for _ in range(int(AT_ONCE))] == [0.0] * int(AT_ONCE)
    assert pace.wait_s(1.0, 0.0) == pytest.approx(1 / PER_S)
    assert pace.wait_s(1.0, 0.0) == pytest.approx(2 / PER_S)
    assert pace.wait_s(1.0, 10.0) == 0.0
    later = Pace(now_s=0.0)
    for _ in range(int(AT_ONCE)):
        later.wait_s(1.0, 1e6)
    assert later.wait_s(1.0, 1e6) > 0.0  # a long rest gives no more than a full bucket


def test_what_costs_more_takes_more_turns() -> None:
    assert turns_of(Ping(id=1)) == 0.0
    assert turns_of(Watch(id=1, paths=["a/l/d/t"] * 200)) == 2.0
    assert turns_of(Watch(id=1, paths=["**/t", "a/**"])) == pytest.approx(2.02)
    assert turns_of(Topics(id=1, filter="#")) == TOPICS_TURNS
