"""A device that takes no joined read, in any way it can: its values are read as if each had been asked for alone."""

from __future__ import annotations

from functools import partial

import pytest

from nexus_cli.runtime.gateway.field.supervisor import Supervisor
from tests.contract.driver_cases import CASES, DriverCase
from tests.contract.hostile import Hostility, hostile, hostilities, of_words
from tests.contract.polled import bad_rows, cycles, good, polled
from tests.waiting import until

pytestmark = pytest.mark.own_time
WAYS = [(case, way) for case in CASES for way in hostilities(case.name)]


@pytest.mark.parametrize(("case", "way"), WAYS, ids=[f"{case.name}-{way.name}" for case, way in WAYS])
async def test_values_fare_as_if_each_was_read_alone(case: DriverCase, way: Hostility, home: str) -> None:
    """They become GOOD, stay so, and are read in one go again when the device has come to like that."""
    server = await case.serve([of_words(case, case.device(0, 0))], port=0)
    try:
        async with case.bad_line(server.port) as line:
            line.ask = hostile(case.name, way)
            async with polled(of_words(case, case.device(0, line.port)), home) as (link, kept):
                await until(lambda: good(link), f"not everything is read: {kept.rows}")
                assert line.asked, "nothing was joined: this proves nothing"
                rows = {name: len(found) for name, found in kept.rows.items()}
                first = cycles(link)
                await until(lambda: cycles(link) >= first + 3, "it is not polled any more")
                assert good(link)
                assert rows == {name: len(found) for name, found in kept.rows.items()}, "nothing was BAD meanwhile"
                (device,) = link.devices.values()
                line.ask = None
                for known in device.splits:
                    known.retry_s = 0.0
                await until(lambda: not device.splits, "it was not joined again")
                first = cycles(link)
                await until(lambda: cycles(link) >= first + 2, "it is not polled any more")
                assert good(link)
    finally:
        await server.close()


def polled_on(link: Supervisor, wanted: int) -> bool:
    """Whether so many cycles were begun."""
    return cycles(link) >= wanted


async def test_a_connection_that_is_closed_between_polls_costs_no_sample(case: DriverCase, home: str) -> None:
    """As devices do that nobody asks for a while."""
    device = of_words(case, case.device(0, 0))
    server = await case.serve([device], port=0)
    try:
        async with polled(of_words(case, case.device(0, server.port)), home) as (link, kept):
            await until(lambda: good(link), "not everything is read")
            for number in range(1, 4):
                server.drop_connections()
                first = cycles(link)
                await until(partial(polled_on, link, first + 3), "it is not polled any more")
                assert good(link) and not bad_rows(kept)
                assert link.reconnects == number
    finally:
        await server.close()


async def test_a_server_that_is_gone_is_told_at_once(case: DriverCase, home: str) -> None:
    """Its connection is opened anew, and it is not there: all is BAD, until it is back."""
    device = of_words(case, case.device(0, 0))
    server = await case.serve([device], port=0)
    port = server.port
    try:
        async with polled(of_words(case, case.device(0, port)), home) as (link, kept):
            await until(lambda: good(link), "not everything is read")
            await server.close()
            await until(lambda: set(bad_rows(kept)) == set(device.tags), "it was not told")
            server = await case.serve([device], port=port)
            await until(lambda: good(link), "it was not found again")
    finally:
        await server.close()
