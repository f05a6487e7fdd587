"""A PLC whose program changes, stops, loses symbols or has no route for us: never a wrong value, never a wrong write."""

from __future__ import annotations

import asyncio

import pytest

from nexus_cli.drivers.ads.driver import DRIVER
from nexus_cli.drivers.ads.plc import CONFIG, RUN, STOP
from nexus_cli.drivers.ads.simulator import serve
from nexus_cli.drivers.base import Fault, Scope, points_of
from nexus_cli.model.config import TagConfig
from nexus_cli.runtime.gateway.field import schedule
from nexus_cli.wire.sample import Reason
from tests.contract.driver_cases import constant
from tests.contract.polled import polled
from tests.heard import Heard
from tests.integration.ads_plant import PATH, Plant, device, fails, plant, tags
from tests.waiting import until

pytestmark = pytest.mark.own_time


async def test_after_an_online_change_the_next_read_is_of_the_new_addresses() -> None:
    async with plant() as one:
        before = await one.read()
        for _ in range(3):
            one.server.online_change(PATH)
            assert await one.read() == before


async def test_after_an_online_change_the_next_write_lands_where_it_should() -> None:
    async with plant() as one:
        await one.read()
        held = one.server.values(PATH)
        for number in range(3):
            one.server.online_change(PATH)
            await one.write("n3", 1000 + number)
            assert one.server.values(PATH) == held | {"n3": 1000 + number}


async def test_a_change_between_look_up_and_write_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    async with plant() as one:
        plc = one.session.plc_of(PATH)
        real, changed = plc.handle, []

        async def handle(name: str) -> int:
            number = await real(name)
            if not changed:
                changed.append(one.server.online_change(PATH))
            return number

        monkeypatch.setattr(plc, "handle", handle)
        held = one.server.values(PATH)
        await one.write("n5", 7)
        assert one.server.values(PATH) == held | {"n5": 7}


async def test_reads_under_changes_never_give_a_neighbour() -> None:
    async with plant() as one:
        expected = await one.read()
        running = True

        async def change() -> None:
            while running:
                one.server.online_change(PATH)
                await asyncio.sleep(0.003)

        async with asyncio.TaskGroup() as group:
            group.create_task(change(), name="change")
            for _ in range(40):
                try:
                    assert await one.read() == expected
                except Exception as error:
                    assert getattr(error, "reason", None) is Reason.SYMBOL_CHANGED, error
            running = False


async def test_a_symbol_that_vanished_is_bad_and_the_rest_goes_on() -> None:
    async with plant() as one:
        await one.read()
        one.server.online_change(PATH, removed=["n4"])
        values, faults = await one.read_all()
        assert faults == {"n4": Fault(Reason.SYMBOL_CHANGED, 1808)}
        assert values["n5"] == 500
        error = await fails(one.write("n4", 1))
        assert (error.scope, error.reason) == (Scope.ITEM, Reason.SYMBOL_CHANGED)


async def test_a_symbol_that_changed_its_type_is_a_mismatch() -> None:
    async with plant() as one:
        await one.read()
        one.server.online_change(PATH, retyped={"n4": "float32"})
        values, faults = await one.read_all()
        assert faults == {"n4": Fault(Reason.TYPE_MISMATCH)}
        assert values["n5"] == 500
        error = await fails(one.write("n4", 1))
        assert (error.scope, error.reason) == (Scope.ITEM, Reason.TYPE_MISMATCH)


async def test_what_is_reported_is_bad_at_once_and_registered_anew() -> None:
    async with plant() as one:
        heard, subscription = await one.subscribe()
        assert not subscription.faults
        await until(lambda: len(heard.values) == 11, "first values")
        one.server.online_change(PATH, removed=["n4"])
        await until(lambda: heard.faults["n3"] == Fault(Reason.SYMBOL_CHANGED, 1809), "the change was not seen")
        assert heard.values["n3"] is None
        await one.session.check()
        await until(lambda: heard.values["n3"] == 300, "nothing is reported any more")
        assert heard.faults["n4"] == Fault(Reason.SYMBOL_CHANGED, 1808)
        one.server.set(PATH, "n9", 77)
        await until(lambda: heard.values["n9"] == 77, "the new registration does not report")
        wrong = [found for found in heard.all if found.value is not None and found.point.name == "n3"]
        assert {found.value for found in wrong} == {300}, "a value of a wrong address was reported"
        assert one.session.counters()["symbol_changes"] == 1


async def test_a_link_that_only_reports_is_registered_anew_without_waiting_for_its_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(schedule, "CHECK_S", 3600.0)  # no other check comes
    server = await serve([device(0)])
    try:
        async with polled(device(server.port), ".") as (_, recorded):
            marks = recorded.marks

            def last(name: str) -> tuple[object, str, int] | None:
                return marks.get(f"{PATH}/{name}", [None])[-1]

            await until(lambda: len(marks) == 11, "first values")
            for removed in (["n4"], [], []):
                recorded.clear()
                server.online_change(PATH, removed=removed)
                await until(lambda: last("n3") == (300, "GOOD", 0), "it is not reported again")
                assert marks[f"{PATH}/n3"] == [(None, "BAD", 1809), (300, "GOOD", 0)]
            assert last("n4") == (None, "BAD", 1808)
            server.set(PATH, "n9", 77)
            await until(lambda: last("n9") == (77, "GOOD", 0), "the new registration does not report")
    finally:
        await server.close()


async def test_a_stopped_plc_makes_its_values_uncertain() -> None:
    async with plant() as one:
        heard, _ = await one.subscribe("n1")
        await until(lambda: heard.values.get("n1") == 100, "first value")
        one.server.set_state(PATH, STOP)
        told = Fault(Reason.SOURCE_UNCERTAIN, STOP, uncertain=True)
        await until(lambda: heard.faults["n1"] == told, "the stop was not told")
        values, faults = await one.read_all("n1", "n2")
        assert values == {"n1": 100, "n2": 200}
        assert faults == {"n1": told, "n2": told}
        one.server.set_state(PATH, RUN)
        await until(lambda: heard.faults["n1"] is None, "running again was not told")
        assert await one.read("n1") == {"n1": 100}


async def test_config_mode_is_named_and_survived() -> None:
    async with plant() as one:
        heard, _ = await one.subscribe("n1")
        await until(lambda: heard.values.get("n1") == 100, "first value")
        one.server.set_state(PATH, CONFIG)
        error = await fails(one.read("n2"))
        assert error.scope is Scope.DEVICE
        assert error.retriable
        assert "TwinCAT itself is in state config" in error.message
        await one.session.check()
        assert heard.faults["n1"] is not None
        assert heard.values["n1"] is None
        one.server.set_state(PATH, RUN)
        await one.session.check()
        await until(lambda: heard.values["n1"] == 100, "it is not reported again")
        assert await one.read("n2") == {"n2": 200}


@pytest.mark.parametrize("mute", [False, True])
async def test_a_missing_route_is_said_with_all_that_must_be_typed(mute: bool) -> None:
    server = await serve([device(0)])
    server.routes, server.mute = {"10.0.0.1.1.1"}, mute
    try:
        error = await fails(DRIVER.connect([device(server.port)], home="."))
        assert error.scope is Scope.SESSION
        assert error.retriable
        for part in ("no route", "AMS NetId 127.0.0.1.1.1", "address 127.0.0.1", "Edit Routes"):
            assert part in error.message
        session = await DRIVER.connect([device(server.port, source_net_id="10.0.0.1.1.1")], home=".")
        await session.close()
    finally:
        await server.close()


async def test_a_wrong_net_id_costs_only_its_device() -> None:
    wrong = device(0, path="a/l/wrong", ams_net_id="1.2.3.4.5.6")
    server = await serve([device(0)])
    try:
        right = device(server.port)
        wrong.connection["tcp_port"] = server.port
        session = await DRIVER.connect([wrong, right], home=".")
        (request,) = DRIVER.group(wrong, points_of(wrong))
        error = await fails(session.read(request))
        assert (error.scope, error.code) == (Scope.DEVICE, 7)
        (request,) = DRIVER.group(right, points_of(right))
        assert not (await session.read(request)).faults
        await session.check()
        await session.close()
    finally:
        await server.close()


async def test_a_runtime_that_is_gone_does_not_hold_up_its_neighbour() -> None:
    devices = [device(0, path=f"a/l/{port}", port=port) for port in (851, 852)]
    server = await serve(devices)
    try:
        for one in devices:
            one.connection["tcp_port"] = server.port
        session = await DRIVER.connect(devices, home=".")
        heard, points = Heard(), points_of(devices[0])
        await session.subscribe("a/l/851", points, interval_ms=[20] * len(points), sink=heard)
        await until(lambda: heard.values.get("n1") == 100, "first value")
        server.set_state("a/l/851", CONFIG)
        await session.check()
        assert heard.values["n1"] is None
        (request,) = DRIVER.group(devices[1], points_of(devices[1]))
        await session.read(request)
        before = server.requests
        for _ in range(10):
            assert not (await session.read(request)).faults
        assert server.requests - before == 10, "reads of the neighbour ask after the one that is gone"
        server.set_state("a/l/851", RUN)
        await session.check()
        await until(lambda: heard.values["n1"] == 100, "it is not reported again")
        await session.close()
    finally:
        await server.close()


async def test_two_runtimes_share_a_connection_and_nothing_else() -> None:
    devices = [device(0, path=f"a/l/{port}", port=port) for port in (851, 852)]
    server = await serve(devices)
    try:
        for one in devices:
            one.connection["tcp_port"] = server.port
        session = await DRIVER.connect(devices, home=".")
        requests = [DRIVER.group(one, points_of(one))[0] for one in devices]
        server.set("a/l/852", "n1", 5)
        server.online_change("a/l/851", removed=["n2"])
        results = [await session.read(request) for request in requests]
        assert server.clients == 1
        assert [result.values[1] for result in results] == [100, 5]
        assert 2 in results[0].faults
        assert not results[1].faults
        await session.configure(devices[1:])
        await session.read(requests[1])
        assert (await fails(session.read(requests[0]))).scope is Scope.DEVICE
        await session.close()
    finally:
        await server.close()


async def test_a_device_without_sum_commands_is_read_singly() -> None:
    async with plant() as one:
        one.server.sums = False
        assert (await one.read())["n7"] == 700
        one.server.online_change(PATH)
        assert (await one.read())["n7"] == 700
        one.server.forbid(PATH, "n3")
        values, faults = await one.read_all()
        assert faults == {"n3": Fault(Reason.ILLEGAL_ADDRESS, 1795)}
        assert values["n4"] == 400


async def test_a_device_whose_sum_reads_can_not_watch_is_watched_apart() -> None:
    server = await serve([device(0, twincat2_tags(), port=801)])
    (image,) = server.images.values()
    image.watch_in_sums = False
    try:
        config = device(server.port, twincat2_tags(), port=801)
        session = await DRIVER.connect([config], home=".")
        one = Plant(server, config, session)
        before = await one.read()
        assert not session.plc_of(PATH).guard
        for number in range(3):
            server.online_change(PATH)
            assert await one.read("n1", "n2") == {"n1": before["n1"], "n2": before["n2"]}
            server.online_change(PATH)
            held = server.values(PATH)
            await one.write("n3", number)
            assert server.values(PATH) == held | {"n3": number}
        heard, _ = await one.subscribe()
        await until(lambda: len(heard.values) == 10, "first values")
        server.online_change(PATH)
        await until(lambda: heard.values["n1"] is None, "the change was not seen")
        server.set_state(PATH, STOP)
        await session.check()
        assert (await one.read_all("n1"))[1]["n1"].reason is Reason.SOURCE_UNCERTAIN
        await session.close()
    finally:
        await server.close()


def twincat2_tags() -> dict[str, TagConfig]:
    return {f"n{at}": constant("int32", f".n{at}", at * 100, mode="subscribe", poll_ms=20) for at in range(10)}


async def test_a_read_only_symbol_is_not_written() -> None:
    async with plant() as one:
        one.server.protect(PATH, "n1")
        error = await fails(one.write("n1", 5))
        assert (error.scope, error.reason) == (Scope.ITEM, Reason.ACCESS_DENIED)
        assert one.server.values(PATH)["n1"] == 100


async def test_declared_types_are_held_against_those_of_the_plc() -> None:
    served = tags(speed=constant("float32", "MAIN.fSpeed", 2.5), level=constant("int16", "MAIN.level", 9))
    server = await serve([device(0, served)])
    asked = {
        "wider": TagConfig(type="float64", address="MAIN.fSpeed"),
        "wide": TagConfig(type="int64", address="MAIN.level"),
        "narrow": TagConfig(type="int8", address="MAIN.level"),
        "other": TagConfig(type="bool", address="MAIN.level"),
        "list": TagConfig(type="int16[2]", address="MAIN.level"),
    }
    try:
        config = device(server.port, asked)
        session = await DRIVER.connect([config], home=".")
        (request,) = DRIVER.group(config, points_of(config))
        result = await session.read(request)
        assert list(result.values[:2]) == [2.5, 9]
        assert {place: fault.reason for place, fault in result.faults.items()} == dict.fromkeys(
            (2, 3, 4), Reason.TYPE_MISMATCH
        )
        error = await fails(session.write(config.path, points_of(config)[1], 40_000))
        assert error.reason is Reason.OVERFLOW
        await session.close()
    finally:
        await server.close()
