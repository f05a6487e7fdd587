"""A year's plot on plain PostgreSQL reads the kept hours, and samples only where there are none: counted rows, no clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nexus_cli.database.connect import Connection, connection
from nexus_cli.database.retention import keep_up
from nexus_cli.database.rollup_tables import mark_changed
from nexus_cli.database.samples import SampleTables
from nexus_cli.database.series import sync_series
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.project.history import history, history_to_draw
from nexus_cli.settings import Settings
from tests.postgres import SITE

pytestmark = [pytest.mark.needs_database]
PATH = "packaging/line-1/filler"
NOW = datetime(2026, 10, 27, 12, 30, tzinfo=UTC)
DAYS, EACH = 365, timedelta(minutes=20)
PLANNER = 20
"""Rows at the ends of an index that planning a question reads at most."""
READ = """
SELECT relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) AS rows
FROM pg_stat_xact_user_tables WHERE schemaname = 'nexus'
"""


class Counting:
    """A connection that counts, at the end of its transaction, which rows that transaction read."""

    def __init__(self, conn: Connection, read: Counter[str]) -> None:
        self._conn, self._read = conn, read

    def __getattr__(self, name: str) -> Any:
        return getattr(self._conn, name)

    @asynccontextmanager
    async def transaction(self, **options: Any) -> AsyncIterator[None]:
        async with self._conn.transaction(**options):
            yield
            self._read.update({row["relname"]: row["rows"] for row in await self._conn.fetch(READ)})


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Rows that questions read, by relation."""
    counted: Counter[str] = Counter()

    @asynccontextmanager
    async def counting(*arguments: Any, **options: Any) -> AsyncIterator[Any]:
        async with connection(*arguments, **options) as conn:
            # Tables as small as a test's are read whole where an index is there for a plant's.
            await conn.execute("SET enable_seqscan = off")
            yield Counting(conn, counted)

    monkeypatch.setattr("nexus_cli.project.history.connection", counting)
    return counted


async def a_year(database: Settings) -> None:
    """A sample each 20 minutes of a year, in partitions and rolled up."""
    tags = {"temp": TagConfig(type="float64", published_type="float64")}
    device = DeviceConfig(path=PATH, protocol="modbus", gateway="gw-1", tags=tags)
    async with connection(database) as conn:
        await sync_series(conn, site=SITE, devices={PATH: device})
        tables, today = SampleTables(site=SITE), int(NOW.timestamp()) // 86_400
        assert await tables.prepare(conn, "default", range(today - DAYS, today + 1), now=NOW)
        made = await tables.table(conn, "default")
        await conn.execute(
            f'INSERT INTO nexus.{made.table} ("time", series_id, value, quality)'
            " SELECT t, id, extract(epoch FROM t) / 1e9, 192"
            " FROM generate_series($1::timestamptz, $2::timestamptz, $3::interval) AS t, nexus.series",
            *(NOW - timedelta(days=DAYS), NOW - EACH, EACH),
        )
        done = await keep_up(conn, site=SITE, now=NOW)
        assert done is not None
        assert not done.postponed
        await conn.execute("ANALYZE")


def check_read(read: Counter[str], expected: dict[str, int]) -> None:
    """These rows of these tables of samples and hours, and none of another; the planner itself looks at a few more."""
    read_of = {name.removeprefix("sample_acme_chicago_default_"): rows for name, rows in read.items() if rows}
    found = {
        name: read_of[name] for name in read_of if name not in ("series", "rollup", "retention_class", "rollup_change")
    }
    assert found.keys() == expected.keys()
    for name, rows in expected.items():
        assert rows <= found[name] <= rows + PLANNER, name
    read.clear()


async def test_a_years_plot_reads_the_hours_and_the_samples_of_its_ends(database: Settings, read: Counter[str]) -> None:
    await a_year(database)
    question: dict[str, Any] = {"since": f"{DAYS}d", "now": NOW, "zone": UTC, "settings": database}
    # 13:00 a year ago to 12:00 now are whole hours; the half hours before and behind them are samples.
    hours, ends = DAYS * 24 - 1, {"p20251027": 2, "p20261026": 1}
    found = await history_to_draw(f"{PATH}/temp", **question)
    assert (found.every, found.truncated) == ("86400s", False)
    assert sum(each["count"] for each in found.samples) == DAYS * 72
    check_read(read, {"1h": 2 * hours, **ends})  # once to count the samples
    days = await history(f"{PATH}/temp", every="1d", **question)
    assert [each["value"] for each in days.samples] == [each["value"] for each in found.samples]
    check_read(read, {"1h": hours, **ends})
    async with connection(database) as conn:
        late = NOW - timedelta(days=150)
        await mark_changed(conn, "sample_acme_chicago_default", [int(late.timestamp()) // 3600])
    again = await history_to_draw(f"{PATH}/temp", **question)
    assert [each["value"] for each in again.samples] == pytest.approx([each["value"] for each in found.samples])
    check_read(read, {"1h": 2 * hours - 1, "p20260525": 3, **ends})
