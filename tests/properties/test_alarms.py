"""Laws of alarms over any values, times, clock steps, people and restarts."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.alarms.conditions import condition_of
from nexus_cli.alarms.flood import BEGINS_ABOVE, ENDS_BELOW, WINDOW_S, FloodDetector
from nexus_cli.alarms.machine import HOLDING, NO_TAGS, UNANSWERED, Alert, State
from nexus_cli.alarms.panel import Now, Panel
from nexus_cli.alarms.stored import facts_of, pending_of, take_facts, take_timers, timers_of
from nexus_cli.alarms.timers import Moment
from nexus_cli.alarms.values import Reading
from nexus_cli.model.resources import AlertConfig
from nexus_cli.wire.alert import KINDS, AlertEvent
from nexus_cli.wire.sample import Quality

START_US = 1_790_000_000_000_000
BOOT = "boot"
BEYOND_S = 0.000717
"""A wait goes a little beyond a moment at which something is due: durations that crossed a reboot are rounded to whole µs."""
CONDITIONS: list[dict[str, Any]] = [
    {"above": 5.0, "clear_below": 3.0},
    {"above": 5.0},
    {"outside": (2.0, 6.0)},
    {"equals": 7},
    {"rate_above": 4.0, "rate_per_ms": 10_000},
    {"unchanged_for_ms": 30_000},
    {"no_data_for_ms": 30_000},
]
configs = st.builds(
    lambda condition, for_ms, clear_ms, on_bad, priority: AlertConfig(
        tag="a/l/d/t", for_ms=for_ms, clear_after_ms=clear_ms, on_bad=on_bad, priority=priority, **condition
    ),
    st.sampled_from(CONDITIONS),
    st.sampled_from([0, 0, 3_000, 15_000]),
    st.sampled_from([0, 0, 4_000]),
    st.sampled_from(["hold", "clear", "raise"]),
    st.sampled_from(["", "low", "critical"]),
)
actions = st.one_of(
    st.tuples(st.just("value"), st.integers(0, 9)),
    st.tuples(st.just("value"), st.integers(0, 9)),
    st.tuples(st.just("bad"), st.none()),
    st.tuples(st.just("wait"), st.floats(0.0, 40.0)),
    st.tuples(st.just("wait"), st.floats(0.0, 4.0)),
    st.tuples(st.just("step"), st.integers(-4_000_000_000, 4_000_000_000)),
    st.tuples(st.just("acknowledge"), st.none()),
    st.tuples(st.just("shelve"), st.floats(1.0, 60.0)),
    st.tuples(st.just("unshelve"), st.none()),
    st.tuples(st.just("take_out"), st.none()),
    st.tuples(st.just("take_in"), st.none()),
    st.tuples(st.just("suppress"), st.sampled_from(["", "cause"])),
)
Script = list[tuple[str, Any]]
scripts = st.lists(actions, max_size=40)


class Life:
    """One alert through a script; its clocks may disagree."""

    def __init__(self, config: AlertConfig) -> None:
        self.at_s, self.us = 100.0, START_US
        self.alert = Alert(config, since_us=START_US, condition=condition_of(config, NO_TAGS, at_s=self.at_s))
        self.log: list[tuple[float, AlertEvent]] = []

    def do(self, what: str, value: Any) -> None:
        alert, times = self.alert, {"time_us": self.us, "at_s": self.at_s}
        if what == "value":
            alert.feed(float(value), Quality.GOOD, **times)
        elif what == "bad":
            alert.feed(None, Quality.BAD, **times)
        elif what == "wait":
            self._wait(value)
        elif what == "step":
            self.us += value
        elif what == "shelve":
            alert.shelve(for_s=value, who="ann", reason="r", **times)
        elif what == "take_out":
            alert.take_out(who="ann", reason="r", time_us=self.us)
        elif what == "suppress":
            alert.suppress(value, time_us=self.us)
        else:
            getattr(alert, what)(who="ann", time_us=self.us)
        self.log += [(self.at_s, event) for event in alert.take_events()]

    def _wait(self, delay_s: float) -> None:
        """Tick at each moment at which something is due, as the panel does."""
        end_s = self.at_s + delay_s + BEYOND_S
        for _ in range(200):
            due_s = self.alert.due_s()
            if due_s is None or due_s > end_s:
                break
            self._move(max(due_s, self.at_s + 1e-3))
        self._move(end_s)

    def _move(self, at_s: float) -> None:
        if at_s <= self.at_s:
            return
        self.us += round((at_s - self.at_s) * 1e6)
        self.at_s = at_s
        self.alert.tick(time_us=self.us, at_s=at_s)
        self.log += [(at_s, event) for event in self.alert.take_events()]

    def restart(self, *, other_boot: bool) -> None:
        """Store, and be another process; after a reboot its monotonic clock begins anew."""
        old = self.alert
        facts = facts_of("hot", old)
        pending = pending_of(old, boot=BOOT, at_s=self.at_s, now_us=self.us)
        timers = timers_of(old, boot=BOOT, at_s=self.at_s, now_us=self.us)
        stored_us = self.us
        if other_boot:
            self.at_s = 5.0
        self.alert = Alert(old.config, since_us=self.us, condition=condition_of(old.config, NO_TAGS, at_s=self.at_s))
        take_facts(self.alert, facts)
        boot = "another" if other_boot else BOOT
        take_timers(self.alert, facts, pending, timers, Moment(boot, self.at_s, self.us, stored_us, stored_us))


def lived(config: AlertConfig, script: Script) -> Life:
    life = Life(config)
    for what, value in script:
        life.do(what, value)
    return life


@given(configs, scripts)
def test_every_transition_is_one_of_the_diagram(config: AlertConfig, script: Script) -> None:
    life, state, held = lived(config, script), "cleared", False
    for _, event in life.log:
        assert event.kind in KINDS
        if event.kind == "active":
            assert event.state == "active" and (state in ("cleared", "returned") or not event.held)
        elif event.kind == "returned":
            assert (state, event.state, event.held) == ("active", "returned", False) and config.priority
        elif event.kind == "acknowledged":
            assert (state, event.state) in (("active", "acknowledged"), ("returned", "cleared")) and event.who == "ann"
        elif event.kind == "cleared":
            assert event.state == "cleared" and state in ("active", "acknowledged")
            assert not config.priority or state == "acknowledged" or event.held, "an alarm is cleared by a person"
        else:
            assert event.state == state, "a hold changes no state"
        state, held = event.state, event.held
    assert state == life.alert.state.value and (not life.log or held == life.alert.held)


@given(configs, scripts)
def test_times_rise_with_every_event_whatever_the_clock_does(config: AlertConfig, script: Script) -> None:
    life = lived(config, script)
    times = [event.at for _, event in life.log]
    assert times == sorted(set(times)) and life.alert.since_us <= life.alert.changed_us
    assert life.alert.occurrence_us <= life.alert.changed_us


def without(script: Script, *names: str) -> Script:
    return [each for each in script if each[0] not in names]


@given(configs, scripts)
def test_a_clock_step_changes_no_transition_and_no_duration(config: AlertConfig, script: Script) -> None:
    stepped, steady = lived(config, script), lived(config, without(script, "step"))
    assert [(round(at_s, 6), event.kind, event.state) for at_s, event in stepped.log] == [
        (round(at_s, 6), event.kind, event.state) for at_s, event in steady.log
    ]


@given(configs, scripts)
def test_never_sooner_than_its_delays(config: AlertConfig, script: Script) -> None:
    """Between a value and what it brings about lie at least the delays; by time alone nothing comes sooner."""
    if config.on_bad == "raise":
        script = without(script, "bad")
    life = lived(config, without(script, "suppress", "shelve", "take_out"))
    limit_s = ((config.unchanged_for_ms or 0) + (config.no_data_for_ms or 0) + config.for_ms) / 1000
    last_s: float | None = None
    for at_s, event in life.log:
        if event.kind == "active":
            assert at_s - 100.0 >= limit_s - 1e-6
            assert last_s is None or at_s - last_s >= config.for_ms / 1000 - 1e-6
        last_s = at_s


@given(configs, scripts, scripts, st.booleans())
def test_a_restart_at_any_point_gives_the_same_states(
    config: AlertConfig, before: Script, after: Script, other_boot: bool
) -> None:
    """What is silent or moves is known from stored values up to 20 s: those conditions have laws of their own."""
    if config.rate_above is not None or config.unchanged_for_ms or config.no_data_for_ms:
        config = AlertConfig(
            tag="a/l/d/t",
            above=5.0,
            for_ms=config.for_ms,
            clear_after_ms=config.clear_after_ms,
            priority=config.priority,
        )
    plain, restarted = lived(config, before), lived(config, before)
    restarted.restart(other_boot=other_boot)
    assert facts_of("hot", restarted.alert) == facts_of("hot", plain.alert)
    assert (restarted.alert.shelf is None) == (plain.alert.shelf is None)
    left = [one.alert.due_s() for one in (plain, restarted)]
    assert (left[0] is None) == (left[1] is None)
    if left[0] is not None and left[1] is not None:
        assert abs((left[0] - plain.at_s) - (left[1] - restarted.at_s)) < 1e-4, "nothing is shorter or longer"
    for what, value in after:
        plain.do(what, value)
        restarted.do(what, value)
    assert facts_of("hot", restarted.alert) == facts_of("hot", plain.alert) or same_but_for_rounding(restarted, plain)
    assert [(event.kind, event.state, event.held) for _, event in restarted.log] == [
        (event.kind, event.state, event.held) for _, event in plain.log
    ]


def same_but_for_rounding(one: Life, other: Life) -> bool:
    """Durations that crossed a reboot are whole µs."""
    mine, theirs = facts_of("hot", one.alert), facts_of("hot", other.alert)
    near = all(abs(getattr(mine, key) - getattr(theirs, key)) <= 5_000 for key in ("since", "changed", "occurrence"))
    return near and (mine.state, mine.value, mine.held) == (theirs.state, theirs.value, theirs.held)


@given(
    st.floats(0.0, 200.0), st.floats(0.0, 200.0), st.booleans(), st.sampled_from(["unchanged_for_ms", "no_data_for_ms"])
)
def test_silence_is_never_cut_short_by_a_restart_and_at_most_20_s_late(
    before_s: float, after_s: float, other_boot: bool, key: str
) -> None:
    config = AlertConfig(tag="a/l/d/t", **{key: 60_000})
    life = Life(config)
    life.do("value", 1)
    life.do("wait", before_s)
    life.restart(other_boot=other_boot)
    life.alert.feed(1.0, Quality.GOOD, time_us=life.us, at_s=life.at_s, fresh=False)  # what the broker kept
    life.do("wait", after_s)
    silent_s = before_s + after_s
    if silent_s < 60.0 - 1e-3:
        assert life.alert.state is State.CLEARED
    if silent_s > 80.0 + 1e-2:
        assert life.alert.state is State.ACTIVE


@given(configs, scripts)
def test_the_states_say_whether_somebody_is_asked(config: AlertConfig, script: Script) -> None:
    alert = lived(config, script).alert
    assert (alert.acknowledged_by != "") == (alert.state is State.ACKNOWLEDGED)
    assert alert.pending is None or alert.state not in HOLDING
    assert alert.clearing is None or alert.state in HOLDING
    assert alert.state is not State.RETURNED or config.priority
    assert not alert.suppresses or alert.out is None
    assert alert.state in UNANSWERED or not alert.acknowledge(who="bob", time_us=0)


@given(st.lists(st.floats(0.0, 120.0), max_size=80))
def test_a_flood_is_what_a_plain_count_says(gaps: list[float]) -> None:
    """Begins when more than 10 are within 10 minutes, and has ended when fewer than 5 are."""
    detector, at_s, times, flooded = FloodDetector(), 0.0, [], False
    for gap_s in gaps:
        end_s = at_s + gap_s
        # By hand: between two alarms the count only falls, at each moment at which one leaves the window.
        if flooded and sum(one > end_s - WINDOW_S for one in times) < ENDS_BELOW:
            flooded = False
        at_s = end_s
        detector.tick(at_s)
        detector.alarm(at_s)
        times.append(at_s)
        if not flooded and sum(one > at_s - WINDOW_S for one in times) > BEGINS_ABOVE:
            flooded = True
        assert (detector.now is not None) == flooded


NAMES = ("a", "b", "c", "d")


@given(
    st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), max_size=3, unique=True)),
    st.lists(
        st.tuples(st.sampled_from(NAMES), st.booleans(), st.sampled_from(["value", "out", "in", "ack"])), max_size=30
    ),
)
def test_suppression_is_what_the_states_say_and_always_ends(
    by: dict[str, list[str]], moves: list[tuple[str, bool, str]]
) -> None:
    """Chains and circles too: an alert is suppressed exactly while one that it names is active and in service."""
    panel = Panel(changed=lambda name, events: None, flooded=lambda flood, begins: None)
    panel.load(
        {
            name: AlertConfig(tag=f"a/l/d/{name}", above=1.0, priority="low", suppressed_by=by.get(name, []))
            for name in NAMES
        },
        Now(START_US, 0.0),
    )
    for number, (name, high, what) in enumerate(moves):
        now = Now(START_US + number, float(number))
        if what == "value":
            panel.feed(f"a/l/d/{name}", Reading(2.0 if high else 0.0, Quality.GOOD), now)
        elif what == "out":
            panel.act(name, now, lambda alert, now=now: alert.take_out(who="ann", reason="", time_us=now.us))  # type: ignore[misc]
        elif what == "in":
            panel.act(name, now, lambda alert, now=now: alert.take_in(who="ann", time_us=now.us))  # type: ignore[misc]
        else:
            panel.act(name, now, lambda alert, now=now: alert.acknowledge(who="ann", time_us=now.us))  # type: ignore[misc]
        for each, alert in panel.alerts.items():
            wanted = next((one for one in by.get(each, ()) if one != each and panel.alerts[one].suppresses), "")
            assert alert.suppressed_by == wanted
