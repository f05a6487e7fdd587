"""Symbols of a PLC that are more than a place in memory: references, programs without a version, endless types."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from nexus_cli.drivers.ads.read_plan import MAX_VALUE_BYTES
from nexus_cli.drivers.ads.simulator import responder as service
from nexus_cli.drivers.ads.simulator.memory import Image
from nexus_cli.drivers.ads.symbol_table import SYMBOL_REFERENCE, SymbolEntry, TypeEntry, write_symbol, write_type
from nexus_cli.drivers.base import Fault
from nexus_cli.drivers.simulation.memory import Refused
from nexus_cli.model.config import TagConfig
from nexus_cli.wire.sample import Reason
from tests.contract.driver_cases import constant
from tests.integration.ads_plant import PATH, plant, tags
from tests.waiting import until

pytestmark = pytest.mark.own_time

Answer = Any


def symbols(monkeypatch: pytest.MonkeyPatch, made: dict[tuple[int, str], Answer]) -> None:
    """Answers of the PLC by index group and name, instead of the simulator's own; a text is another symbol's."""
    real = service._by_name

    def by_name(image: Image, group: int, name: str) -> bytes:
        found = made.get((group, name), name)
        return found if isinstance(found, bytes) else real(image, group, found)

    monkeypatch.setattr(service, "_by_name", by_name)


async def test_a_reference_is_read_and_written_where_it_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = SymbolEntry(
        name="MAIN.rN", type_name="REFERENCE TO DINT", group=0, offset=0, size=8, ads=65, flags=SYMBOL_REFERENCE
    )
    symbols(monkeypatch, {(0xF009, "MAIN.rN"): write_symbol(entry), (0xF003, "MAIN.rN"): "MAIN.n3"})
    refers = tags(ref=TagConfig(type="int32", address="MAIN.rN", mode="subscribe", poll_ms=20))
    served = {name: tag for name, tag in refers.items() if name != "ref"}
    async with plant(served) as one:
        one.device.tags["ref"] = refers["ref"]
        one.session._take([one.device])
        assert await one.read("n2", "ref", "n4") == {"n2": 200, "ref": 300, "n4": 400}
        await one.write("ref", 33)
        assert one.server.values(PATH)["n3"] == 33
        heard, subscription = await one.subscribe("ref")
        assert not subscription.faults
        await until(lambda: heard.values.get("ref") == 33, "the reference is not reported")
        one.server.online_change(PATH)
        assert await one.read("n2", "ref") == {"n2": 200, "ref": 33}


async def test_a_program_that_changed_under_the_same_version_is_noticed_by_its_count() -> None:
    """The version is one byte: after 255 changes it is the same again."""
    async with plant() as one:
        (image,) = one.server.images.values()
        before = await one.read()
        for number in range(3):
            version = image.version
            one.server.online_change(PATH)
            image.version = version
            assert await one.read() == before
            one.server.online_change(PATH)
            image.version = version
            held = one.server.values(PATH)
            await one.write("n3", 300 + number)
            before = before | {"n3": 300 + number}
            assert one.server.values(PATH) == held | {"n3": 300 + number}


async def test_without_a_version_the_count_is_what_reports_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    real = service.read

    def read(image: Image, group: int, offset: int, size: int) -> bytes:
        if group == 0xF008:
            raise Refused(1793)
        return real(image, group, offset, size)

    monkeypatch.setattr(service, "read", read)
    async with plant() as one:
        heard, _ = await one.subscribe()
        await until(lambda: len(heard.values) == 11, "first values")
        one.server.online_change(PATH)
        await until(lambda: heard.faults["n3"] == Fault(Reason.SYMBOL_CHANGED, 1809), "the change was not seen")
        await one.session.check()
        await until(lambda: heard.values["n3"] == 300, "nothing is reported any more")


async def test_a_structure_of_many_other_types_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 60
    parts = tuple(
        TypeEntry(name=f"m{at}", type_name=f"T_{at}", size=2, offset=2 * at, ads=2, flags=2) for at in range(count)
    )
    made: dict[tuple[int, str], Answer] = {
        (0xF011, f"T_{at}"): write_type(TypeEntry(name=f"T_{at}", type_name="INT", size=2, ads=2))
        for at in range(count)
    }
    made[0xF011, "ST_Many"] = write_type(TypeEntry(name="ST_Many", type_name="", size=120, ads=65, members=parts))
    async with plant(tags(many=constant("int16[60]", "MAIN.many", list(range(count))))) as one:
        entry, _ = next(iter(one.server.images.values())).find("MAIN.many")
        symbol = SymbolEntry(
            name="MAIN.many", type_name="ST_Many", group=entry.group, offset=entry.offset, size=120, ads=65
        )
        symbols(monkeypatch, made | {(0xF009, "MAIN.many"): write_symbol(symbol)})
        one.device.tags["many"] = TagConfig(type="json", address="MAIN.many")
        assert await one.read("many") == {"many": {f"m{at}": at for at in range(count)}}


async def test_a_symbol_that_says_to_be_huge_costs_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked for is set aside in memory: four gigabytes must not be believed."""
    size = 2**32 - 2
    entry = SymbolEntry(name="MAIN.n4", type_name=f"STRING({size})", group=0x4040, offset=0, size=size, ads=30)
    assert size > MAX_VALUE_BYTES
    symbols(monkeypatch, {(0xF009, "MAIN.n4"): write_symbol(entry)})
    async with plant() as one:
        one.device.tags["n4"] = TagConfig(type="string", address="MAIN.n4")
        values, faults = await one.read_all()
        assert faults == {"n4": Fault(Reason.OVERFLOW)}
        assert values["n5"] == 500


@pytest.mark.parametrize(
    "sizes",
    [
        (2**32 - 1, 2**32 - 1, 2**32 - 1, 2**32 - 1),
        (2**32 - 1, 40, 2**32 - 1, 40),
        (1, 59 << 20, 1, 59 << 20),
        (0, 0, 2**32 - 1, 0),
    ],
)
async def test_a_table_that_says_to_be_huge_is_refused(monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, ...]) -> None:
    real = service.read

    def read(image: Image, group: int, offset: int, size: int) -> bytes:
        if group == 0xF00F:
            return struct.pack("<6I", *sizes, 0, 0)
        return real(image, group, offset, size)

    monkeypatch.setattr(service, "read", read)
    async with plant() as one:
        names: list[str] = []
        try:
            names += [found.address async for found in one.session.browse()]
        except Exception as error:
            assert type(error).__name__ == "DriverError", repr(error)
        else:
            assert sizes[0] <= 1
            assert len(names) <= 1
        assert (await one.read("n5")) == {"n5": 500}
