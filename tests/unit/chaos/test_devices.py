"""The counting devices of chaos: every count is in the log before it is in an answer."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.devices import AFTER_RESTART, HOLD, LoggedDevice, Logs, go_on
from tests.chaos.observer import FieldLogs
from tests.modbus_frames import HEADER


@pytest.fixture
def device(tmp_path: Path) -> Iterator[LoggedDevice]:
    LoggedDevice.counters.clear()
    LoggedDevice.stored.clear()
    LoggedDevice.logs = Logs(tmp_path)
    one = LoggedDevice()
    one.host = "127.0.0.4"
    yield one
    LoggedDevice.counters.clear()
    LoggedDevice.stored.clear()


def read(device: LoggedDevice, start: int, count: int) -> list[int]:
    """Values of register pairs."""
    answer = device.answer(1, 2, 3, struct.pack(">HH", start, count))
    return list(struct.unpack(f">{count // 2}I", answer[HEADER.size + 1 :]))


def write(device: LoggedDevice, start: int, value: int) -> None:
    """Write a register pair."""
    device.answer(1, 2, 16, struct.pack(">HHB", start, 2, 4) + struct.pack(">I", value))


def test_every_read_is_counted_and_logged(device: LoggedDevice, tmp_path: Path) -> None:
    assert read(device, 0, 6) == [1, 1, 1]
    assert read(device, 4, 2) == [2]
    logs = FieldLogs.read(tmp_path)
    assert [one.number for one in logs.handed(4, 2, 0)] == [1]
    assert [one.number for one in logs.handed(4, 2, 4)] == [1, 2]
    assert logs.handed(4, 2, 6) == []
    assert logs.handed(4, 3, 0) == []


def test_a_command_s_register_is_plain_storage(device: LoggedDevice, tmp_path: Path) -> None:
    write(device, 1000, 70_001)
    write(device, 1000, 70_002)
    write(device, 1000, 70_002)
    assert read(device, 1000, 2) == [70_002]
    logs = FieldLogs.read(tmp_path)
    assert logs.writes == {(4, 2, 70_001): 1, (4, 2, 70_002): 2}
    assert not logs.reads


def test_held_counters_stand_still(device: LoggedDevice, tmp_path: Path) -> None:
    assert read(device, 0, 2) == [1]
    (tmp_path / HOLD).touch()
    assert read(device, 0, 2) == read(device, 0, 2) == [1]
    assert len(FieldLogs.read(tmp_path).handed(4, 2, 0)) == 1
    (tmp_path / HOLD).unlink()
    assert read(device, 0, 2) == [2]


def test_after_a_kill_it_counts_on_above_what_it_handed_out(device: LoggedDevice, tmp_path: Path) -> None:
    for _ in range(3):
        read(device, 0, 2)
    LoggedDevice.counters.clear()
    go_on(tmp_path)
    assert read(device, 0, 2) == [3 + AFTER_RESTART + 1]
    (tmp_path / "reads.log").open("a").write("1796052173 4 2 10")  # a line that was cut off says nothing
    assert [one.number for one in FieldLogs.read(tmp_path).handed(4, 2, 0)] == [1, 2, 3, 1004]
