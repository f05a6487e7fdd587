"""From a Beckhoff PLC to the row: the rows equal what the PLC held, across link losses and changes of its program."""

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
site: filling
defaults: {poll: 100ms}
areas:
  hall:
    lines:
      line-1:
        devices:
          filler:
            protocol: ads
            connection: {host: 127.0.0.1, tcp_port: PORT, ams_net_id: 5.12.82.20.1.1, timeout: 500ms}
            tags:
              running:  {address: MAIN.bRun, type: bool}
              state:    {address: MAIN.eState, type: int16, values: {0: stopped, 1: running, 2: fault}}
              speed:    {address: MAIN.stMotor.fSpeed, type: float32, unit: rpm, range: [0, 3000]}
              current:  {address: MAIN.stMotor.fCurrent, type: float64, unit: A}
              level:    {address: "GVL.aLevels[2]", type: int16, unit: degC, scale: 0.1, mode: poll}
              levels:   {address: GVL.aTotals, type: "uint32[4]", mode: poll}
              total:    {address: GVL.nTotal, type: int64}
              energy:   {address: GVL.fEnergy, type: float64, unit: Wh, publish_unit: kWh, mode: cyclic}
              recipe:   {address: MAIN.sRecipe, type: "string[30]"}
              operator: {address: MAIN.sOperator, type: "string[30]", encoding: utf-8, mode: poll}
              part:     {address: MAIN.wsPart, type: "string[20]", plc_type: WSTRING}
              started:  {address: MAIN.dtStart, type: datetime}
              stroke:   {address: MAIN.tStroke, type: duration, mode: poll}
              legacy:   {address: .nLegacy, type: uint16}
              raw:      {address: "0x4020,0x10", type: uint32, mode: poll}
"""
FIRST: dict[str, Any] = {
    "running": True,
    "state": 1,
    "speed": 1480.5,
    "current": 12.25,
    "level": 615,
    "levels": [1, 2, 3, 4_000_000_000],
    "energy": 12_345_678.25,
    "recipe": "größe 7 €",
    "operator": "Ψάρης",
    "part": "Ω-42",
    "started": "2024-03-04T05:06:07Z",
    "stroke": 1_250,
    "legacy": 54_321,
    "raw": 3_000_000_000,
}
SECOND: dict[str, Any] = {"running": False, "state": 2, "speed": 99.5, "recipe": "none", "level": -5, "raw": 7}
THIRD: dict[str, Any] = {"speed": 7.25, "current": 0.5, "level": 9, "part": "Ω-43", "legacy": 3}


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[tuple[Runtime, Field]]:
    site = tmp_path / "site" / "site.yaml"
    runtime = Runtime(tmp_path / "site", site="acme/filling")
    site.write_text(SITE.replace("PORT", str(free_port())))
    field = Field(devices_of(site))
    with at_work(runtime, field):
        yield runtime, field


def test_rows_equal_what_the_plc_held(hall: tuple[Runtime, Field]) -> None:
    runtime, field = hall
    (path,) = field.devices
    server, held = field.servers[path], Held(runtime, field, path)

    def prove() -> None:
        held.prove(exact={"total": 2**60 + 1})

    held.hold(FIRST)
    field.set(path, "total", 2**60 + 1)
    runtime.apply()
    prove()
    times = runtime.query(
        "select s.path, x.source_time, x.time from nexus.sample x join nexus.series s on s.id = x.series_id "
        "where s.path = $1 order by x.time desc limit 1",
        f"{path}/speed",
    )
    assert abs((times[0]["source_time"] - times[0]["time"]).total_seconds()) < 5, "the PLC's own time is stored"
    field.call(server.drop_connections)
    held.hold(SECOND)
    prove()
    # Another program: every symbol has moved.
    field.call(server.online_change, path)
    held.hold(THIRD)
    prove()
    # Every row ever written of a tag holds one of its values: no address of an old program was believed.
    ever = {"speed": {1480.5, 99.5, 7.25}, "legacy": {54_321.0, 3.0}, "current": {12.25, 0.5}}
    for name, values in ever.items():
        rows = runtime.query(
            "select distinct x.value from nexus.sample x join nexus.series s on s.id = x.series_id "
            "where s.path = $1 and x.quality > 0",
            f"{path}/{name}",
        )
        assert {row["value"] for row in rows} <= values
