"""`nexus apply` of a 41,000-tag site: the first one and one of ten changes, whole process, and control's share of them.

No gateway runs, so that both deployments end partly; they are recorded all the same. Control has been
connected for longer than `settle_s`, as it is before anybody applies.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

import asyncpg

from nexus_cli.apply.timing import Timing
from nexus_cli.exit_codes import Exit
from tests.benchmarks.bench_plan import CHANGES, change_site, timed
from tests.benchmarks.figures import Figure
from tests.benchmarks.plants import Recorder, recorder

COLUMNS = ("site", "ulid", "path", "type", "unit", "retention", "external", "labels", "lineage", "segments")
TARGET_S = 5.0
SETTLED_S = Timing().settle_s + 1.0


def control_part_s(runtime: Recorder, number: int) -> float:
    """Seconds from the acceptance of a deployment to its end, without the wait for gateways that are not there."""
    (row,) = runtime.query(
        """SELECT extract(epoch FROM d.ended - d.started)
             - extract(epoch FROM max(j.at) FILTER (WHERE j.state = 'failed') - min(j.at)) AS seconds
           FROM nexus.deployment d JOIN nexus.journal j ON j.deployment_id = d.id AND j.step = 'observe'
           WHERE d.number = $1 GROUP BY d.ended, d.started""",
        number,
    )
    return float(row["seconds"])


async def bare_copy_s(url: str, password: str) -> float:
    """COPY of the very rows of `series` into a table with the same columns and indexes, one transaction."""
    conn = await asyncpg.connect(url, password=password)
    try:
        rows = [tuple(row) for row in await conn.fetch(f"SELECT {', '.join(COLUMNS)} FROM nexus.series ORDER BY path")]
        await conn.execute("CREATE TABLE bare (LIKE nexus.series INCLUDING ALL)")
        began = time.perf_counter()
        await conn.copy_records_to_table("bare", columns=COLUMNS, records=rows)
        return time.perf_counter() - began
    finally:
        await conn.close()


def memory_mib(pid: int) -> Mapping[str, float]:
    """Resident memory of a process now (`VmRSS`) and at most so far (`VmHWM`), MiB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    facts = dict(line.split(":", 1) for line in lines)
    return {name: int(facts[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM")}


def run() -> list[Figure]:
    """Apply the site, change it, apply again."""
    with recorder() as (runtime, site):
        pid = runtime.processes["control"].pid
        until = time.monotonic() + SETTLED_S
        planned_s, _ = timed(runtime, "plan", "site.yaml")
        time.sleep(max(0.0, until - time.monotonic()))
        before = memory_mib(pid)["VmRSS"]
        first_s, _ = timed(runtime, "apply", "site.yaml", "--yes", expect=Exit.PARTLY)
        after = memory_mib(pid)
        copy_s = asyncio.run(bare_copy_s(runtime.database.url, runtime.database.password))
        change_site(site)
        plan_s, _ = timed(runtime, "plan", "site.yaml")
        ten_s, _ = timed(runtime, "apply", "site.yaml", "--yes", expect=Exit.PARTLY)
        parts = [control_part_s(runtime, number) for number in (1, 2)]
    wait = f"with {Timing().absent_s:g} s of waiting for a first report of a gateway"
    return [
        Figure(
            name="first apply of 41,000 tags, no gateway",
            value=first_s,
            unit="s",
            limit=planned_s,
            limit_name="nexus plan of it",
            at_most=TARGET_S,
            note=wait,
        ),
        Figure(
            name="  of it control: accepted to ended, without that wait",
            value=parts[0],
            unit="s",
            limit=copy_s,
            limit_name="bare COPY of its series",
        ),
        Figure(
            name=f"apply of {CHANGES} changes to it, no gateway",
            value=ten_s,
            unit="s",
            limit=plan_s,
            limit_name="nexus plan of them",
            note=wait,
        ),
        Figure(name="  of it control: accepted to ended, without that wait", value=parts[1], unit="s"),
        Figure(
            name="control's memory after a first apply of 41,000 tags",
            value=after["VmRSS"],
            unit="MiB",
            limit=before,
            limit_name="before",
            note=f"at most {after['VmHWM']:.0f} MiB meanwhile",
        ),
    ]


if __name__ == "__main__":
    for figure in run():
        print(figure.line())
