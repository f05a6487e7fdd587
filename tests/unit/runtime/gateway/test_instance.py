"""Several processes under one name: which one works, over a broker that keeps one message and may be away."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_cli.runtime.gateway.instance import (
    CLAIM_S,
    ECHO_S,
    PAUSE_S,
    SETTLE_S,
    SILENCE_S,
    START_S,
    Identity,
    InstanceElection,
    Other,
    State,
)
from tests.clock import FakeClock

TICK_S = 0.1


@dataclass
class Process:
    """One gateway process, as far as instances go."""

    hub: Hub
    name: str
    own: tuple[str, ...] = ()
    online: bool = False
    frozen: bool = False
    dead: bool = False
    inbox: deque[tuple[bytes, bool]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        me = Identity(instance=self.name, host=f"host-{self.name}", pid=7)
        self.election = InstanceElection(me, name="gw", own=self.own, term=0, clock=self.hub.clock)
        self.period_s = 0.0

    @property
    def active(self) -> bool:
        return self.election.active and not self.dead

    def said(self, state: str) -> bytes:
        return msgspec.json.encode(
            Other(state=state, instance=self.name, host=f"host-{self.name}", pid=7, term=self.election.term)
        )

    def say(self) -> None:
        if self.online:
            self.hub.publish(self.said("running" if self.election.active else "waiting"), retain=self.election.active)
            self.period_s = self.hub.clock.monotonic_s() + 10.0

    def connect(self) -> None:
        self.online = True
        if self.hub.retained:
            self.inbox.append((self.hub.retained, True))
        self.election.connected()
        self.say()

    def cut(self) -> None:
        """Its connection ends, and the broker publishes its last will."""
        if self.online:
            self.online = False
            self.inbox.clear()
            self.election.lost()
            self.hub.publish(msgspec.json.encode(Other(state="lost", instance=self.name)), retain=True)

    def kill(self) -> None:
        self.cut()
        self.dead = True

    def step(self) -> None:
        if self.frozen or self.dead:
            return
        was = self.election.active
        while self.inbox:
            payload, retained = self.inbox.popleft()
            if self.election.message(payload, retained=retained):
                self.say()
        if self.election.tick() or self.election.active != was or self.hub.clock.monotonic_s() >= self.period_s:
            self.say()


class Hub:
    """A broker that keeps the last retained message of one topic."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.retained = b""
        self.processes: list[Process] = []

    def start(self, name: str, *, own: tuple[str, ...] = (), online: bool = True) -> Process:
        one = Process(self, name, own)
        self.processes.append(one)
        if online:
            one.connect()
        return one

    def publish(self, payload: bytes, *, retain: bool) -> None:
        if retain:
            self.retained = payload
        for one in self.processes:
            if one.online and not one.dead:
                one.inbox.append((payload, False))

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK_S)):
            self.clock.advance(TICK_S)
            for one in self.processes:
                one.step()

    @property
    def active(self) -> list[str]:
        return [one.name for one in self.processes if one.active]


def test_alone_it_works_as_soon_as_its_own_message_comes_back() -> None:
    hub = Hub()
    hub.start("01A")
    hub.run(SETTLE_S + 2 * TICK_S)
    assert hub.active == ["01A"]


def test_without_a_broker_it_works_after_a_moment() -> None:
    hub = Hub()
    hub.start("01A", online=False)
    hub.run(START_S - 0.2)
    assert hub.active == []
    hub.run(0.4)
    assert hub.active == ["01A"]


def test_a_broker_that_gives_nothing_back_does_not_stop_it() -> None:
    hub = Hub()
    one = hub.start("01A", online=False)
    one.election.connected()
    hub.run(ECHO_S + 0.2)
    assert hub.active == ["01A"]


def test_its_own_predecessor_is_nobody() -> None:
    hub = Hub()
    first = hub.start("01A")
    hub.run(1.0)
    first.kill()
    hub.start("01B", own=("01A",))
    hub.run(SETTLE_S + 2 * TICK_S)
    assert hub.active == ["01B"]
    assert not hub.processes[1].election.foreign


def test_a_second_one_waits_and_says_why() -> None:
    hub = Hub()
    hub.start("01A")
    hub.run(1.0)
    second = hub.start("01B")
    hub.run(60.0)
    assert hub.active == ["01A"]
    assert second.election.state is State.WAITING
    assert "another instance 01A of gateway gw runs at host-01A (pid 7)" in second.election.why
    assert msgspec.json.decode(hub.retained, type=Other).instance == "01A"


def test_a_second_one_with_a_lower_id_waits_as_well() -> None:
    hub = Hub()
    hub.start("01B")
    hub.run(1.0)
    hub.start("01A")
    hub.run(10.0)
    assert hub.active == ["01B"], "the one at work stays at work"


def test_it_takes_over_when_the_other_one_is_lost() -> None:
    hub = Hub()
    first = hub.start("01A")
    hub.run(1.0)
    second = hub.start("01B")
    hub.run(5.0)
    first.kill()
    hub.run(CLAIM_S + 1.0)
    assert hub.active == ["01B"]
    assert second.election.foreign, "it does not know what the other one read"


def test_of_two_that_wait_one_takes_over_and_never_both() -> None:
    hub = Hub()
    first = hub.start("01A")
    hub.run(1.0)
    hub.start("01C")
    hub.start("01B")
    hub.run(5.0)
    first.kill()
    for _ in range(200):
        hub.run(TICK_S)
        assert len(hub.active) <= 1
    assert hub.active == ["01B"]


def test_it_does_not_take_over_when_the_other_one_was_cut_off_for_a_second() -> None:
    hub = Hub()
    first = hub.start("01A")
    hub.run(1.0)
    hub.start("01B")
    hub.run(5.0)
    first.cut()
    hub.run(1.0)
    first.connect()
    hub.run(30.0)
    assert hub.active == ["01A"]


def test_a_retained_message_alone_proves_nothing() -> None:
    """The machine of the other one lost its power: no last will yet, and no answer."""
    hub = Hub()
    first = hub.start("01A")
    hub.run(1.0)
    first.frozen = True
    hub.start("01B")
    hub.run(CLAIM_S + 1.0)
    assert hub.active == ["01A", "01B"]


def test_silence_is_challenged() -> None:
    hub = Hub()
    first = hub.start("01A")
    hub.run(1.0)
    hub.start("01B")
    hub.run(5.0)
    first.dead = True  # without a last will
    hub.run(SILENCE_S - 15.0)
    assert hub.active == []
    hub.run(15.0 + CLAIM_S + 1.0)
    assert hub.active == ["01B"]


def test_one_that_was_replaced_while_it_was_cut_off_waits() -> None:
    hub = Hub()
    first = hub.start("01A")
    hub.run(1.0)
    first.cut()
    second = hub.start("01B")
    hub.run(CLAIM_S + 1.0)
    assert hub.active == ["01A", "01B"], "neither can know of the other"
    first.connect()
    hub.run(2.0)
    assert hub.active == ["01B"]
    second.kill()
    hub.run(CLAIM_S + 1.0)
    assert hub.active == ["01A"]
    assert first.election.foreign


def test_of_two_that_started_without_a_broker_the_older_one_stays() -> None:
    hub = Hub()
    younger, older = hub.start("01B", online=False), hub.start("01A", online=False)
    hub.run(START_S + 1.0)
    assert hub.active == ["01B", "01A"]
    younger.connect()
    older.connect()
    hub.run(2.0)
    assert hub.active == ["01A"]


def test_the_last_will_of_another_one_does_not_lie_over_the_health_of_this() -> None:
    hub = Hub()
    hub.start("01A")
    hub.run(1.0)
    second = hub.start("01B")
    hub.run(5.0)
    second.kill()
    hub.run(1.0)
    assert msgspec.json.decode(hub.retained, type=Other).instance == "01A"
    assert hub.active == ["01A"]


def test_an_older_version_without_an_instance_is_waited_for() -> None:
    hub = Hub()
    hub.publish(b'{"state": "running"}', retain=True)
    one = hub.start("01B")
    hub.publish(b'{"state": "running"}', retain=True)
    hub.run(1.0)
    assert hub.active == []
    assert "of an older version" in one.election.why


def test_equal_client_ids_the_one_that_waits_leaves_the_broker_alone() -> None:
    """Each connect ends the session of the other one; the broker publishes its last will."""
    hub = Hub()
    first = hub.start("01A")
    hub.run(1.0)
    second = hub.start("01B", online=False)
    tries = 0
    while not second.election.pause_s and tries < 10:
        tries += 1
        first.cut()
        second.connect()
        hub.run(0.3)
        second.cut()
        first.connect()
        hub.run(0.3)
    assert tries <= 3
    assert second.election.pause_s == PAUSE_S
    assert "01A" in second.election.why
    assert hub.active == ["01A"]
    hub.run(PAUSE_S)
    assert hub.active == ["01A"]


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["start", "kill", "cut", "connect", "freeze", "thaw"]), st.integers(0, 4), st.floats(0, 30)
    ),
    max_size=12,
)


@settings(max_examples=200, deadline=None)
@given(moves=MOVES)
def test_in_the_end_exactly_one_works(moves: list[tuple[str, int, float]]) -> None:
    hub = Hub()
    hub.start("010")
    for number, (move, which, seconds) in enumerate(moves):
        alive = [one for one in hub.processes if not one.dead]
        one = alive[which % len(alive)] if alive else None
        if move == "start" and len(alive) < 4:
            hub.start(f"01{number + 1}", online=which % 2 == 0)
        elif move == "kill" and one is not None:
            one.kill()
        elif move == "cut" and one is not None:
            one.cut()
        elif move == "connect" and one is not None and not one.online:
            one.connect()
        elif one is not None:
            one.frozen = move == "freeze"
        hub.run(seconds)
    for one in hub.processes:
        one.frozen = False
        if not one.dead and not one.online:
            one.connect()
    hub.run(2 * SILENCE_S + 4 * CLAIM_S)
    alive = [one for one in hub.processes if not one.dead]
    assert len(hub.active) == min(1, len(alive)), [(one.name, one.election.state) for one in alive]
    if alive:
        assert msgspec.json.decode(hub.retained, type=Other).instance == hub.active[0]
