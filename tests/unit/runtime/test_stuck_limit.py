"""How long a link may do nothing before it counts as stuck: its time-outs are in it, also those that a site leaves out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from nexus_cli.drivers.registry import driver
from nexus_cli.model.config import DeviceConfig
from nexus_cli.runtime.clock import SystemClock
from nexus_cli.runtime.gateway.field.supervisor import STUCK_S, Supervisor
from tests.measured import latencies


@pytest.mark.parametrize(
    ("connections", "limit_s"),
    [
        ([], STUCK_S),
        ([{}], STUCK_S + 6.0),
        ([{"timeout": 500}], STUCK_S + 6.0),
        ([{"timeout": 500, "connect_timeout": 1_000}], STUCK_S + 2.0),
        ([{"timeout": 10_000}, {}], STUCK_S + 20.0),
    ],
)
def test_a_time_out_that_is_not_written_is_the_default(connections: list[dict[str, int]], limit_s: float) -> None:
    supervisor = Supervisor(
        "tcp:h:502",
        driver=driver("modbus"),
        link_keys=frozenset(),
        home=".",
        clock=SystemClock(),
        pipeline=cast("Any", None),
        latencies=latencies(SystemClock()),
        changed=lambda: None,
    )
    for number, connection in enumerate(connections):
        config = DeviceConfig(path=f"a/l/{number}", protocol="modbus", connection=connection)
        supervisor.devices[config.path] = cast("Any", SimpleNamespace(config=config))
    assert supervisor.activity().limit_s == limit_s
