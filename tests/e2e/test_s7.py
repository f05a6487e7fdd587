"""From an S7 CPU to the row: the rows equal what the CPU held, before and after it was restarted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.field import Field
from tests.e2e.hall import Held, at_work
from tests.e2e.runtime import Runtime
from tests.e2e.sites import devices_of
from tests.servers import free_port

pytestmark = [pytest.mark.slow, pytest.mark.needs_broker, pytest.mark.needs_database]

SITE = """
nexus: 1
enterprise: acme
site: mixing
defaults: {poll: 200ms}
areas:
  hall:
    lines:
      line-1:
        devices:
          press:
            protocol: s7
            connection: {host: 127.0.0.1, port: PORT, timeout: 500ms}
            tags:
              running:  {address: "DB1.DBX0.0", type: bool}
              alarm:    {address: "DB1,X0.5", type: bool}
              state:    {address: "DB1.DBW2", type: int16, values: {0: stopped, 1: running, 2: fault}}
              force:    {address: "DB1.DBD4", type: float32, unit: kN, range: [0, 500]}
              oil:      {address: "%DB1:8:INT", type: int16, unit: degC, scale: 0.1}
              cycles:   {address: "%DB1:10:UDINT", type: uint32}
              energy:   {address: "%DB1:16:LREAL", type: float64, unit: Wh, publish_unit: kWh}
              total:    {address: "DB1.LI24", type: int64}
              recipe:   {address: "DB1.S32.20", type: string}
              part:     {address: "%DB1:54:WSTRING(10)", type: string}
              started:  {address: "%DB1:80:DTL", type: datetime}
              stroke:   {address: "%DB1:92:TIME", type: duration}
              curve:    {address: "%DB2:0:REAL[80]", type: "float32[80]"}
              far:      {address: "DB7.DBW100", type: uint16}
              marker:   {address: MW20, type: int16}
              valve:    {address: I1.3, type: bool}
              pump:     {address: QB4, type: uint8}
              dwell:    {address: T5, type: duration}
              strokes:  {address: C7, type: uint16}
"""

FIRST: dict[str, Any] = {
    "running": True,
    "alarm": False,
    "state": 1,
    "force": 230.5,
    "oil": 615,
    "cycles": 4_000_000_000,
    "energy": 12_345_678.25,
    "recipe": "größe 7",
    "part": "Ω-42",
    "started": "2024-03-04T05:06:07.250000Z",
    "stroke": 1_250,
    "curve": [float(at) / 4 for at in range(80)],
    "far": 54_321,
    "marker": -300,
    "valve": True,
    "pump": 200,
    "dwell": 9_900,
    "strokes": 321,
}
SECOND: dict[str, Any] = {"running": False, "state": 2, "force": 99.5, "recipe": "none", "marker": 1, "strokes": 322}


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[tuple[Runtime, Field]]:
    site = tmp_path / "site" / "site.yaml"
    runtime = Runtime(tmp_path / "site", site="acme/mixing")
    site.write_text(SITE.replace("PORT", str(free_port())))
    field = Field(devices_of(site))
    with at_work(runtime, field):
        yield runtime, field


def test_rows_equal_what_the_cpu_held(hall: tuple[Runtime, Field]) -> None:
    runtime, field = hall
    (path,) = field.devices
    server, held = field.servers[path], Held(runtime, field, path)

    def prove() -> None:
        held.prove(exact={"total": 2**60 + 1})

    held.hold(FIRST)
    field.set(path, "total", 2**60 + 1)
    runtime.apply()
    prove()
    field.call(server.drop_connections)
    held.hold(SECOND)
    prove()
    # The CPU is restarted: nothing listens for a while, then it holds something else.
    port = server.port
    field.wait(server.close())
    held.hold({"force": 1.25, "part": "new"})
    field.wait(server.start(host="127.0.0.1", port=port))
    prove()
