"""Free tries, doubling pauses, and nobody locked out by somebody else."""

from __future__ import annotations

import pytest

from nexus_cli.runtime.identity.throttle import FORGOTTEN_S, MOST_KEYS, PAIR, Throttle, network_of


def fail(throttle: Throttle, user: str, address: str, *, times: int, now_s: float) -> None:
    for _ in range(times):
        assert throttle.begin(user, address, now_s=now_s) == 0.0


def test_five_free_tries_then_pauses_that_double() -> None:
    throttle, now_s = Throttle(), 100.0
    fail(throttle, "anna", "192.0.2.1", times=5, now_s=now_s)
    pauses = []
    for _ in range(8):
        pauses.append(throttle.begin("anna", "192.0.2.1", now_s=now_s))
        now_s += pauses[-1]
        assert throttle.begin("anna", "192.0.2.1", now_s=now_s) == 0.0
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


def test_a_refused_try_makes_the_pause_no_longer() -> None:
    throttle = Throttle()
    fail(throttle, "anna", "192.0.2.1", times=5, now_s=0.0)
    assert [throttle.begin("anna", "192.0.2.1", now_s=0.5) for _ in range(50)] == [0.5] * 50
    assert throttle.begin("anna", "192.0.2.1", now_s=1.0) == 0.0


def test_success_clears_the_pause_and_time_too() -> None:
    throttle = Throttle()
    fail(throttle, "anna", "192.0.2.1", times=5, now_s=0.0)
    throttle.succeeded("anna", "192.0.2.1", now_s=0.0)
    fail(throttle, "anna", "192.0.2.1", times=5, now_s=0.0)
    assert throttle.begin("anna", "192.0.2.1", now_s=0.0) == 1.0
    assert throttle.begin("anna", "192.0.2.1", now_s=FORGOTTEN_S + 1.0) == 0.0


def test_an_attacker_elsewhere_slows_a_known_user_by_nothing_and_a_new_place_by_two_seconds() -> None:
    throttle = Throttle()
    throttle.succeeded("anna", "192.0.2.1", now_s=0.0)
    for number in range(200):
        throttle.begin("anna", f"198.51.{number // 250}.{number % 250}", now_s=10.0)
    assert throttle.begin("anna", "192.0.2.1", now_s=10.0) == 0.0
    assert 0.0 < throttle.begin("anna", "203.0.113.9", now_s=10.0) <= 2.0
    assert throttle.begin("ben", "203.0.113.9", now_s=10.0) == 0.0


def test_spraying_one_password_over_many_users_is_slowed_down() -> None:
    throttle = Throttle()
    throttle.succeeded("anna", "192.0.2.1", now_s=0.0)
    tried = [throttle.begin(f"user-{number}", "192.0.2.1", now_s=0.0) for number in range(100)]
    assert tried[:20] == [0.0] * 20 and all(wait > 0.0 for wait in tried[20:])
    assert throttle.begin("anna", "192.0.2.1", now_s=0.0) == 0.0


@pytest.mark.parametrize("many", ["users", "addresses"])
def test_memory_is_bounded(many: str) -> None:
    throttle = Throttle()
    for number in range(3 * MOST_KEYS):
        address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        if many == "users":
            throttle.succeeded(f"user-{number}", "192.0.2.1", now_s=float(number))
        throttle.begin(f"user-{number}", address, now_s=float(number))
    assert len(throttle) <= 4 * MOST_KEYS


def test_addresses() -> None:
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff") != network_of("2001:db8:0:1::1")
    assert network_of("::ffff:192.0.2.1") == network_of("192.0.2.1") == "192.0.2.1"
    assert network_of("fe80::1%eth0").startswith("fe80::") and network_of("") == ""
    assert network_of("x" * 500) == "x" * 100
    assert PAIR.pause_s(10_000) == 60.0
