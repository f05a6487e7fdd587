"""Times that can't be: refused with a letter, a gap and a count; held while it may be our own clock; never for good by mistake."""

from __future__ import annotations

import time

import msgspec
import pytest

from nexus_cli.runtime.clock import SystemClock
from nexus_cli.runtime.historian.historian import Historian
from nexus_cli.settings import Settings
from nexus_cli.wire.command import Report, Response, State, encode
from tests.integration.historian_rig import (
    DEVICE,
    TOPICS,
    SmallOutbox,
    declare,
    device,
    historian,
    outbox_settings,
    query,
)
from tests.servers import TestBroker
from tests.waiting import until

pytestmark = [pytest.mark.needs_database, pytest.mark.needs_broker]
HOUR_US = 3_600_000_000
OTHER = "packaging/line-1/press"


def now_us() -> int:
    return time.time_ns() // 1000


def behind(role: Historian, offset_us: int) -> None:
    """Turn the historian's own clock."""
    clock = SystemClock(wall_ns=lambda: time.time_ns() + offset_us * 1000)
    role.bounds._clock = clock


async def test_a_gateway_that_is_ahead_alone_is_refused_with_a_letter_and_a_gap(
    database: Settings, broker: TestBroker
) -> None:
    await declare(database, device(a="float64", b="float64"))
    begun_us = now_us()
    outbox = SmallOutbox(outbox_settings(broker))
    for seq in range(1, 6):
        outbox.frame(seq, {"a": 1.0, "b": 2.0}, time=now_us() + HOUR_US + seq)
    outbox.frame(6, {"a": 3.0}, time=now_us())
    async with historian(database, broker) as role, outbox.running():
        await outbox.drained()
        assert role.counters.refused_times == 5
        assert role.counters.held_frames > 0  # a while it could have been ours
        outbox.frame(7, {"a": 4.0}, time=now_us())  # it was set right: everything goes on
        await outbox.drained()
    assert [row["value"] for row in await query(database, "SELECT value FROM nexus.sample ORDER BY value")] == [
        3.0,
        4.0,
    ]
    found = await query(database, "SELECT reason, count, detail FROM nexus.dead_letter")
    assert [(row["reason"], row["count"]) for row in found] == [("ahead_of_time", 10)]
    gaps = await query(database, "SELECT * FROM nexus.gap")
    assert [(gap["reason"], gap["device"], gap["gateway"], gap["frames"]) for gap in gaps] == [
        ("ahead_of_time", DEVICE, "gw-1", 5)
    ]
    start_us, end_us = (round(gaps[0][name].timestamp() * 1e6) for name in ("start", "end"))
    assert begun_us <= start_us <= end_us <= now_us()


async def test_a_boot_in_2106_or_1970_is_refused_at_once_and_what_comes_after_it_is_stored(
    database: Settings, broker: TestBroker
) -> None:
    await declare(database, device(a="float64"))
    outbox = SmallOutbox(outbox_settings(broker))
    outbox.frame(1, {"a": 1.0}, time=4_294_967_295_000_000)
    outbox.frame(2, {"a": 2.0}, time=5_000_000)
    outbox.frame(3, {"a": 3.0}, time=now_us())
    async with historian(database, broker) as role, outbox.running():
        await outbox.drained()
        assert (role.counters.refused_times, role.counters.held_frames) == (2, 0)
    assert [row["value"] for row in await query(database, "SELECT value FROM nexus.sample")] == [3.0]
    assert [(row["reason"], row["frames"]) for row in await query(database, "SELECT * FROM nexus.gap")] == [
        ("time_out_of_range", 2)
    ]


async def test_when_our_clock_is_an_hour_behind_nothing_is_refused(database: Settings, broker: TestBroker) -> None:
    """The database's clock is the later one, so what it finds right is stored; ahead of both waits."""
    await declare(database, device(a="float64"))
    outbox = SmallOutbox(outbox_settings(broker))
    async with historian(database, broker, ready=False) as role:
        behind(role, -HOUR_US)
        await until(lambda: role.ready()[0])
        async with outbox.running():
            outbox.frame(1, {"a": 1.0}, time=now_us())
            await outbox.drained()
            outbox.frame(2, {"a": 2.0}, time=now_us() + 2 * HOUR_US)
            await until(lambda: role.counters.held_frames >= 8, "sent again and again")
            assert "clock differs" in role.status().clock_doubt
    assert len(await query(database, "SELECT * FROM nexus.sample")) == 1
    assert await query(database, "SELECT * FROM nexus.dead_letter") == []
    assert await query(database, "SELECT * FROM nexus.gap") == []


async def test_a_plant_that_is_ahead_waits_until_the_clocks_agree(database: Settings, broker: TestBroker) -> None:
    """Ours and the database's are wrong together, as on one machine: the gateways are many, so they wait."""
    other = msgspec.structs.replace(device(OTHER, a="float64"), gateway="gw-2")
    await declare(database, device(a="float64"), other)
    one, two = (SmallOutbox(outbox_settings(broker), gateway=name) for name in ("gw-1", "gw-2"))
    ahead_us = now_us() + HOUR_US
    async with historian(database, broker) as role, one.running(), two.running():
        one.frame(1, {"a": 1.0}, time=ahead_us)
        two.frame(1, {"a": 2.0}, time=ahead_us, path=OTHER)
        await until(lambda: role.counters.held_frames >= 20, "both sent again and again")
        assert role.counters.refused_times == 0
        assert "gateways are ahead" in role.ready()[1]
        behind(role, HOUR_US)  # the clock is set right
        await one.drained()
        await two.drained()
    rows = await query(database, "SELECT value FROM nexus.sample ORDER BY value")
    assert [row["value"] for row in rows] == [1.0, 2.0]
    assert await query(database, "SELECT * FROM nexus.dead_letter") == []


async def test_gaps_and_reports_get_usable_times(database: Settings, broker: TestBroker) -> None:
    await declare(database, device(a="float64"))
    begun_us, far_us = now_us(), now_us() + 10**15
    outbox = SmallOutbox(outbox_settings(broker))
    outbox.gap(1, device=DEVICE, start=begun_us - 10**9, end=far_us, frames=7, reason="overflow")
    outbox.gap(2, device=DEVICE, start=begun_us, end=begun_us - 10**9, frames=7, reason="outbox_damaged")
    outbox.gap(3, device="", start=0, end=begun_us, frames=7, reason="gateway_killed")
    response = Response(id="c", state=State.DONE, path=f"{DEVICE}/a", time=far_us)
    report = Report(epoch="E1", seq=4, gateway="gw-1", principal="desk", received=far_us, response=response)
    outbox.accept(4, TOPICS.audit("gw-1"), encode(report))
    async with historian(database, broker) as role:
        for _ in range(2):  # the second time they are replays
            again = SmallOutbox(outbox_settings(broker))
            again.waiting, again.unsent = dict(outbox.waiting), list(outbox.unsent)
            again._heard = lambda message: None  # type: ignore[method-assign]
            async with again.running():
                await until(lambda: again.sends >= 8, "everything was sent twice")  # noqa: B023
        await until(lambda: not len(role.inbound_queue) and role.counters.reports >= 1)
        assert role.counters.gaps == 3
    gaps = await query(database, 'SELECT start, "end" FROM nexus.gap ORDER BY seq')
    spans = [(round(gap["start"].timestamp() * 1e6), round(gap["end"].timestamp() * 1e6)) for gap in gaps]
    assert len(spans) == 3
    assert spans[0][0] == begun_us - 10**9 and begun_us <= spans[0][1] <= now_us()
    assert spans[1] == (begun_us - 10**9, begun_us)
    assert spans[2] == (946_684_800_000_000, begun_us)
    command = (await query(database, "SELECT at, detail::text AS detail FROM nexus.command"))[0]
    assert begun_us <= round(command["at"].timestamp() * 1e6) <= now_us()
    assert "the gateway's clock said 20" in command["detail"]
