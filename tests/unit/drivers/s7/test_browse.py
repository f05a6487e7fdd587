"""What a CPU without a list of its blocks is asked, and what its refusals tell an engineer to do; no socket."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from nexus_cli.drivers.s7 import status
from nexus_cli.drivers.s7.browse import browse
from nexus_cli.drivers.s7.pdu import OK, Item


class Cpu:
    """Data blocks by number, as lengths; no information functions."""

    pdu = 240

    def __init__(self, blocks: dict[int, int]) -> None:
        self.blocks = blocks
        self.requests = 0

    async def inform(self, *about: Any) -> Any:
        return SimpleNamespace(error=0xD401, data=b"")

    async def fetch(self, items: Sequence[Item]) -> list[tuple[int, bytes]]:
        self.requests += 1
        return [(OK, b"\0") if item.start < self.blocks.get(item.db, 0) else (status.NO_OBJECT, b"") for item in items]


async def test_without_a_list_every_number_that_a_block_may_have_is_tried() -> None:
    cpu = Cpu({7: 2, 1_001: 30, 59_999: 65_536})
    found = [one async for one in browse(cpu)]  # type: ignore[arg-type]
    assert {one.path[0]: one.detail["length"] for one in found if "number" in one.detail} == {
        "DB7": 2,
        "DB1001": 30,
        "DB59999": 65_536,
    }
    assert sum("beat" in one.detail for one in found) == 3_334


PUT_GET = "'Permit access with PUT/GET communication from remote partner'"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (status.NOT_ALLOWED, PUT_GET),
        (status.NO_OBJECT, "clear 'Optimized block access'"),
        (status.OUT_OF_RANGE, "clear 'Optimized block access'"),
    ],
)
def test_what_to_change_in_tia_portal_is_said(code: int, words: str) -> None:
    assert words in status.refusal(code, Item("DB", 5, 0, 1))
    assert PUT_GET in status.job_error(0x8104, "read DB5").message
