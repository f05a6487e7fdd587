"""Which devices give nothing, why and since when; how many tags are good."""

from __future__ import annotations

import dataclasses

import msgspec

from nexus_cli.apply.observation import Observations
from nexus_cli.drivers.base import DriverError, Scope
from nexus_cli.runtime.gateway.counters import _register_devices
from nexus_cli.runtime.gateway.devices.census import (
    all_silent,
    by_reason,
    named,
    reads_of,
    silence,
    tags_by_quality,
)
from nexus_cli.runtime.gateway.devices.device import DeviceRuntime, answered, device_runtime, fail
from nexus_cli.runtime.gateway.devices.normaliser import Cycle
from nexus_cli.runtime.gateway.observed import verify
from nexus_cli.runtime.metrics import Metrics
from nexus_cli.wire.device_reads import DeviceReads
from nexus_cli.wire.gateway_health import GatewayHealth, decode_gateway
from nexus_cli.wire.health import encode
from nexus_cli.wire.sample import Reason
from tests.field import FakeDriver, device


def _made(path: str = "a/l/one", **keys: object) -> DeviceRuntime:
    return device_runtime(device(path, tags=2, **keys), "d", FakeDriver())  # type: ignore[arg-type]


def _timed_out(one: DeviceRuntime, time_us: int) -> None:
    error = DriverError("unit 7 does not answer within 1 s", scope=Scope.DEVICE, reason=Reason.DEVICE_TIMEOUT)
    fail(one, error, 0.0, Cycle(time_us))


def _read(one: DeviceRuntime, time_us: int, *values: float) -> None:
    names = [state.name for state in one.field_states()[: len(values)]]
    one.normaliser.take(one.normaliser.of(names), values, Cycle(time_us))
    answered(one)


def test_a_device_that_was_not_asked_is_not_silent() -> None:
    assert named(all_silent([_made()])) == ([], 0)


def test_a_device_without_an_answer_is_named_with_reason_and_since_when() -> None:
    one = _made()
    _read(one, 1_000, 1.0, 2.0)
    assert named(all_silent([one])) == ([], 0)
    _timed_out(one, 5_000)
    _timed_out(one, 9_000)
    (found,), more = named(all_silent([one]))
    assert (found.path, found.reason, found.since, more) == ("a/l/one", "device_timeout", 5_000, 0)
    assert found.detail == "unit 7 does not answer within 1 s" and not found.answers
    assert verify([one], paused=lambda _: "")["a/l/one"].detail == found.detail
    assert verify([one], paused=lambda _: "until noon")["a/l/one"].detail == "until noon"
    _read(one, 10_000, 1.0, 2.0)
    assert named(all_silent([one])) == ([], 0)
    one.normaliser.bad(one.field_states(), Reason.DEVICE_ERROR, Cycle(20_000), code=2)
    (found,), _ = named(all_silent([one]))
    assert (found.code, found.detail, found.since) == (2, "", 20_000), "what was said of an earlier time is not"


def test_a_device_that_refuses_everything_is_silent_and_one_good_tag_is_enough() -> None:
    one = _made()
    one.normaliser.bad(one.field_states(), Reason.DEVICE_ERROR, Cycle(1_000), code=11)
    one.reachable = True
    (found,), _ = named(all_silent([one]))
    assert (found.reason, found.code, found.answers) == ("device_error", 11, True)
    _read(one, 2_000, 1.0)
    assert named(all_silent([one])) == ([], 0)
    assert tags_by_quality([one]) == {"GOOD": 1, "UNCERTAIN": 0, "BAD": 1, "UNKNOWN": 0}


def test_what_is_switched_off_is_neither() -> None:
    one = _made()
    one.config = msgspec.structs.replace(one.config, enabled=False)
    _timed_out(one, 1_000)
    assert silence(one) is None and sum(tags_by_quality([one]).values()) == 0


def test_a_network_that_is_away_is_told_of_in_a_bounded_message() -> None:
    all_of_them = [_made(f"a/l/d{at:03}") for at in range(7)]
    for one in all_of_them:
        _timed_out(one, 1_000)
    first, more = named(all_silent(reversed(all_of_them)), limit=3)
    assert [one.path for one in first] == ["a/l/d000", "a/l/d001", "a/l/d002"] and more == 4
    assert by_reason(all_silent(all_of_them)) == {"device_timeout": 7}, "all of them are counted"


def test_metrics_count_by_device_and_quality() -> None:
    @dataclasses.dataclass
    class Link:
        devices: dict[str, DeviceRuntime]

    @dataclasses.dataclass
    class Links:
        supervisors: dict[str, Link]

    well, ill = _made("a/l/well"), _made("a/l/ill")
    _read(well, 1_000, 1.0, 2.0)
    _timed_out(ill, 1_000)
    metrics = Metrics()
    _register_devices(metrics, Links({"tcp:x:502": Link({one.path: one for one in (well, ill)})}))  # type: ignore[arg-type]
    text = metrics.render().decode()
    assert 'nexus_device_up{device="a/l/well",link="tcp:x:502"} 1.0' in text
    assert 'nexus_device_up{device="a/l/ill",link="tcp:x:502"} 0.0' in text
    assert 'nexus_device_tags{device="a/l/well",link="tcp:x:502",quality="GOOD"} 2.0' in text
    assert 'nexus_device_tags{device="a/l/ill",link="tcp:x:502",quality="BAD"} 2.0' in text


def test_control_judges_a_device_by_itself_and_not_by_its_link() -> None:
    seen = Observations()
    links = b'"links":{"tcp:x:502":{"state":"connected"}}'
    seen.hear_health(
        "gw", b'{"state":"running",' + links + b',"silent":[{"path":"a/l/mute","reason":"device_timeout"}]}'
    )
    assert seen.answers("gw", "tcp:x:502", "a/l/well") and not seen.answers("gw", "tcp:x:502", "a/l/mute")
    assert not seen.answers("gw", "tcp:y:502", "a/l/well")
    seen.hear_health("gw", b'{"state":"running",' + links + b',"silent_left_out":3}')
    assert not seen.answers("gw", "tcp:x:502", "a/l/well"), "it may be one of those that were left out"
    assert not Observations().answers("gw", "tcp:x:502", "a/l/well")


def test_how_devices_are_read_is_a_short_block_of_the_health() -> None:
    one, off = _made(), _made("a/l/off", enabled=False)
    counters = one.counters
    counters.cycles, counters.missed, counters.answered_us = 12, 1, 1_767_225_600_900_000
    counters.failed(Reason.DEVICE_TIMEOUT)
    counters.failed(None)
    counters.note(Reason.LINK_LOST)
    counters.took(0.010)
    counters.took(0.018)
    found = reads_of([one, off])
    assert found == {
        "a/l/one": DeviceReads(
            polls=12,
            missed=1,
            errors=2,
            answered_s=1_767_225_600,
            read_ms=11.0,
            kinds={"device_timeout": 1, "other": 1, "link_lost": 1},
        )
    }
    assert counters.timeouts == 1
    assert msgspec.json.encode(found["a/l/one"]).startswith(b"[12,1,0,2,1767225600,11.0,{")
    assert len(reads_of([_made(f"a/l/d{number}") for number in range(5)], limit=3)) == 3
    health = decode_gateway(encode(GatewayHealth(reads=found)))
    assert health.reads == found
