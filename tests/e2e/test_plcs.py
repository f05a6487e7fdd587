"""From a PLC to the row: the rows equal what it held, across link losses, restarts and changes of its program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
site: plcs
defaults: {poll: 100ms}
areas:
  hall:
    lines:
      line-1:
        devices:
          plc:
            protocol: PROTOCOL
            connection: {host: 127.0.0.1, CONNECTION, timeout: 500ms}
            tags:TAGS
"""
TOTAL = 2**60 + 1
"""Beyond a double: `total` of each PLC."""
EVER = """
select s.path, array_agg(distinct x.value) as values from nexus.sample x join nexus.series s on s.id = x.series_id
where x.quality > 0 and x.value is not null group by s.path
"""


def restarted(field: Field, path: str) -> Callable[[], None]:
    """Nothing listens for a while, then the PLC is back."""
    server = field.servers[path]
    port = server.port
    field.wait(server.close())
    return lambda: field.wait(server.start(host="127.0.0.1", port=port))


def another_program(field: Field, path: str) -> Callable[[], None]:
    """Every symbol moves."""
    field.call(field.servers[path].online_change, path)
    return lambda: None


@dataclass(frozen=True, kw_only=True)
class Plc:
    """A protocol, its tags, and what they hold one after the other, raw.

    Attributes:
        disturbed: What happens before the third values are put in; the result is called after.
        dated: It gives its own times.
    """

    connection: str
    tags: str
    first: dict[str, Any]
    second: dict[str, Any]
    third: dict[str, Any]
    disturbed: Callable[[Field, str], Callable[[], None]]
    dated: bool = False


PLCS = {
    "ads": Plc(
        connection="tcp_port: PORT, ams_net_id: 5.12.82.20.1.1",
        tags="""
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
              raw:      {address: "0x4020,0x10", type: uint32, mode: poll}""",
        first={
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
        },
        second={"running": False, "state": 2, "speed": 99.5, "recipe": "none", "level": -5, "raw": 7},
        third={"speed": 7.25, "current": 0.5, "level": 9, "part": "Ω-43", "legacy": 3},
        disturbed=another_program,
        dated=True,
    ),
    "s7": Plc(
        connection="port: PORT",
        tags="""
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
              strokes:  {address: C7, type: uint16}""",
        first={
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
        },
        second={"running": False, "state": 2, "force": 99.5, "recipe": "none", "marker": 1, "strokes": 322},
        third={"force": 1.25, "part": "new"},
        disturbed=restarted,
    ),
}


@pytest.fixture(params=PLCS)
def hall(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Runtime, Field, Plc]]:
    plc, site = PLCS[request.param], tmp_path / "site" / "site.yaml"
    runtime = Runtime(tmp_path / "site", site="acme/plcs")
    text = SITE.replace("PROTOCOL", request.param).replace("CONNECTION", plc.connection).replace("TAGS", plc.tags)
    site.write_text(text.replace("PORT", str(free_port())))
    field = Field(devices_of(site))
    with at_work(runtime, field):
        yield runtime, field, plc


def test_rows_equal_what_the_plc_held(hall: tuple[Runtime, Field, Plc]) -> None:
    runtime, field, plc = hall
    (path,) = field.devices
    held = Held(runtime, field, path)
    ever: dict[str, set[float]] = {}

    def hold(values: dict[str, Any]) -> None:
        held.hold(values)
        for name in values:
            if isinstance(wanted := held.wanted[f"{path}/{name}"], float):
                ever.setdefault(f"{path}/{name}", set()).add(round(wanted, 4))

    hold(plc.first)
    field.set(path, "total", TOTAL)
    runtime.apply()
    held.prove(exact={"total": TOTAL})
    if plc.dated:
        (newest,) = runtime.query(
            "select x.source_time, x.time from nexus.sample x join nexus.series s on s.id = x.series_id "
            "where s.path = $1 order by x.time desc limit 1",
            f"{path}/speed",
        )
        assert abs((newest["source_time"] - newest["time"]).total_seconds()) < 5, "the PLC's own time is stored"
    field.call(field.servers[path].drop_connections)
    hold(plc.second)
    held.prove(exact={"total": TOTAL})
    back = plc.disturbed(field, path)
    hold(plc.third)
    back()
    held.prove(exact={"total": TOTAL})
    # Every row ever written of a tag holds one of its values: no address of an old program was believed.
    rows = {row["path"]: {round(value, 4) for value in row["values"]} for row in runtime.query(EVER)}
    assert {name for name, values in ever.items() if not rows[name] <= values} == set()
