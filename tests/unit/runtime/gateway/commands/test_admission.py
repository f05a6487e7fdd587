"""Whether a command may go to its device: each objection by its code, the first one counts, and nothing else objects."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.runtime.gateway.commands.admission import Accepted, Clocks, Rejection, admit, same_device, still_admitted
from nexus_cli.runtime.gateway.devices.device import DeviceRuntime, device_runtime
from nexus_cli.wire.command import LONGEST_AHEAD_US, Command
from tests.field import FakeDriver

NOW_US = 1_800_000_000_000_000
CLOCKS = Clocks(lambda: NOW_US)
PATH = "a/l/oven"


def oven(*, enabled: bool = True, connection: dict[str, Any] | None = None, **keys: Any) -> DeviceRuntime:
    """A device with a writable tag `set` from 0 to 100."""
    tag = TagConfig(**{"type": "int16", "address": "5", "writable": True, "range": (0.0, 100.0), **keys})
    config = DeviceConfig(
        path=PATH, protocol="fake", link="x", gateway="gw", connection=connection or {}, tags={"set": tag}
    )
    return device_runtime(msgspec.structs.replace(config, enabled=enabled), "1", FakeDriver())


def command(value: Any = 50, *, ahead_us: int = 10_000_000) -> Command:
    return Command(id="1", value=value, expires_at=NOW_US + ahead_us)


@pytest.mark.parametrize(
    ("device", "tag", "asked", "code", "words"),
    [
        (oven(), "sett", command(), "NX6802", "has no tag 'sett'; did you mean 'set'?"),
        (oven(writable=False), "set", command(), "NX6803", "not writable"),
        (oven(address=""), "set", command(), "NX6803", "not writable"),
        (oven(enabled=False), "set", command(), "NX6804", "out of service"),
        (oven(), "set", command("hot"), "NX6805", ""),
        (oven(), "set", command(101), "NX6806", "100"),
        (oven(), "set", command(1.5), "NX6807", ""),
        (oven(), "set", command(ahead_us=0), "NX6808", "expired 0.0 s ago"),
        (oven(), "set", command(ahead_us=LONGEST_AHEAD_US + 1), "NX6808", "at most 60 s"),
        (oven(writable=False), "set", command("hot", ahead_us=0), "NX6803", "not writable"),
    ],
)
def test_each_objection(device: DeviceRuntime, tag: str, asked: Command, code: str, words: str) -> None:
    found = admit(device, tag, asked, CLOCKS)
    assert isinstance(found, Rejection) and found.code == code
    assert words in found.detail


@pytest.mark.parametrize("value", [0, 100])
def test_what_nothing_speaks_against_is_accepted_with_what_it_was_judged_by(value: int) -> None:
    device = oven()
    found = admit(device, "set", command(value, ahead_us=LONGEST_AHEAD_US), CLOCKS)
    assert found == Accepted(device.config, device.config.tags["set"])


@pytest.mark.parametrize(
    ("expires_s", "doubt", "code"),
    [
        (10, "", None),
        (60, "", None),
        (0, "", "NX6808"),
        (-5, "", "NX6808"),
        (60.001, "", "NX6808"),
        (10, "the clock of this machine says 1970-01-02, which can't be", "NX6810"),
    ],
)
def test_times(expires_s: float, doubt: str, code: str | None) -> None:
    clocks = Clocks(lambda: NOW_US, lambda: doubt)
    found = clocks.rejection(NOW_US + int(expires_s * 1e6))
    assert (found.code if found else None) == code
    assert doubt in (found.detail if found else "")


@pytest.mark.parametrize(
    ("now", "code", "words"),
    [
        (None, "NX6803", "the tag is gone"),
        (oven(writable=False), "NX6803", "not writable any more"),
        (oven(enabled=False), "NX6804", "out of service"),
        (oven(scale=0.1), "NX6803", "(scale)"),
        (oven(range=(0.0, 90.0), address="6"), "NX6803", "(address, range)"),
        (oven(read_back_timeout_ms=9_000), "NX6803", "(read_back_timeout)"),
        (oven(connection={"host": "other"}), "NX6803", "(connection)"),
    ],
)
def test_a_configuration_that_means_something_else_stops_a_command(
    now: DeviceRuntime | None, code: str, words: str
) -> None:
    accepted = Accepted(oven().config, oven().config.tags["set"])
    found = still_admitted(accepted, "set", now)
    assert found is not None and (found.code, words in found.detail) == (code, True)


def test_how_often_and_how_patiently_a_device_is_asked_changes_no_meaning() -> None:
    accepted = Accepted(oven().config, oven().config.tags["set"])
    manners = {"timeout": 1, "connect_timeout": 2, "pause": 3, "session_timeout": 4, "max_read": 5}
    assert still_admitted(accepted, "set", oven(poll_ms=50, deadband=1.0, heartbeat_ms=5, connection=manners)) is None


def test_a_device_is_the_same_one_by_its_link_gateway_protocol_and_address() -> None:
    one = oven(connection={"host": "h", "unit_id": 1}).config
    change = msgspec.structs.replace
    assert same_device(one, change(one, connection={"host": "h", "unit_id": 1, "timeout": 9}))
    for other in (
        change(one, link="y"),
        change(one, gateway="gw-2"),
        change(one, protocol="modbus"),
        change(one, connection={"host": "h", "unit_id": 2}),
        change(one, connection={"host": "h"}),
    ):
        assert not same_device(one, other)
