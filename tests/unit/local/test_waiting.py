"""A start is waited for as long as its parts make progress, on a machine with too much to do as well."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.local import waiting
from nexus_cli.local.layout import MOSQUITTO, Home, Runtime
from nexus_cli.local.processes import Running
from nexus_cli.local.service_state import ServiceState
from nexus_cli.local.startup_deadline import StartupDeadline, run_delays
from nexus_cli.local.waiting import Steps, wait_running


def test_each_step_forward_begins_the_wait_anew() -> None:
    deadline = StartupDeadline(limit_s=60, now_s=0)
    assert not deadline.ended(now_s=59, delays_s={}, stepped=False)
    assert not deadline.ended(now_s=61, delays_s={}, stepped=True)
    assert not deadline.ended(now_s=121, delays_s={}, stepped=False)
    assert deadline.ended(now_s=122, delays_s={}, stepped=False)


def test_time_without_a_free_processor_is_not_the_parts_own() -> None:
    deadline = StartupDeadline(limit_s=60, now_s=0)
    assert not deadline.ended(now_s=100, delays_s={7: 80, 8: 3}, stepped=False)
    assert deadline.idle_s == 20
    assert not deadline.ended(now_s=130, delays_s={7: 80, 8: 3}, stepped=False)
    assert deadline.idle_s == 50
    assert deadline.ended(now_s=141, delays_s={7: 80, 8: 3}, stepped=False)


def test_the_busiest_machine_does_not_wait_for_ever() -> None:
    deadline = StartupDeadline(limit_s=60, now_s=0)
    ended = [now for now in range(10, 1000, 10) if deadline.ended(now_s=now, delays_s={7: now}, stepped=False)]
    assert ended[0] == 610


def test_the_system_says_how_long_a_process_waited_for_a_processor() -> None:
    delays = run_delays([os.getpid(), 0])
    assert 0 not in delays
    assert os.getpid() not in delays or delays[os.getpid()] >= 0


def test_who_starts_is_to_blame_before_those_that_wait_for_it() -> None:
    state = {"control": _part("waiting", "waits for database"), "database": _part("starting", "no space left")}
    assert waiting._first(state, ["control", "database"]) == "database"


def _part(state: str, detail: str = "", pid: int = 0) -> ServiceState:
    return ServiceState(state=state, detail=detail, pid=pid)


def test_starting_again_is_no_step_forward() -> None:
    steps = Steps()
    assert steps.new({"control": _part("waiting")})
    assert steps.new({"control": _part("starting")})
    assert not steps.new({"control": _part("starting")})
    assert steps.new({"control": _part("starting", "nothing listens on port 5 yet")})
    assert not steps.new({"control": _part("backoff", "ended (exit code 1)")})
    assert not steps.new({"control": _part("starting", "nothing listens on port 6 yet")})


class _Start:
    """A start in which every look at the state takes some seconds."""

    def __init__(self, states: list[dict[str, ServiceState]], *, look_s: float, delayed_s: float) -> None:
        self.states, self.look_s, self.delayed_s = states, look_s, delayed_s
        self.looks = 0

    def monotonic(self) -> float:
        return self.looks * self.look_s

    def sleep(self, _: float) -> None:
        self.looks += 1

    def state(self, _: Home) -> dict[str, ServiceState]:
        return self.states[min(self.looks, len(self.states) - 1)]

    def delays(self, pids: Iterable[int]) -> dict[int, float]:
        return {pid: self.looks * self.delayed_s for pid in pids if pid}


def _waited(start: _Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    monkeypatch.setattr(waiting, "time", start)
    monkeypatch.setattr(waiting, "read_state", start.state)
    monkeypatch.setattr(waiting, "supervisor_of", lambda _: Running(pid=1, started=1.0))
    runtime = Runtime(site="acme/chicago", broker_kind=MOSQUITTO, database_kind="external")
    said: list[tuple[str, str]] = []
    wait_running(Home(tmp_path), runtime, timeout_s=60, progress=lambda *one: said.append(one[:2]), delays=start.delays)
    return said


SLOW = [
    {"broker": _part("starting", pid=2), "control": _part("waiting"), "historian": _part("waiting")},
    {"broker": _part("running", pid=2), "control": _part("starting", pid=3), "historian": _part("waiting")},
    *[{"broker": _part("running", pid=2), "control": _part("starting", "nothing listens", pid=3), "historian": _part("waiting")}] * 4,
    {"broker": _part("running", pid=2), "control": _part("running", pid=3), "historian": _part("running", pid=4)},
]  # fmt: skip


def test_a_slow_machine_is_waited_for_and_an_idle_part_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = _waited(_Start(SLOW, look_s=30, delayed_s=25), tmp_path, monkeypatch)
    assert said[-2:] == [("control", "running"), ("historian", "running")]
    assert ("control", "slow") in said, "who waits reads what for"
    with pytest.raises(NexusError) as failed:
        _waited(_Start(SLOW, look_s=30, delayed_s=0), tmp_path, monkeypatch)
    assert failed.value.message == "control made no progress for 60 s." and failed.value.cause == "nothing listens"
