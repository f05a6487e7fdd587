"""A gateway speaks for its own devices only: frames, gaps and reports about others are set aside and reported, its own never."""

from __future__ import annotations

import logging
import time
from typing import Any

import msgspec
import pytest

from nexus_cli.database.connect import connection
from nexus_cli.database.series import sync_series
from nexus_cli.model.config import DeviceConfig
from nexus_cli.runtime.historian.assignments import SLACK_US
from nexus_cli.settings import Settings
from nexus_cli.wire.command import Report, Response, State, encode
from tests.integration.historian_rig import (
    DEVICE,
    START_US,
    TOPICS,
    SmallOutbox,
    declare,
    device,
    historian,
    outbox_settings,
    query,
)
from tests.postgres import SITE
from tests.servers import TestBroker

pytestmark = [pytest.mark.needs_database, pytest.mark.needs_broker]
OTHER = "packaging/line-1/press"
HOUR = "interval '1 hour'"


def of(gateway: str, path: str = DEVICE) -> DeviceConfig:
    """A device with tag `a` that a gateway reads."""
    return msgspec.structs.replace(device(path, a="float64"), gateway=gateway)


def report(gateway: str, path: str, *, seq: int, time_us: int = START_US, **more: Any) -> bytes:
    """How a command ended, as `gateway` says."""
    response = Response(id=f"c-{seq}", state=State.DONE, path=path, time=time_us)
    facts = {"gateway": gateway, "principal": "desk", "received": time_us, "response": response, **more}
    return encode(Report(epoch="E1", seq=seq, **facts))


async def letters(settings: Settings) -> dict[tuple[str, str], int]:
    """Count by the last two levels of the topic and the reason."""
    rows = await query(settings, "SELECT topic, reason, count FROM nexus.dead_letter")
    return {("/".join(row["topic"].split("/")[-2:]), row["reason"]): row["count"] for row in rows}


async def test_a_gateway_that_speaks_for_anothers_device_is_set_aside(
    database: Settings, broker: TestBroker, caplog: pytest.LogCaptureFixture
) -> None:
    await declare(database, of("gw-1"), of("gw-2", OTHER))
    thief = SmallOutbox(outbox_settings(broker), gateway="gw-2")
    for seq in range(1, 11):
        thief.frame(seq, {"a": -999.0, "b": 1.0})  # DEVICE is gw-1's
    thief.frame(11, {"a": 5.0}, path=OTHER)
    thief.gap(12, device=DEVICE, start=START_US, end=START_US + 10, frames=7, reason="overflow")
    thief.gap(13, device=OTHER, start=START_US, end=START_US + 10, frames=7, reason="overflow")
    thief.gap(14, device="", start=START_US, end=START_US + 10, frames=7, reason="gateway_killed")
    wrong = {
        15: report("gw-2", f"{DEVICE}/a", seq=15),  # not its device
        16: report("gw-1", f"{OTHER}/a", seq=16),  # in another one's name
        17: report("gw-2", "../../x\x1b[31m<script>", seq=17),
        18: report("gw-2", f"{OTHER}/a", seq=18, principal="a/b\x1b[0m"),
    }
    for seq, payload in wrong.items():
        thief.accept(seq, TOPICS.audit("gw-2"), payload)
    thief.accept(19, TOPICS.audit("gw-2"), report("gw-2", f"{OTHER}/a", seq=19))
    with caplog.at_level(logging.WARNING, logger="nexus.historian.reading"):
        async with historian(database, broker) as role, thief.running():
            await thief.drained()  # what is set aside is not sent for ever
            assert role.counters.not_assigned == 13
            assert role.status().counters["not_assigned"] == 13
    rows = await query(database, "SELECT s.path, x.value FROM nexus.sample x JOIN nexus.series s ON s.id = x.series_id")
    assert [tuple(row) for row in rows] == [(f"{OTHER}/a", 5.0)]
    gaps = await query(database, "SELECT device, gateway FROM nexus.gap ORDER BY device")
    assert [tuple(row) for row in gaps] == [("", "gw-2"), (OTHER, "gw-2")]
    assert [row["id"] for row in await query(database, "SELECT id FROM nexus.command")] == ["c-19"]
    assert len(await query(database, "SELECT * FROM nexus.audit")) == 1
    assert await letters(database) == {
        ("line-1/filler", "not_assigned"): 20,
        ("gap/gw-2", "not_assigned"): 1,
        ("audit/gw-2", "not_assigned"): 2,
        ("audit/gw-2", "not_a_report"): 2,
    }
    told = [one for one in caplog.records if "not assigned to it" in one.getMessage()]
    assert [(one.fields["gateway"], one.fields["device"]) for one in told] == [("gw-2", DEVICE)]  # type: ignore[attr-defined]


async def test_external_and_unknown_devices_are_no_gateways(database: Settings, broker: TestBroker) -> None:
    external = msgspec.structs.replace(device("a/l/scale", a="float64"), protocol="external", gateway="")
    await declare(database, external)
    outbox = SmallOutbox(outbox_settings(broker))
    outbox.frame(1, {"a": 1.0}, path="a/l/scale")
    outbox.frame(2, {"a": 1.0}, path="a/l/nobody")
    async with historian(database, broker), outbox.running():
        await outbox.drained()
    assert await query(database, "SELECT * FROM nexus.sample") == []
    assert await letters(database) == {("l/scale", "not_assigned"): 1, ("l/nobody", "not_assigned"): 1}


async def move(settings: Settings, *devices: DeviceConfig | None, gone: str = "") -> None:
    """What the record step of a deployment does."""
    wanted: dict[str, DeviceConfig | None] = {each.path: each for each in devices if each is not None}
    if gone:
        wanted[gone] = None
    async with connection(settings) as conn:
        await sync_series(conn, site=SITE, devices=wanted)


async def test_after_a_move_each_gateway_delivers_what_was_its_own(database: Settings, broker: TestBroker) -> None:
    await declare(database, of("gw-a"))
    old, new = (SmallOutbox(outbox_settings(broker), gateway=name) for name in ("gw-a", "gw-b"))
    async with historian(database, broker) as role, old.running(), new.running():
        old.frame(1, {"a": 1.0})
        await old.drained()
        await move(database, of("gw-b"))
        now_us = time.time_ns() // 1000
        new.frame(1, {"a": 2.0}, time=now_us)  # known at once, without a notice from the broker
        old.frame(2, {"a": 3.0}, time=now_us - 60_000_000)  # backlog from before the move
        old.frame(3, {"a": 4.0}, time=now_us + 1_000_000)  # read before it heard of the move
        old.gap(4, device=DEVICE, start=now_us - 90_000_000, end=now_us - 80_000_000, frames=1, reason="overflow")
        old.accept(5, TOPICS.audit("gw-a"), report("gw-a", f"{DEVICE}/a", seq=5, time_us=now_us - 70_000_000))
        await new.drained()
        await old.drained()
        assert role.counters.not_assigned == 0
        # An hour later, seen from the move: the old gateway does not speak for it any more.
        await query(database, f"UPDATE nexus.assignment SET until = until - {HOUR} WHERE until IS NOT NULL")
        role.inbound_queue.changed()  # an hour is longer than the database's notice may take
        old.frame(6, {"a": 5.0}, time=now_us)
        old.gap(7, device=DEVICE, start=now_us, end=now_us, frames=1, reason="overflow")
        old.accept(8, TOPICS.audit("gw-a"), report("gw-a", f"{DEVICE}/a", seq=8, time_us=now_us))
        old.frame(9, {"a": 6.0}, time=now_us - 7_200_000_000)
        # What it took before the move and answers now is its own still.
        before = now_us - 7_200_000_000
        old.accept(10, TOPICS.audit("gw-a"), report("gw-a", f"{DEVICE}/a", seq=10, time_us=now_us, received=before))
        new.frame(2, {"a": 7.0}, time=now_us + 5)
        await old.drained()
        await new.drained()
        assert role.counters.not_assigned == 3
    rows = await query(database, "SELECT value FROM nexus.sample ORDER BY value")
    assert [row["value"] for row in rows] == [1.0, 2.0, 3.0, 4.0, 6.0, 7.0]
    assert len(await query(database, "SELECT * FROM nexus.gap")) == 1
    assert {row["id"] for row in await query(database, "SELECT id FROM nexus.command")} == {"c-5", "c-10"}


async def test_a_device_that_comes_back_to_its_gateway_is_its_own_again(database: Settings, broker: TestBroker) -> None:
    await declare(database, of("gw-a"))
    await move(database, of("gw-b"))
    await move(database, of("gw-a"))
    await query(database, f"UPDATE nexus.assignment SET until = until - {HOUR} WHERE until IS NOT NULL")
    await move(database, gone=OTHER)
    outbox = SmallOutbox(outbox_settings(broker), gateway="gw-a")
    outbox.frame(1, {"a": 1.0}, time=time.time_ns() // 1000)
    async with historian(database, broker), outbox.running():
        await outbox.drained()
    assert len(await query(database, "SELECT * FROM nexus.sample")) == 1
    found = await query(database, "SELECT gateway, until IS NULL AS lasts FROM nexus.assignment ORDER BY id")
    assert [tuple(row) for row in found] == [("gw-a", False), ("gw-b", False), ("gw-a", True)]


async def test_a_removed_or_renamed_device_delivers_its_backlog(database: Settings, broker: TestBroker) -> None:
    await declare(database, of("gw-a"), of("gw-a", OTHER))
    async with connection(database) as conn:
        renamed = of("gw-a", "packaging/line-1/renamed")
        await sync_series(
            conn,
            site=SITE,
            devices={DEVICE: None, OTHER: None, renamed.path: renamed},
            moved=[(f"{OTHER}/a", f"{renamed.path}/a")],
        )
    outbox = SmallOutbox(outbox_settings(broker), gateway="gw-a")
    outbox.frame(1, {"a": 1.0})
    outbox.frame(2, {"a": 2.0}, path=OTHER)
    outbox.frame(3, {"a": 3.0}, path=renamed.path)
    async with historian(database, broker) as role, outbox.running():
        await outbox.drained()
        assert role.counters.not_assigned == 0
    rows = await query(
        database,
        "SELECT s.path, x.value FROM nexus.sample x JOIN nexus.series s ON s.id = x.series_id ORDER BY x.value",
    )
    assert [tuple(row) for row in rows] == [
        (f"{DEVICE}/a", 1.0),
        (f"{renamed.path}/a", 2.0),
        (f"{renamed.path}/a", 3.0),
    ]


async def test_many_devices_that_move_at_once_lose_nothing(database: Settings, broker: TestBroker) -> None:
    paths = [f"packaging/line-1/d{number}" for number in range(1_200)]
    await declare(database, *(of("gw-a", path) for path in paths))
    outbox = SmallOutbox(outbox_settings(broker), gateway="gw-b", window=1_500)
    async with historian(database, broker) as role, outbox.running():
        # Neither the database's word nor a look at the deployment's number: the frames themselves make it read again.
        role.following._on_recorded = lambda: None
        await move(database, *(of("gw-b", path) for path in paths))
        for seq, path in enumerate(paths, 1):
            outbox.frame(seq, {"a": float(seq)}, path=path)
        await outbox.drained()
        assert role.counters.not_assigned == 0
    assert len(await query(database, "SELECT * FROM nexus.sample")) == len(paths)
    assert await query(database, "SELECT * FROM nexus.dead_letter") == []


def reads(gateway: str, path: str, **types: str) -> DeviceConfig:
    """A device that a gateway reads."""
    return msgspec.structs.replace(device(path, **types), gateway=gateway)


async def carry(settings: Settings, *devices: DeviceConfig, moved: tuple[str, str]) -> None:
    """Record that a tag was moved to another device."""
    async with connection(settings) as conn:
        await sync_series(conn, site=SITE, devices={each.path: each for each in devices}, moved=[moved])


@pytest.mark.parametrize("new", [False, True], ids=["to a device that is read already", "to a new device"])
async def test_a_tag_that_was_moved_to_another_gateway_is_not_fed_by_where_it_was(
    database: Settings, broker: TestBroker, new: bool
) -> None:
    await declare(database, reads("gw-1", DEVICE, a="float64", b="float64"))
    if not new:
        await declare(database, reads("gw-2", OTHER, c="float64"))
    await query(database, f"UPDATE nexus.assignment SET since = since - {HOUR}")
    before, after = reads("gw-1", DEVICE, b="float64"), reads("gw-2", OTHER, a="float64", c="float64")
    await carry(database, before, after, moved=(f"{DEVICE}/a", f"{OTHER}/a"))
    [moved] = await query(database, "SELECT since FROM nexus.assignment ORDER BY id DESC LIMIT 1")
    now_us, moved_us = time.time_ns() // 1000, round(moved["since"].timestamp() * 1e6)
    old, owner = (SmallOutbox(outbox_settings(broker), gateway=name) for name in ("gw-1", "gw-2"))
    old.frame(1, {"a": -1.0, "b": 1.0}, time=now_us - 1_000_000)  # what is read before it hears of the move is late
    old.frame(2, {"a": -999.0, "b": 2.0}, time=moved_us + SLACK_US if new else now_us)
    owner.frame(1, {"a": 5.0}, path=OTHER, time=now_us)
    async with historian(database, broker) as role, old.running(), owner.running():
        await old.drained()
        await owner.drained()
        if new:
            await query(database, f"UPDATE nexus.assignment SET since = since - {HOUR} WHERE gateway = 'gw-2'")
            role.inbound_queue.changed()  # an hour is longer than the database's notice may take
            old.frame(3, {"a": -999.0, "b": 3.0}, time=now_us + 1)
            await old.drained()
    rows = await query(
        database, "SELECT x.value FROM nexus.sample x JOIN nexus.series s ON s.id = x.series_id WHERE s.path = $1"
        " ORDER BY x.value", f"{OTHER}/a",
    )  # fmt: skip
    assert [row["value"] for row in rows] == ([-999.0, -1.0, 5.0] if new else [5.0])
    kept = await query(database, "SELECT reason, count FROM nexus.dead_letter")
    assert [tuple(row) for row in kept] == [("unknown_series", 1 if new else 2)]
