"""What a gateway remembers of signed commands: over its own end, a clock that is set, and devices that change hands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.runtime.gateway.commands.admission import Clocks, Rejection
from nexus_cli.runtime.gateway.commands.signed import SignatureGuard
from nexus_cli.wire.signature import HMAC, KeyRules, SignatureRules, hmac_signature, seal
from nexus_cli.wire.topic import Topics
from tests.clock import FakeClock

DEVICE, OTHER = "a/l/drive", "a/l/other"
TOPIC = Topics("acme", "chicago").command(f"{DEVICE}/setpoint", "desk")
SECRET = "a-secret-of-at-least-thirty-two-bytes"
RULES = SignatureRules(
    require=["command"], keys={"k": KeyRules(algorithm=HMAC, secret="${env:DESK}", principals=["desk"])}
)


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESK", SECRET)


def sealed(clock: FakeClock, *, ahead_us: int = 0) -> bytes:
    time_us = clock.now_us() + ahead_us
    return seal(key="k", sign=hmac_signature(SECRET), topic=TOPIC, payload=b"{}", time_us=time_us)


class Gateway:
    """One life of a gateway."""

    def __init__(self, clock: FakeClock, *devices: str, most: int = 100, rules: SignatureRules = RULES) -> None:
        self.guard = SignatureGuard(Clocks(clock.wall_us), most=most)
        self.guard.configured(rules)
        self.guard.took(devices or [DEVICE])

    def code(self, payload: bytes, *, device: str = DEVICE) -> str:
        found = self.guard.open(TOPIC, "desk", payload, device=device)
        return found.code if isinstance(found, Rejection) else ""


def started(clock: FakeClock, *devices: str, most: int = 100) -> Gateway:
    gateway = Gateway(clock, *devices, most=most)
    clock.advance(1)
    return gateway


def test_a_restart_refuses_what_was_signed_before_it() -> None:
    clock = FakeClock()
    payload, gateway = sealed(clock, ahead_us=1_000_000), started(clock)
    assert gateway.code(payload) == ""
    assert gateway.code(payload) == "NX6465"
    assert started(clock).code(payload) == "NX6464"


def test_a_device_that_moves_here_takes_nothing_that_its_former_gateway_may_have_done() -> None:
    clock = FakeClock()
    here, there = started(clock, OTHER), started(clock)
    payload = sealed(clock)
    assert there.code(payload) == ""
    clock.advance(1)
    here.guard.took([OTHER, DEVICE])
    assert here.code(payload) == "NX6464"
    clock.advance(1)
    assert here.code(sealed(clock)) == ""
    here.guard.took([DEVICE, OTHER, "a/l/third"])
    assert here.code(sealed(clock, ahead_us=-500_000)) == "", "it kept the device"


def test_a_stand_by_that_takes_over_does_so_for_all_of_its_devices() -> None:
    clock = FakeClock()
    active, waiting = started(clock), started(clock)
    waiting.guard.took([])
    payload = sealed(clock)
    assert active.code(payload) == ""
    assert waiting.code(payload) == "NX6464", "it has no device"
    clock.advance(1)
    waiting.guard.took([DEVICE])
    assert waiting.code(payload) == "NX6464"


def test_a_clock_that_is_set_back_finds_the_nonce_or_the_mark() -> None:
    clock = FakeClock()
    gateway = started(clock)
    payload = sealed(clock)
    assert gateway.code(payload) == ""
    clock.step(61_000_000)
    assert gateway.code(sealed(clock)) == "", "the nonce of before is forgotten now"
    clock.step(-61_000_000)
    assert gateway.code(payload) == "NX6464"


def test_a_larger_window_believes_nothing_that_the_smaller_one_forgot() -> None:
    clock = FakeClock()
    gateway = started(clock)
    payload = sealed(clock)
    assert gateway.code(payload) == ""
    clock.step(31_000_000)
    assert gateway.code(sealed(clock)) == ""
    gateway.guard.configured(SignatureRules(require=["command"], window_ms=600_000, keys=RULES.keys))
    assert gateway.code(payload) == "NX6464"


def test_it_refuses_rather_than_forget() -> None:
    clock = FakeClock()
    gateway = started(clock, most=2)
    first = [sealed(clock) for _ in range(3)]
    assert [gateway.code(payload) for payload in first] == ["", "", "NX6467"]
    clock.step(31_000_000)
    assert gateway.code(sealed(clock)) == ""


MOVES = st.one_of(
    st.tuples(st.just("sign"), st.integers(-40_000_000, 0)),
    st.tuples(st.just("pass"), st.integers(1, 20_000_000)),
    st.tuples(st.just("move"), st.just(0)),
    st.tuples(st.just("restart"), st.just(0)),
    st.tuples(st.just("window"), st.sampled_from([1_000, 30_000, 600_000])),
)


@given(st.lists(MOVES, max_size=40))
def test_no_command_of_a_sender_that_is_not_ahead_is_accepted_twice_while_clocks_go_forward(
    moves: list[tuple[str, int]],
) -> None:
    """Two gateways with one clock; the device moves between them, each restarts, windows change, everything is sent again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DESK", SECRET)
        clock, at, window_ms = FakeClock(), 0, 30_000
        both = [Gateway(clock), Gateway(clock, OTHER)]
        sent, done = list[bytes](), list[bytes]()
        for what, number in moves:
            if what == "sign":
                sent.append(sealed(clock, ahead_us=number))
            elif what == "pass":
                clock.step(number)
            elif what == "move":
                both[at].guard.took([OTHER])
                at = 1 - at
                both[at].guard.took([OTHER, DEVICE])
            elif what == "restart":
                both[at] = Gateway(clock, rules=both[at].guard._rules)
            else:
                window_ms = number
                both[at].guard.configured(SignatureRules(require=["command"], window_ms=window_ms, keys=RULES.keys))
            done += [payload for payload in sent if both[at].code(payload) == ""]
        assert len(done) == len(set(done))
