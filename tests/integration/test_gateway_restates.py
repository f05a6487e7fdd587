"""A gateway whose disk is full for a while: afterwards the record ends with what the devices have, not with what they had."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.model.config import TagConfig
from nexus_cli.settings import Settings
from tests.field import FakeDriver, FakeHistorian, FakeSource, device
from tests.integration.test_gateway import GW, Plant
from tests.servers import TestBroker
from tests.waiting import until

pytestmark = [pytest.mark.needs_broker, pytest.mark.own_time]
EVENT = {"event": TagConfig(type="float64", address="event", mode="subscribe")}


@pytest.fixture
def plant(broker: TestBroker, tmp_path: Path) -> Plant:
    """Three devices on three links; nothing moves by itself."""
    settings: Settings = broker.settings(principal=f"nexus.gateway.{GW}", home=tmp_path / "home")
    names = ("polled", "dying", "reporting")
    made = [device(f"a/l/{one}", link=f"tcp:{one}:1", tags=2, more=dict(EVENT)) for one in names]
    driver = FakeDriver()
    driver.values = {(one.path, name): 1.0 for one in made for name in ("t0", "t1")}
    return Plant(settings, FakeSource(made), driver)


def last_row(historian: FakeHistorian, path: str, tag: str) -> tuple[int, Any, str]:
    """Time, value and quality of the newest row by time."""
    found = [
        (frame.time, frame.samples[tag], frame.quality.get(tag, ("GOOD", None, 0))[0])
        for (epoch, seq), frame in historian.frames.items()
        if tag in frame.samples and historian.devices[epoch, seq] == path
    ]
    return max(found, key=lambda one: one[0], default=(0, "none", ""))


async def test_what_changed_while_the_disk_was_full_is_recorded_afterwards(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver, historian = plant.driver, plant.historian
    async with plant.running():
        await until(lambda: "a/l/reporting" in driver.subscriptions)
        outbox = plant.gateway.outbox
        driver.subscriptions["a/l/reporting"].report(event=1.0)
        await until(lambda: last_row(historian, "a/l/reporting", "event")[1] == 1.0)
        await until(lambda: last_row(historian, "a/l/dying", "t0")[1] == 1.0)
        await until(lambda: last_row(historian, "a/l/polled", "t0")[1] == 1.0)
        with monkeypatch.context() as patch:

            def full(*_: object) -> None:
                raise OSError(errno.ENOSPC, "No space left on device")

            patch.setattr(outbox._disk, "append", full)
            patch.setattr(outbox._disk, "try_room", full)
            driver.values["a/l/polled", "t0"] = 2.0
            driver.dead.add("a/l/dying")
            driver.subscriptions["a/l/reporting"].report(event=2.0)
            states = {one.path: one.normaliser.states for one in plant.gateway.links.devices()}
            await until(lambda: states["a/l/polled"]["t0"].value == 2.0)
            await until(lambda: states["a/l/dying"]["t0"].value is None)
            await until(lambda: outbox.lost["disk_refused"] >= 3)
            refused_us = {path: max(one.time_us for one in some.values()) for path, some in states.items()}
        for path, tag, value, quality in (
            ("a/l/polled", "t0", 2.0, "GOOD"),
            ("a/l/dying", "t0", None, "BAD"),
            ("a/l/dying", "t1", None, "BAD"),
            ("a/l/reporting", "event", 2.0, "GOOD"),
            ("a/l/polled", "t1", 1.0, "GOOD"),
        ):
            await until(lambda p=path, t=tag, v=value, q=quality: last_row(historian, p, t)[1:] == (v, q))
        row = last_row(historian, "a/l/dying", "t0")
        assert row[0] > refused_us["a/l/dying"]
        gaps = [one for one in historian.gaps.values() if one.device == "a/l/dying"]
        assert refused_us["a/l/dying"] < max(one.end for one in gaps) < row[0], (
            "until then nobody knows what the device was"
        )
        assert not historian.gaps_with_rows()
        await until(lambda: b"BAD" in historian.live["acme/chicago/a/l/dying/t0"])
