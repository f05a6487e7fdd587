"""How long a device is left alone: the next loss begins at the first step, however many connections there were before."""

from __future__ import annotations

from nexus_cli.drivers.base import DriverError, Scope
from nexus_cli.runtime.gateway.devices.device import DEVICE_FIRST_S, answered, device_runtime, fail
from nexus_cli.runtime.gateway.devices.normaliser import Cycle
from nexus_cli.wire.sample import Reason
from tests.field import FakeDriver, device

SILENT = DriverError("no answer in time", scope=Scope.DEVICE, reason=Reason.DEVICE_TIMEOUT)


def test_an_answer_over_a_new_connection_ends_the_back_off() -> None:
    one = device_runtime(device("a/l/one", poll_ms=1000), "d", FakeDriver())
    for loss in range(6):
        fail(one, SILENT, 100.0 * loss, Cycle(1_000_000 * (loss + 1)))
        one.blocked_s = 0.0  # a new connection asks every device of its link at once
    answered(one)
    fail(one, SILENT, 1000.0, Cycle(10_000_000))
    assert one.blocked_s <= 1000.0 + DEVICE_FIRST_S
