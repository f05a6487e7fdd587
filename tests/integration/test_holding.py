"""Simulators hold what a test gives, in every protocol, over restarts; what they can't hold is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from nexus_cli.drivers.registry import kinds
from nexus_cli.drivers.simulation.holding import Held, HoldFiles
from nexus_cli.drivers.simulation.mock_links import MockFolder
from nexus_cli.model.config import TagConfig
from tests.integration.test_mock import DEVICES, read, simulating
from tests.waiting import until


async def holds(files: HoldFiles, number: int, **values: Any) -> dict[str, str]:
    held = {name.replace("__", "/"): value for name, value in values.items()}
    files.ask(Held(number=number, values=held, steady=True))

    def answered() -> bool:
        answer = files.answered()
        return answer is not None and answer.number == number

    await until(answered, "the simulator answers")
    answer = files.answered()
    assert answer is not None
    return answer.problems


@pytest.mark.parametrize("protocol", sorted(kinds()))
async def test_a_held_value_is_read(tmp_path: Path, protocol: str) -> None:
    files, device = HoldFiles(MockFolder(tmp_path).path), DEVICES[protocol]
    async with simulating(tmp_path):
        assert "17" in repr(await read(tmp_path, device))
        assert await holds(files, 1, **{f"a__l__{protocol}__t": 4711}) == {}
        assert "4711" in repr(await read(tmp_path, device))
    async with simulating(tmp_path):  # another process serves it: what was held is held again
        assert "4711" in repr(await read(tmp_path, device))


async def test_a_value_waits_for_its_device(tmp_path: Path) -> None:
    files = HoldFiles(MockFolder(tmp_path).path)
    files.ask(Held(number=1, values={"a/l/modbus/t": 99}, steady=True))
    async with simulating(tmp_path):
        assert files.answered() is None
        assert "99" in repr(await read(tmp_path, DEVICES["modbus"]))


async def test_what_can_not_be_held_is_said(tmp_path: Path) -> None:
    files = HoldFiles(MockFolder(tmp_path).path)
    async with simulating(tmp_path):
        await read(tmp_path, DEVICES["modbus"])
        problems = await holds(files, 1, a__l__modbus__t=70_000, a__l__modbus__gone=1)
    assert set(problems) == {"a/l/modbus/t", "a/l/modbus/gone"}


async def test_steady_signals_do_not_move(tmp_path: Path) -> None:
    files = HoldFiles(MockFolder(tmp_path).path)
    files.ask(Held(steady=True))
    moving = TagConfig(type="float32", address="holding:0", simulate={"signal": "sine", "period": 50})
    device = msgspec.structs.replace(DEVICES["modbus"], tags={"t": moving})
    async with simulating(tmp_path):
        found = {repr(await read(tmp_path, device)) for _ in range(20)}
    assert len(found) == 1


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x80", b"\x81\xa6number\xa1x"])
def test_garbled_files_are_no_question(tmp_path: Path, data: bytes) -> None:
    files = HoldFiles(tmp_path)
    (tmp_path / "held.msgpack").write_bytes(data)
    (tmp_path / "holds.msgpack").write_bytes(data)
    asked = files.asked()
    assert asked is None or asked == Held()
    assert files.answered() is None
