"""The symbol table of a PLC, taken apart: structures, arrays, comments, enumerations; and what is found can be read."""

from __future__ import annotations

import msgspec
import pytest

from nexus_cli.drivers.ads.driver import DRIVER
from nexus_cli.drivers.ads.simulator import serve
from nexus_cli.drivers.base import Browsed, BrowseOptions, Scope, points_of
from nexus_cli.model.config import TagConfig
from nexus_cli.wire.sample import Reason
from tests.contract.driver_cases import ads_device, constant
from tests.integration.ads_plant import PATH, device, fails, plant

pytestmark = pytest.mark.own_time


async def test_everything_is_found_with_its_type_and_can_be_read() -> None:
    server = await serve([ads_device(0, 0)])
    try:
        config = ads_device(0, server.port)
        session = await DRIVER.connect([config], home=".")
        found = {one.address: one async for one in session.browse()}
        tags = {name: tag for name, tag in config.tags.items() if name not in ("raw", "all", "element", "cell")}
        for name, tag in tags.items():
            one = found[tag.address]
            assert one.type == tag.type or (name.startswith("text") and one.type.startswith("string")), name
            assert one.path == tuple(part for part in tag.address.split(".") if part)
            assert one.writable
        assert found["GVL0.stAll.c.on"].type == "bool"
        assert found["GVL0.stAll.b"].type == "float64[2]"
        assert found["GVL0.grid[2,1].n"].type == "int16"
        assert found["GVL0.cells"].type == "int16[1]"
        assert found["GVL0.eState"].detail["values"] == {0: "idle", 2: "run"}
        again = msgspec.structs.replace(
            config,
            tags={
                f"b{number}": TagConfig(type=one.type, address=one.address)
                for number, one in enumerate(found.values())
                if one.type
            },
        )
        await session.configure([again])
        for request in DRIVER.group(again, points_of(again)):
            assert not (await session.read(request)).faults
        await session.close()
    finally:
        await server.close()


async def test_comments_and_a_start() -> None:
    made = {
        "speed": constant("float32", "MAIN.motor.fSpeed", 1.5, description="Speed of the motor"),
        "run": constant("bool", "MAIN.motor.bRun", True),
        "other": constant("bool", "MAIN.motor2.bRun", True),
    }
    async with plant(made) as one:
        found = [item async for item in one.session.browse(BrowseOptions(start="MAIN.motor"))]
        assert [item.address for item in found] == ["MAIN.motor.fSpeed", "MAIN.motor.bRun"]
        assert found[0].description == "Speed of the motor"
        found = [item async for item in one.session.browse(BrowseOptions(start="main"))]
        assert len(found) == 3
        found = [item async for item in one.session.browse(BrowseOptions(start="MAIN.motor2.bRun"))]
        assert [item.address for item in found] == ["MAIN.motor2.bRun"]
        nothing = one.session.browse(BrowseOptions(start="MAIN.ghost"))
        error = await fails(anext(nothing))
        assert (error.scope, error.reason) == (Scope.ITEM, Reason.ILLEGAL_ADDRESS)


async def test_a_large_table_comes_piece_by_piece() -> None:
    made = {f"t{at}": constant("float64", f"GVL.st{at // 10}.x{at % 10}", float(at)) for at in range(3000)}
    async with plant(made, timeout=3000) as one:
        count = 0
        async for item in one.session.browse():
            assert isinstance(item, Browsed)
            count += 1
        assert count == 3000 + 1
        again = device(one.server.port, made)
        assert one.device.path == again.path == PATH
        values, faults = await one.read_all()
        assert not faults
        assert values["t2999"] == 2999.0
