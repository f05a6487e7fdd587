"""Devices that close, drop, hold up or refuse now and then: no sample is lost that another client would have read."""

from __future__ import annotations

import asyncio

import pytest

from tests.contract.driver_cases import CASES, DriverCase
from tests.contract.hostile import busy, of_words
from tests.contract.manners import Host, Manners, in_few
from tests.contract.polled import bad_rows, cycles, good, polled
from tests.waiting import until

pytestmark = pytest.mark.own_time
CYCLES = 5
ON_A_LINE = ("modbus-serial",)
"""A serial line has no connections that could be closed, and nobody else can open it."""
OPENS_BY_READS = ("opcua",)
"""An OPC UA session is opened by half a dozen requests, reads among them: whoever drops the first has none."""
BUSY = {
    "modbus": (5, 6),
    "modbus-rtu-over-tcp": (5, 6),
    "modbus-serial": (5, 6),
    "s7": (0x8000, 0x8301, 0xD240),
    "ads": (4, 1799, 1800),
    "opcua": (0x80EE0000, 0x80040000, 0x80030000, 0x800A0000, 0x80850000),
}
"""What says: again, a moment later."""


def manners_of(name: str) -> list[Manners]:
    """What a device of this protocol may do."""
    found = [
        Manners(name="late", late=frozenset({5, 11})),
        *[Manners(name=f"busy-{code:x}", busy=busy(name, code)) for code in BUSY[name]],
    ]
    if name not in ON_A_LINE:
        found += [
            Manners(name="closes-after-each", closes=1),
            Manners(name="closes-after-four", closes=4),
            Manners(name="closes-instead-of-fourth", closes=4, early=True),
        ]
    if name not in OPENS_BY_READS:
        found.append(Manners(name="drops-first", drops=1))
        if name not in ON_A_LINE:
            found.append(Manners(name="drops-first-and-closes", drops=1, closes=1))
    return found


ALL = [(case, manners) for case in CASES for manners in manners_of(case.name)]


@pytest.mark.parametrize(("case", "manners"), ALL, ids=[f"{case.name}-{manners.name}" for case, manners in ALL])
async def test_no_sample_is_lost(case: DriverCase, manners: Manners, home: str) -> None:
    """Every tag is GOOD from its first sample on, and stays so."""
    server = await case.serve([of_words(case, case.device(0, 0))], port=0)
    try:
        async with case.bad_line(server.port) as line:
            host = Host(case.name, manners)
            line.guest = host.guest
            async with polled(in_few(of_words(case, case.device(0, line.port))), home) as (link, kept):
                await until(lambda: good(link), f"not everything is read: {kept.rows}")
                first, asked = cycles(link), host.asked
                await until(
                    lambda: cycles(link) >= first + CYCLES and host.asked > asked + 12,
                    f"it is not polled any more: {bad_rows(kept)}",
                )
                assert good(link) and not bad_rows(kept)
                if manners.closes:
                    assert line.opened > 2, "it closed nothing: this proves nothing"
    finally:
        await server.close()


@pytest.mark.parametrize("case", [case for case in CASES if case.name not in ON_A_LINE], ids=lambda case: case.name)
async def test_another_client_that_takes_the_only_connection_costs_nothing(case: DriverCase, home: str) -> None:
    server = await case.serve([of_words(case, case.device(0, 0))], port=0)
    try:
        async with case.bad_line(server.port) as line:
            line.single = True
            async with polled(in_few(of_words(case, case.device(0, line.port))), home) as (link, kept):
                await until(lambda: good(link), f"not everything is read: {kept.rows}")
                for _ in range(3):
                    before = line.opened
                    _, writer = await asyncio.open_connection("127.0.0.1", line.port)
                    await until(lambda before=before: line.opened > before + 1, "it did not come back")  # type: ignore[misc]
                    writer.close()
                    first = cycles(link)  # taken again in the middle of its opening, a session would be lost indeed
                    await until(
                        lambda first=first: cycles(link) >= first + 2,  # type: ignore[misc]
                        "it is not polled any more",
                    )
                assert good(link) and not bad_rows(kept)
    finally:
        await server.close()
