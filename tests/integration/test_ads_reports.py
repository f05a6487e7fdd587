"""Notifications: on change, in cycles, collected; times of the PLC; limits; handles that nobody knows any more."""

from __future__ import annotations

import asyncio
import struct
import time

import msgspec
import pytest

from nexus_cli.drivers.ads import frame, plc
from nexus_cli.drivers.base import Fault, Promise
from nexus_cli.wire.sample import Reason
from tests.contract.driver_cases import constant
from tests.integration.ads_plant import PATH, plant, tags
from tests.own_time import now_s
from tests.waiting import until

pytestmark = pytest.mark.own_time


async def test_a_change_is_reported_with_the_time_of_the_plc() -> None:
    async with plant() as one:
        heard, subscription = await one.subscribe()
        assert not subscription.faults
        await until(lambda: len(heard.values) == 11, "first values")
        assert heard.values["n9"] == 900
        assert heard.values["speed"] == 1.5
        count = len(heard.all)
        one.server.set(PATH, "n2", -5)
        await until(lambda: heard.values["n2"] == -5, "the change")
        assert len(heard.all) == count + 1, "only what changed is reported"
        at_us = heard.times["n2"]
        assert at_us is not None
        assert abs(at_us - time.time() * 1e6) < 2e6
        await subscription.close()
        one.server.set(PATH, "n2", -6)
        await asyncio.sleep(0.1)
        assert heard.values["n2"] == -5


async def test_cyclic_reports_come_without_a_change() -> None:
    made = {"fast": constant("int32", "MAIN.fast", 1, mode="cyclic", poll_ms=20)}
    async with plant(made) as one:
        heard, _ = await one.subscribe()
        await until(lambda: len(heard.all) >= 5, "cycles")
        assert {found.value for found in heard.all} == {1}


async def test_max_delay_collects() -> None:
    made = {"slow": constant("int32", "MAIN.slow", 0, mode="subscribe", poll_ms=10, options={"max_delay": 200})}
    async with plant(made) as one:
        heard, _ = await one.subscribe()
        await until(lambda: len(heard.all) == 1, "first value")
        for value in (1, 2, 3):
            one.server.set(PATH, "slow", value)
            await asyncio.sleep(0.02)
        await until(lambda: heard.values["slow"] == 3, "the last value")
        assert len(heard.all) == 2


async def test_more_than_the_link_may_have_are_refused_with_the_reason() -> None:
    async with plant(max_subscribe=8) as one:
        heard, subscription = await one.subscribe()
        refused = {name for name, fault in subscription.faults.items() if fault.code == 1814}
        assert len(refused) == 11 - (8 - 2)
        await until(lambda: len(heard.values) == 6, "the others report")
        assert set(heard.values) | refused == set(one.device.tags)


async def test_what_a_plc_has_no_room_for_is_refused() -> None:
    async with plant() as one:
        one.server.most_notifications = 5
        heard, subscription = await one.subscribe()
        assert set(subscription.faults.values()) == {Fault(Reason.DEVICE_ERROR, 1814)}
        assert len(subscription.faults) == 8
        await until(lambda: len(heard.values) == 3, "the others report")


@pytest.mark.parametrize("code", [1793, 1802, 1800, 1])
async def test_a_plc_without_notifications_is_read_as_ever(code: int) -> None:
    async with plant() as one:
        one.server.most_notifications, one.server.notification_error = 0, code
        _, subscription = await one.subscribe("n1", "n2")
        assert {fault.code for fault in subscription.faults.values()} == {code}
        (note,) = subscription.notes()
        assert note.startswith("2 tags: the PLC gives no notifications") and f"0x{code:x}" in note
        assert await one.read("n1", "n2") == {"n1": 100, "n2": 200}


async def test_a_symbol_that_came_without_a_new_version_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plc, "RETRY_FIRST_S", 0.01)
    async with plant() as one:
        one.server.forbid(PATH, "n1")
        values, faults = await one.read_all("n1", "n2")
        assert (values["n2"], faults) == (200, {"n1": Fault(Reason.ILLEGAL_ADDRESS, 1808)})
        next(iter(one.server.images.values())).forbidden.clear()
        end = now_s() + 5
        while faults and now_s() < end:
            await asyncio.sleep(0.005)
            values, faults = await one.read_all("n1", "n2")
        assert values == {"n1": 100, "n2": 200}


async def test_what_is_refused_is_asked_for_more_and_more_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plc, "RETRY_FIRST_S", 0.01)
    monkeypatch.setattr(plc, "RETRY_LONGEST_S", 0.03)
    async with plant() as one:
        (runtime,) = one.session._plcs.values()
        waits = []
        for _ in range(4):
            runtime._note_refused({"MAIN.gone": Fault(Reason.ILLEGAL_ADDRESS, 1808)})
            waits.append(runtime._refused["MAIN.gone"][1])
        assert waits == [0.01, 0.02, 0.03, 0.03]
        assert runtime.again_s("MAIN.n1") == float("inf")


async def test_an_unknown_symbol_is_a_fault_and_comes_back_with_the_program() -> None:
    async with plant() as one:
        one.server.forbid(PATH, "n1")
        heard, subscription = await one.subscribe("n1", "n2")
        assert subscription.faults == {"n1": Fault(Reason.ILLEGAL_ADDRESS, 1808)}
        next(iter(one.server.images.values())).forbidden.clear()
        one.server.online_change(PATH)
        await until(lambda: heard.faults.get("n2") == Fault(Reason.SYMBOL_CHANGED, 1809), "the change")
        await one.session.check()
        await until(lambda: heard.values.get("n1") == 100, "it is there now")


async def test_handles_that_nobody_knows_are_deleted_on_the_plc() -> None:
    async with plant() as one:
        (connection,) = one.server.connections
        image = next(iter(one.server.images.values()))
        left = frame.Frame(
            frame.address_of("5.12.82.20.1.1", 851),
            one.session.channel.source,  # type: ignore[attr-defined]
            frame.ADD_NOTIFICATION,
            frame.REQUEST_FLAGS,
            0,
            1,
            struct.pack("<IIIIII16x", image.group, 0, 4, 3, 0, 100_000),
        )
        connection._add(image, left)
        await until(lambda: one.session.counters()["orphan_notifications"] > 0, "the stranger was not seen")
        await until(lambda: not connection._reported, "the stranger is still there")


async def test_devices_that_come_and_go_leave_no_notification() -> None:
    async with plant() as one:
        heard, subscription = await one.subscribe()
        await until(lambda: len(heard.values) == 11, "first values")
        (connection,) = one.server.connections
        assert len(connection._reported) == 11 + 2
        other = msgspec.structs.replace(one.device, path="a/l/other", tags={"n1": tags()["n1"]})
        await one.session.configure([one.device, other])
        await subscription.close()
        await until(lambda: not connection._reported, "notifications were left")
        heard, _ = await one.subscribe()
        await until(lambda: len(heard.values) == 11, "again")


async def test_a_busy_subscription_and_reads_share_the_link() -> None:
    made = {f"r{at}": constant("int32", f"MAIN.r{at}", 0, mode="cyclic", poll_ms=10) for at in range(200)} | {
        "polled": constant("int32", "MAIN.polled", 42)
    }
    async with plant(made) as one:
        heard, subscription = await one.subscribe(*[name for name in made if name != "polled"])
        assert not subscription.faults
        for _ in range(50):
            assert await one.read("polled") == {"polled": 42}
            await one.write("polled", 42)
        await until(lambda: len(heard.values) == 200, "all report")


async def test_a_plc_that_restarted_behind_its_router_reports_again_what_is_distrusted() -> None:
    """The connection to the router stood, so only a read can show that the notifications are gone, and the watch with them."""
    async with plant() as one:
        heard, subscription = await one.subscribe()
        await until(lambda: len(heard.values) == 11, "first values")
        for connection in one.server.connections:
            for image in one.server.images.values():
                connection.forget(image)
        one.server.set(PATH, "n2", -5)
        assert (await one.read("n2"))["n2"] == -5
        assert heard.values["n2"] == 200
        await subscription.distrust(["n2"])
        assert set(subscription.faults) == {"n2"}
        await subscription.retry()
        assert not subscription.faults
        await until(lambda: heard.values["n2"] == -5, "the value is reported anew")
        one.server.set(PATH, "n2", -6)
        await until(lambda: heard.values["n2"] == -6, "its change is reported")
        changes = one.session.reports.changes
        one.server.online_change(PATH)
        await until(lambda: one.session.reports.changes > changes, "the watch reports a change of the program")


async def test_a_plc_promises_the_cycle_and_its_delay() -> None:
    made = {"slow": constant("int32", "MAIN.slow", 0, mode="subscribe", poll_ms=10, options={"max_delay": 200})}
    async with plant(made) as one:
        _, subscription = await one.subscribe()
        assert subscription.promise("slow") == Promise(0.21)
