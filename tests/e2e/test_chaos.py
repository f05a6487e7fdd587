"""A short piece of chaos: a plant of four protocols, faults of several kinds, and a verdict that can fail.

The whole is `make chaos` (docs/chaos.md).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest

from tests.chaos.report import Findings
from tests.chaos.run import Plan, run
from tests.chaos.schedule import Fault
from tests.postgres import PASSWORD

pytestmark = [pytest.mark.slow, pytest.mark.needs_broker, pytest.mark.needs_database]

FAULTS = [
    Fault(at_s=2, kind="kill", target="historian", lasts_s=1),
    Fault(at_s=4, kind="slow", target="gw-a>broker", lasts_s=4, detail={"mode": "slow", "delay_s": 0.2}),
    Fault(at_s=6, kind="deploy", target="site", lasts_s=1, detail={"change": "add", "seed": 1}),
    Fault(at_s=10, kind="stop", target="historian", lasts_s=4),
    Fault(at_s=13, kind="cut", target="historian>database", lasts_s=1, detail={"mode": "reset"}),
    Fault(at_s=16, kind="kill", target="broker", lasts_s=0.5),
    Fault(at_s=20, kind="cut", target="gw-b>device", lasts_s=3, detail={"mode": "silence"}),
    Fault(at_s=24, kind="kill", target="database", lasts_s=1),
]

ROWS = """
select x.series_id, x.time from nexus.{table} x join nexus.series s on s.id = x.series_id
where s.path = 'hall/line-a/conveyor/c01' order by x.time
"""


async def take_away(url: str) -> None:
    """Delete the row in the middle of a counting tag."""
    connection = await asyncpg.connect(url, password=PASSWORD)
    try:
        table = await connection.fetchval("select table_name from nexus.retention_class where name = 'process'")
        found = await connection.fetch(ROWS.format(table=table))
        assert len(found) > 2, f"{len(found)} rows: a counting tag has some before and behind the one that goes"
        series, moment = found[len(found) // 2]
        done = await connection.execute(f"delete from nexus.{table} where series_id = $1 and time = $2", series, moment)
        assert done == "DELETE 1"
    finally:
        await connection.close()


async def test_a_short_chaos_is_sound_and_a_row_that_is_taken_away_is_missed(tmp_path: Path) -> None:
    again = Findings()

    async def tamper(url: str, judge: Callable[[Findings], Awaitable[None]]) -> None:
        await take_away(url)
        await judge(again)

    plan = Plan(seed=1, minutes=0.5, site="demo", kinds=("command",), folder=tmp_path)
    told: list[str] = []
    report = await run(plan, tell=told.append, faults=FAULTS, and_then=tamper)
    breaches = {law: facts["examples"] for law, facts in report["laws"].items() if facts["breaches"]}
    assert breaches == {}, "\n".join(told)
    assert len(report["faults"]) == len(FAULTS)
    assert not [fault for fault in report["faults"] if fault["skipped"]]
    assert report["figures"]["values in a row"] > 1000
    assert set(again.counts) == {"lost"}
    assert again.breaches["lost"][0].startswith("hall/line-a/conveyor/c01: 1: ")
