"""What a gateway declares as not read: after a kill, a stop, a pause, a busy link; and what is no gap."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import pytest

from nexus_cli.model.config import DeviceConfig
from nexus_cli.runtime.gateway.devices.absence import BEAT_S, Absence
from nexus_cli.runtime.gateway.devices.device import DeviceRuntime, device_runtime
from nexus_cli.runtime.gateway.devices.handover import Mark, Past
from nexus_cli.wire.frame import GapReason
from tests.clock import FakeClock
from tests.field import FakeDriver, device

KILLED, STOPPED, STALLED = GapReason.GATEWAY_KILLED, GapReason.GATEWAY_STOPPED, GapReason.GATEWAY_STALLED
PATH = "a/l/one"


def made(config: DeviceConfig) -> DeviceRuntime:
    return device_runtime(config, "d", FakeDriver())


@dataclass
class Life:
    """One process: a clock, the watched devices, and what was declared."""

    devices: list[DeviceRuntime] = field(default_factory=lambda: [made(device(PATH, poll_ms=1000))])
    past: Past | None = None
    clock: FakeClock = field(default_factory=FakeClock)
    gaps: list[tuple[str, int, int, GapReason]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.absence = Absence(clock=self.clock, add_gap=self.add)
        if self.past is not None:
            self.absence.resume(self.past)
        self.absence.configured(self.devices)

    def add(self, *, device: str, start_us: int, end_us: int, frames: int, reason: GapReason) -> None:
        assert start_us <= end_us
        self.gaps.append((device, start_us, end_us, reason))

    def run(self, seconds: float) -> None:
        """Time passes and the process beats."""
        for _ in range(round(seconds / BEAT_S)):
            self.clock.advance(BEAT_S)
            self.absence.beat()

    def poll(self, path: str = PATH, *, took_s: float = 0.0, answered: bool = True) -> int:
        """Ask a device and get its answer; gives the time of its row."""
        self.absence.asked(path)
        self.run(took_s)
        time_us = self.clock.now_us()
        self.absence.read(path, time_us, answered=answered)
        self.absence.finished(path, answered=answered)
        return time_us

    def mark(self, *, last: bool = False) -> Mark:
        return self.absence.mark(seq=7, instances=["I"], term=0, last=last)


def after(
    life: Life, reason: GapReason, *, rows: dict[str, int] | None = None, away_s: float = 10.0, mark: Mark | None = None
) -> Life:
    """The next process."""
    kept = msgspec.json.decode(msgspec.json.encode(mark or life.mark(last=reason is STOPPED)), type=Mark)
    past = Past(kept, rows or {}, reason, frozenset(one.path for one in life.devices))
    life.clock.advance(away_s)
    return Life(devices=life.devices, past=past, clock=life.clock)


def test_regular_polls_leave_no_gap() -> None:
    life = Life()
    for _ in range(50):
        life.poll(took_s=0.5)
        life.run(0.5)
    assert life.gaps == []


def test_a_kill_is_a_gap_from_the_mark_to_the_first_read() -> None:
    life = Life()
    life.poll()
    life.run(0.5)
    mark_us = life.clock.now_us()
    next_life = after(life, KILLED)
    next_life.run(2.0)
    first_us = next_life.poll()
    assert next_life.gaps == [(PATH, mark_us + 1, first_us - 1, KILLED)]
    next_life.run(1.0)
    next_life.poll()
    assert len(next_life.gaps) == 1


def test_rows_that_are_durable_after_the_mark_lie_outside() -> None:
    life = Life()
    life.poll()
    mark = life.mark()
    life.run(1.0)
    row_us = life.poll()
    next_life = after(life, KILLED, mark=mark, rows={PATH: row_us})
    first_us = next_life.poll()
    assert next_life.gaps == [(PATH, row_us + 1, first_us - 1, KILLED)]


def test_an_answer_that_was_outstanding_is_missing_since_it_was_asked_for() -> None:
    life = Life()
    life.poll()
    life.run(1.0)
    life.absence.asked(PATH)
    asked_us = life.clock.now_us()
    life.run(0.5)
    next_life = after(life, KILLED)
    first_us = next_life.poll()
    assert next_life.gaps == [(PATH, asked_us + 1, first_us - 1, KILLED)]


def test_a_second_kill_before_the_first_read_keeps_the_first_start() -> None:
    life = Life()
    life.poll()
    mark_us = life.clock.now_us()
    second = after(life, KILLED)
    second.run(3.0)
    third = after(second, STOPPED)
    first_us = third.poll()
    assert third.gaps == [(PATH, mark_us + 1, first_us - 1, KILLED)]


@pytest.mark.parametrize(("away_s", "gaps"), [(2.4, 0), (2.8, 1)])
def test_a_stop_that_misses_less_than_two_cycles_leaves_no_gap(away_s: float, gaps: int) -> None:
    life = Life()
    last_us = life.poll()
    life.run(0.5)
    next_life = after(life, STOPPED, away_s=away_s)
    first_us = next_life.poll()
    assert next_life.gaps == [(PATH, last_us + 1, first_us - 1, STOPPED)] * gaps


def test_a_device_that_was_away_before_and_after_a_stop_has_no_gap() -> None:
    life = Life()
    life.poll(answered=False)
    next_life = after(life, STOPPED)
    next_life.poll(answered=False)
    next_life.run(30.0)
    next_life.poll()
    assert next_life.gaps == []


def test_a_device_that_was_away_at_the_last_mark_of_a_killed_process_may_have_come_back() -> None:
    """Its log may be an older copy, that does not have the rows in which it did."""
    life = Life()
    life.poll(answered=False)
    next_life = after(life, KILLED)
    next_life.poll()
    assert [(device, reason) for device, _, _, reason in next_life.gaps] == [("a/l/one", KILLED)]


def test_a_gap_ends_with_the_row_that_says_that_the_device_is_away() -> None:
    life = Life()
    life.poll()
    next_life = after(life, KILLED)
    next_life.run(5.0)
    bad_us = next_life.poll(answered=False)
    assert [(gap[2], gap[3]) for gap in next_life.gaps] == [(bad_us - 1, KILLED)]
    next_life.run(60.0)
    next_life.poll()
    assert len(next_life.gaps) == 1, "what is BAD says it by itself"


def test_a_device_that_was_never_read_has_no_gap() -> None:
    life = Life()
    next_life = after(life, KILLED)
    next_life.poll()
    assert next_life.gaps == []


def test_a_new_device_has_no_gap() -> None:
    life = Life()
    life.poll()
    mark = life.mark()
    two = made(device("a/l/two", poll_ms=1000))
    past = Past(mark, {}, KILLED, frozenset({PATH}))
    life.clock.advance(10.0)
    next_life = Life(devices=[*life.devices, two], past=past, clock=life.clock)
    next_life.poll()
    next_life.poll("a/l/two")
    assert [gap[0] for gap in next_life.gaps] == [PATH]


@pytest.mark.parametrize(("pause_s", "gaps"), [(1.0, 0), (2.9, 0), (3.3, 1), (20.0, 1)])
def test_a_pause_of_the_process_is_a_gap_when_cycles_are_missing(pause_s: float, gaps: int) -> None:
    life = Life()
    last_us = life.poll()
    life.clock.advance(pause_s)  # nothing runs meanwhile
    first_us = life.poll()
    assert life.gaps == [(PATH, last_us + 1, first_us - 1, STALLED)] * gaps


def test_a_pause_while_an_answer_is_outstanding() -> None:
    life = Life()
    last_us = life.poll()
    life.run(1.0)
    life.absence.asked(PATH)
    life.clock.advance(8.0)
    time_us = life.clock.now_us()
    life.absence.read(PATH, time_us, answered=True)
    assert life.gaps == [(PATH, last_us + 1, time_us - 1, STALLED)]


def test_after_a_pause_the_gap_ends_with_a_bad_row() -> None:
    life = Life()
    last_us = life.poll()
    life.clock.advance(20.0)
    bad_us = life.poll(answered=False)
    assert life.gaps == [(PATH, last_us + 1, bad_us - 1, STALLED)]


def test_a_pause_of_a_device_that_is_away_is_none_of_its() -> None:
    life = Life()
    life.poll(answered=False)
    life.clock.advance(20.0)
    life.poll()
    assert life.gaps == []


def test_a_slow_interval_misses_nothing_in_a_short_pause() -> None:
    life = Life(devices=[made(device(PATH, poll_ms=60_000))])
    life.poll()
    life.clock.advance(20.0)
    life.absence.beat()
    life.run(40.0)
    life.poll()
    assert life.gaps == []


def reporting(path: str = PATH) -> DeviceRuntime:
    """A device that only reports by itself, each 500 ms."""
    config = device(path, poll_ms=500)
    tags = {name: msgspec.structs.replace(tag, mode="subscribe") for name, tag in config.tags.items()}
    return made(msgspec.structs.replace(config, tags=tags))


def test_a_pause_of_a_subscribed_device_ends_with_its_first_value_or_the_first_beat() -> None:
    life = Life(devices=[reporting()])
    life.absence.read(PATH, life.clock.now_us(), answered=True)
    life.run(5.0)
    before_us = life.clock.now_us()
    life.clock.advance(6.0)
    value_us = life.clock.now_us()
    life.absence.read(PATH, value_us, answered=True)  # the queue of the device is emptied before the loop beats
    assert life.gaps == [(PATH, before_us + 1, value_us - 1, STALLED)]
    life.clock.advance(6.0)
    life.absence.beat()
    assert [gap[1:] for gap in life.gaps[1:]] == [(value_us + 1, life.clock.now_us() - 1, STALLED)]


def test_silence_of_a_subscribed_device_is_no_gap() -> None:
    life = Life(devices=[reporting()])
    life.absence.read(PATH, life.clock.now_us(), answered=True)
    life.run(600.0)
    life.absence.read(PATH, life.clock.now_us(), answered=True)
    assert life.gaps == []


def test_a_link_that_was_busy_with_others_leaves_a_gap() -> None:
    life = Life()
    last_us = life.poll()
    life.run(12.0)  # the process beats, this device has no turn
    first_us = life.poll()
    assert life.gaps == [(PATH, last_us + 1, first_us - 1, STALLED)]


def test_a_link_that_is_always_too_slow_declares_the_change_and_not_each_cycle() -> None:
    life = Life(devices=[made(device(PATH, poll_ms=100))])
    for _ in range(100):
        life.poll()
        life.run(4.0)
    assert 3 <= len(life.gaps) <= 4
    life.run(30.0)
    life.poll()
    assert life.gaps[-1][2] - life.gaps[-1][1] > 30_000_000, "a longer one is declared again"


def test_a_device_that_answers_slowly_is_asked_as_soon_as_it_can_be() -> None:
    life = Life()
    for _ in range(20):
        life.poll(took_s=5.0)
    assert life.gaps == []


def test_no_gap_lies_over_a_calculated_row_of_the_device() -> None:
    life = Life()
    life.poll()
    mark_us = life.clock.now_us()
    next_life = after(life, KILLED)
    row_us = next_life.clock.now_us()
    next_life.absence.row(PATH, row_us)
    next_life.run(2.0)
    first_us = next_life.poll()
    assert next_life.gaps == [(PATH, mark_us + 1, row_us - 1, KILLED), (PATH, row_us + 1, first_us - 1, KILLED)]


def test_a_clock_that_is_set_back_makes_no_gap_that_ends_before_it_begins() -> None:
    life = Life()
    life.poll()
    next_life = after(life, KILLED, away_s=0.0)
    next_life.clock.step(-3_600_000_000)
    next_life.poll()
    assert next_life.gaps == []


def test_what_another_instance_may_have_read_is_not_declared() -> None:
    life = Life()
    life.poll()
    next_life = after(life, KILLED)
    next_life.absence.begin_anew()
    next_life.absence.configured(next_life.devices)
    next_life.poll()
    assert next_life.gaps == []
    assert next_life.absence.since_us > 0


def test_a_new_configuration_keeps_what_is_known_of_a_device() -> None:
    life = Life()
    life.poll()
    mark_us = life.clock.now_us()
    next_life = after(life, KILLED)
    next_life.absence.configured([made(device(PATH, poll_ms=500))])
    first_us = next_life.poll()
    assert next_life.gaps == [(PATH, mark_us + 1, first_us - 1, KILLED)]


def test_after_the_time_was_set_back_pauses_are_found_again() -> None:
    life = Life()
    life.poll()
    life.clock.step(-3_600_000_000)
    life.run(1.0)
    last_us = life.poll()
    life.run(0.5)
    life.clock.advance(8.0)
    first_us = life.poll()
    assert life.gaps == [(PATH, last_us + 1, first_us - 1, STALLED)]


def test_a_time_that_is_set_back_and_right_again_makes_no_gap_over_what_is_on_record() -> None:
    life = Life()
    for _ in range(20):
        life.poll()
        life.run(1.0)
    peak_us = life.poll()
    life.clock.turn_back(3_600_000_000)
    for _ in range(17):
        life.run(1.0)
        life.poll()
    life.clock.step(3_600_000_000)
    life.run(0.25)
    first_us = life.poll()
    assert first_us > peak_us + 17_000_000
    assert life.gaps == [
        (PATH, peak_us - 3_600_000_000 + 17_000_001, life.absence.since_us - 1, STALLED),
        (PATH, peak_us + 1, first_us - 1, STALLED),
    ]


def test_a_pause_in_hours_that_pass_again_is_on_record_already_and_one_before_them_is_not() -> None:
    life = Life()
    for _ in range(60):
        life.poll()
        life.run(1.0)
    peak_us = life.poll()
    life.clock.turn_back(30_000_000)
    life.poll()
    life.clock.advance(9.0)
    life.poll()
    assert life.gaps == []
    life.clock.turn_back(3_600_000_000)
    last_us = life.poll()
    life.clock.advance(9.0)
    first_us = life.poll()
    assert life.gaps == [(PATH, last_us + 1, first_us - 1, STALLED)]
    assert life.mark().past[PATH][0] == (life.absence.since_us, peak_us)


@pytest.mark.parametrize("reason", [KILLED, STOPPED])
def test_the_next_process_knows_what_was_on_record_before_the_time_was_set_back(reason: GapReason) -> None:
    life = Life()
    since_us = life.absence.since_us
    peak_us = life.poll()
    life.clock.turn_back(3_600_000_000)
    life.run(1.0)
    last_us = life.poll()
    next_life = after(life, reason, away_s=20.0)
    next_life.clock.step(3_600_000_000)
    first_us = next_life.poll()
    assert next_life.gaps == [(PATH, last_us + 1, since_us - 1, reason), (PATH, peak_us + 1, first_us - 1, reason)]


@pytest.mark.parametrize("asked", [True, False])
def test_a_hole_that_is_open_when_the_time_is_set_back_ends_there(asked: bool) -> None:
    life = Life()
    since_us = life.poll()
    life.clock.advance(9.0)
    if asked:
        life.absence.asked(PATH)
    else:
        life.absence.beat()
    set_us = life.clock.now_us()
    life.clock.turn_back(3_600_000_000)
    life.run(1.0)
    life.poll()
    assert life.gaps == [(PATH, since_us + 1, set_us, STALLED)]
    assert life.mark().past == {PATH: [(life.absence.since_us, set_us)]}


def test_an_answer_without_a_change_is_a_read() -> None:
    life = Life()
    life.poll()
    for _ in range(30):
        life.run(1.0)
        life.absence.asked(PATH)
        life.absence.finished(PATH, answered=True)
    last_us = life.clock.now_us()
    life.absence.row(PATH, last_us)  # a calculated tag says nothing of the device
    life.clock.advance(9.0)
    life.absence.asked(PATH)
    life.run(0.5)
    life.absence.finished(PATH, answered=True)
    assert life.gaps == [(PATH, last_us + 1, life.clock.now_us() - 1, STALLED)]


def test_a_kill_between_two_answers_of_a_poll_misses_the_second() -> None:
    life = Life()
    life.poll()
    life.run(1.0)
    life.absence.asked(PATH)
    row_us = life.clock.now_us()
    life.absence.read(PATH, row_us, answered=True)
    life.run(0.5)
    next_life = after(life, KILLED)
    first_us = next_life.poll()
    assert next_life.gaps == [(PATH, row_us + 1, first_us - 1, KILLED)]


@pytest.mark.parametrize("late_before", [False, True])
def test_a_row_of_before_a_pause_that_is_on_its_way_after_it_leaves_the_pause_a_gap(late_before: bool) -> None:
    """A read of several parts: the first was answered before the process stopped, the last after it went on."""
    life = Life()
    last_us = life.poll()
    life.run(4.0 if late_before else 1.0)
    life.absence.asked(PATH)
    life.run(0.25)
    first_us = life.clock.now_us()
    life.clock.advance(24.0)
    life.absence.beat()
    life.absence.read(PATH, first_us, answered=True)
    second_us = life.clock.now_us()
    life.absence.read(PATH, second_us, answered=True)
    life.absence.finished(PATH, answered=True)
    before = [(PATH, last_us + 1, first_us - 1, STALLED)] if late_before else []
    assert life.gaps == [*before, (PATH, first_us + 1, second_us - 1, STALLED)]
