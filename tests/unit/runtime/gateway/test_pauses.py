"""Devices out of service: how long by which clock, and what a restart keeps."""

from __future__ import annotations

from pathlib import Path

from nexus_cli.model.config import DeviceConfig
from nexus_cli.runtime.gateway.configuration import Wanted
from nexus_cli.runtime.gateway.pauses import Pauses
from nexus_cli.wire.control import ServicePause
from tests.clock import FakeClock

DEVICE = "a/l/drive"
HOUR_US = 3_600_000_000
UNTIL = 1_767_225_600_000_000


def said(*, until: int = UNTIL, left_us: int = HOUR_US, who: str = "otto") -> dict[str, ServicePause]:
    return {DEVICE: ServicePause(until=until, left_us=left_us, who=who, reason="new valve")}


def made(folder: Path, clock: FakeClock) -> Pauses:
    return Pauses(folder / "gw-1.out-of-service.json", clock=clock)


def test_it_ends_by_itself_and_does_not_begin_again_for_a_late_clock(tmp_path: Path) -> None:
    clock = FakeClock()
    pauses = made(tmp_path, clock)
    assert pauses.take(said()) and DEVICE in pauses
    assert not pauses.take(said()), "the same again changes nothing"
    clock.advance(3599.0)
    assert not pauses.end_due() and pauses.next_s() <= 3600.0
    clock.advance(3601.0)
    assert pauses.end_due() and DEVICE not in pauses and pauses.next_s() == float("inf")
    assert not pauses.take(said(left_us=1)), "control's clock is a little behind"
    assert pauses.take(said(until=UNTIL + 1)), "another request"


def test_what_is_left_counts_from_the_newest_answer(tmp_path: Path) -> None:
    clock = FakeClock()
    pauses = made(tmp_path, clock)
    pauses.take(said(left_us=10 * HOUR_US))
    assert pauses.next_s() == 8 * 3600, "a gateway believes no more than the longest time"
    pauses.take(said(left_us=60_000_000))
    assert pauses.next_s() == 60.0
    assert pauses.take({}) and DEVICE not in pauses, "in service again before its time"


def test_a_restart_keeps_it_until_its_end(tmp_path: Path) -> None:
    clock = FakeClock()
    made(tmp_path, clock).take(said())
    after = made(tmp_path, clock)
    after.load()
    assert DEVICE in after and after.next_s() == 3600.0
    assert "by otto: new valve" in after.why(DEVICE) and "2026-01-01 00:00:00Z" in after.why(DEVICE)
    clock.advance(3601.0)
    later = made(tmp_path, clock)
    later.load()
    assert DEVICE not in later and not later.take(said(left_us=5))
    (tmp_path / "gw-1.out-of-service.json").write_text("{", encoding="utf-8")
    broken = made(tmp_path, clock)
    broken.load()
    assert DEVICE not in broken


def test_only_the_device_itself_is_switched_off(tmp_path: Path) -> None:
    pauses = made(tmp_path, FakeClock())
    wanted = {
        path: Wanted(DeviceConfig(path=path, protocol="modbus", tags={}), f"sha256:{path}")
        for path in (DEVICE, "a/l/other")
    }
    assert pauses.applied(wanted) is wanted
    pauses.take(said())
    found = pauses.applied(wanted)
    assert not found[DEVICE].config.enabled and found[DEVICE].digest != wanted[DEVICE].digest
    assert found["a/l/other"] is wanted["a/l/other"]
