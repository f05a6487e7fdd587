"""The clock of the gateway goes wrong under load: nothing is lost or doubled, a glitch is not in the record, and what was
doubtful heals."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.plant import Plant

SHIM = Path(__file__).parent / "stepped_clock"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs_broker,
    pytest.mark.needs_database,
]
SERIES = 9
ROWS = """
select s.path, extract(epoch from x.time) as time, x.value::bigint as value, x.quality
from nexus.sample x join nexus.series s on s.id = x.series_id where x.quality > 0 order by s.path, x.time
"""


class Stepped:
    """A plant whose gateway's clock the test sets; the historian's is right.

    Attributes:
        began_s: When the plant was started, seconds since 1970 UTC.
    """

    def __init__(self, folder: Path) -> None:
        self.plant = Plant(folder, devices=SERIES // 3)
        self._file = folder.with_suffix(".clock")
        self.began_s = time.time()
        self.set(0)
        shifted = f"{SHIM}{os.pathsep}{self.plant.environment('gateway')['PYTHONPATH']}"
        self.plant.extra_environment["gateway"] = {
            "NEXUS_TEST_CLOCK": str(self._file),
            "NEXUS_CLOCK_SYNCHRONISED": "auto",
            "PYTHONPATH": shifted,
        }

    def set(self, off_s: float, *, synchronised: bool = False) -> None:
        """Set the gateway's wall clock, at once."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{off_s} {'synchronised' if synchronised else ''}")
        fresh.replace(self._file)

    def clock(self) -> dict[str, Any]:
        """What the gateway's health says of it."""
        found: dict[str, Any] = self.plant.status("gateway")["clock"]
        return found

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Wait until it is so."""
        until = time.monotonic() + 120
        while not condition():
            assert time.monotonic() < until, f"{what}\n{self.plant.log('gateway')[-2000:]}"
            time.sleep(0.2)

    def more(self, rows: int = 20) -> None:
        """Wait until every series has so many more values."""
        seen: dict[str, int] = {}
        for path, _, value, _ in self.rows():
            seen[path] = max(value, seen.get(path, 0))
        wanted = {path: value + rows for path, value in seen.items()}

        def have() -> bool:
            found: dict[str, int] = {}
            for path, _, value, _ in self.rows():
                found[path] = max(value, found.get(path, 0))
            return len(found) == SERIES and all(found.get(path, 0) >= value for path, value in wanted.items())

        self.wait(have, "rows go on")

    def rows(self) -> list[tuple[str, float, int, int]]:
        """Path, time, value and quality of every row with a value, by path and time."""
        return [(row["path"], float(row["time"]), row["value"], row["quality"]) for row in self.plant.query(ROWS)]

    def whole(self) -> list[tuple[str, float, int, int]]:
        """Every row, once what the broker lost has come again: no count is missing between the first and the last."""

        def missing() -> bool:
            counts: dict[str, set[int]] = {}
            for path, _, value, _ in self.rows():
                counts.setdefault(path, set()).add(value)
            return any(max(many) - min(many) + 1 > len(many) for many in counts.values())

        self.wait(lambda: not missing(), "every count has a row")
        return self.rows()

    def newest(self) -> set[int]:
        """Qualities of the values that were counted last."""
        last: dict[str, tuple[int, int]] = {}
        for path, _, value, quality in self.rows():
            last[path] = max(last.get(path, (0, 0)), (value, quality))
        return {quality for _, quality in last.values()}


@pytest.fixture
def stepped(tmp_path: Path) -> Iterator[Stepped]:
    one = Stepped(tmp_path / "plant")
    try:
        one.plant.start()
        one.wait(lambda: len({path for path, *_ in one.rows()}) == SERIES, "the first rows")
        yield one
    finally:
        one.plant.stop()


def complete(rows: list[tuple[str, float, int, int]]) -> None:
    """In each series every count is there, and by time they rise; a count may be recorded again when its quality changed."""
    series: dict[str, list[int]] = {}
    for path, _, value, _ in rows:
        series.setdefault(path, []).append(value)
    assert len(series) == SERIES
    for path, values in series.items():
        assert values == sorted(values), path
        assert sorted(set(values)) == list(range(values[0], values[-1] + 1)), path


def test_a_glitch_is_not_in_the_record(stepped: Stepped) -> None:
    stepped.more()
    for off_s in (3600, -3600, 2.5e9):
        stepped.set(off_s)
        stepped.wait(lambda: stepped.clock()["doubt"], "the clock is doubtful")
        stepped.wait(lambda: stepped.newest() == {64}, "samples are marked")
        stepped.set(0)
        stepped.wait(lambda: not stepped.clock()["doubt"], "the clock is right again")
        stepped.wait(lambda: stepped.newest() == {192}, "samples have healed")
    stepped.more()
    rows = stepped.whole()
    complete(rows)
    assert stepped.began_s < min(row[1] for row in rows) and max(row[1] for row in rows) < time.time() + 1
    assert stepped.clock()["steps"] == 6 and stepped.clock()["turns"] == 0
    assert stepped.plant.query("select * from nexus.dead_letter") == []


def test_a_clock_that_is_put_back_an_hour_is_followed_when_it_is_believed(stepped: Stepped) -> None:
    stepped.more()
    stepped.set(-3600)
    stepped.wait(lambda: stepped.clock()["doubt"], "the clock is doubtful")
    stepped.more()
    assert stepped.clock()["turns"] == 0, "nobody vouches for it yet"
    stepped.set(-3600, synchronised=True)
    stepped.wait(lambda: stepped.clock()["turns"] == 1, "the time is set back")
    stepped.wait(lambda: stepped.newest() == {192}, "samples have healed")
    # The next life finds a log that ends an hour ahead, and is not held by it.
    stepped.plant.end("gateway", 15)
    stepped.plant.start_part("gateway")
    stepped.more()
    stepped.wait(lambda: not stepped.clock()["doubt"], "the clock is right again")
    stepped.more()
    assert stepped.newest() == {192}
    rows = stepped.whole()
    late = [row for row in rows if row[1] >= stepped.began_s]
    early = [row for row in rows if row[1] < stepped.began_s]
    assert max(row[1] for row in early) < time.time() - 3590
    # Each line of time rises by itself. At the end of the first life the log's time is held for a moment.
    for line in (late, early):
        for path in {row[0] for row in line}:
            values = [value for name, _, value, _ in line if name == path]
            assert values == sorted(values), path
    complete(sorted(rows, key=lambda row: (row[0], row[2])))


def test_a_boot_with_a_year_that_can_not_be_heals(stepped: Stepped) -> None:
    stepped.more()
    stepped.plant.end("gateway", 15)
    stepped.set(2.5e9)
    stepped.plant.start_part("gateway")
    stepped.more()
    assert "can't be" in stepped.clock()["doubt"] and stepped.newest() == {64}
    stepped.set(0, synchronised=True)
    stepped.wait(lambda: stepped.newest() == {192}, "samples have healed")
    stepped.plant.end("gateway", 15)
    stepped.plant.start_part("gateway")
    stepped.more()
    assert stepped.newest() == {192} and stepped.clock()["refused_floor_us"] == 0
    rows = stepped.whole()
    complete(rows)
    assert max(row[1] for row in rows) < time.time() + 1
    assert stepped.plant.query("select * from nexus.dead_letter") == []
