"""Refusals in bounded memory and few rows, without a database that answers."""

from __future__ import annotations

from typing import Any

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.identity.refusals import MOST, OTHERS, REASON_OF, REASONS, ROWS_A_MINUTE, Key, Refusals
from nexus_cli.settings import Settings
from tests.clock import FakeClock


class Rows(Refusals):
    """Keeps what would be written; `down` refuses it."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(settings=Settings(site="acme/chicago"), pool=None, clock=clock)
        self.rows: list[tuple[Key, int]] = []
        self.down = False

    async def _insert(self, due: list[tuple[Key, Any]]) -> None:
        if self.down:
            raise NexusError("The database does not answer.", code="NX6200")
        self.rows += [(key, found.count) for key, found in due]


async def test_many_addresses_fill_neither_memory_nor_table() -> None:
    clock = FakeClock()
    refusals = Rows(clock)
    for number in range(5000):
        refusals.note("NX6401", address=f"10.0.{number >> 8}.{number & 255}")
    assert len(refusals) == MOST + 1 and refusals.counts["token"] == 5000
    written = 0
    for _ in range(60):
        await refusals.write()
        assert len(refusals.rows) - written <= ROWS_A_MINUTE
        written = len(refusals.rows)
        clock.advance(60.0)
    assert sum(count for _, count in refusals.rows) == 5000
    assert (("token", OTHERS, ""), 5000 - MOST) in refusals.rows and len(refusals) == 0


async def test_the_first_at_once_then_one_a_minute() -> None:
    clock = FakeClock()
    refusals = Rows(clock)
    for _ in range(120):
        refusals.note("NX6403", who="vera", address="192.0.2.1", route="GET /state")
        await refusals.write()
        clock.advance(1.0)
    assert [count for _, count in refusals.rows] == [1, 60]


async def test_without_a_database_the_count_waits() -> None:
    clock = FakeClock()
    refusals = Rows(clock)
    refusals.down = True
    for _ in range(3):
        refusals.note("NX6415", who="vera", address="192.0.2.1")
        await refusals.write()
    refusals.down = False
    await refusals.write()
    assert refusals.rows == [(("login", "vera", "192.0.2.1"), 3)]


async def test_what_is_no_refusal_is_left_out() -> None:
    refusals = Rows(FakeClock())
    for code in ("NX5001", "NX6405", "NX6200", "NX6408"):
        refusals.note(code, address="192.0.2.1")
    assert len(refusals) == 0 and not refusals.counts
    assert set(REASON_OF.values()) == set(REASONS)
