"""The end of a run: everything works again, the devices no longer change, the roles end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable

import asyncpg
import httpx

from tests.chaos.conduct import strays
from tests.chaos.deploying import Deploying
from tests.chaos.devices import HOLD
from tests.chaos.observer import newest, process_ends, read_live
from tests.chaos.parts import ChaosRuntime
from tests.chaos.report import Findings

READY_S = 180.0
STILL_S = 3.0
Tell = Callable[[str], None]


async def settled(runtime: ChaosRuntime, findings: Findings, tell: Tell, *, what: str) -> None:
    """Wait until every role is ready and every counting tag has a fresh row; what is not by then is stuck."""
    until_s = time.monotonic() + READY_S
    problems, first = ["nothing was asked yet"], dict[str, int | None]()
    while problems and time.monotonic() < until_s:
        problems = await _problems(runtime, first)
        await asyncio.sleep(1.0)
    for text in problems:
        findings.breach("stuck", f"after {what}: {text}")
    tell(f"settled after {what}" if not problems else f"NOT settled after {what}: {problems[:3]}")


async def _problems(runtime: ChaosRuntime, first: dict[str, int | None]) -> list[str]:
    """What does not work; `first` keeps the values that were there when it was asked for the first time."""
    found = []
    async with httpx.AsyncClient(timeout=5) as client:
        for role in runtime.roles:
            try:
                answer = await client.get(f"http://127.0.0.1:{runtime.ports[role]}/health/ready")
                if answer.status_code != 200:
                    found.append(f"{role} is not ready: {answer.text[:200]}")
            except httpx.HTTPError as error:
                found.append(f"{role} does not answer: {error!r}")
    try:
        rows = await newest(runtime.database)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        return [*found, f"the database does not answer: {error!r}"]
    counting = {path: number for path, (_, number) in rows.items() if not path.endswith("/command")}
    for path, number in counting.items():
        first.setdefault(path, number)
    old = [path for path, number in counting.items() if number == first[path]]
    bad = [path for path, number in counting.items() if number is None]
    found += [f"{len(old)} tags without a new row, {old[0]} first"] if old else []
    found += [f"{len(bad)} tags are BAD, {bad[0]} first"] if bad else []
    return found or ([] if counting else ["no rows"])


async def stand_still(runtime: ChaosRuntime, deploying: Deploying, findings: Findings, tell: Tell) -> None:
    """Hold the devices' values, and compare the live view with the last rows."""
    empty, why = await deploying.plan_is_empty()
    if not empty:
        findings.breach("deployments", f"the last plan is not empty: {why}")
    (runtime.field_folder / HOLD).touch()
    tell("the devices stand still")
    rising = {device.path for device in deploying.site.of_kind("s7", "ads")}
    last: dict[str, int | None] = {}
    for _ in range(20):
        await asyncio.sleep(STILL_S)
        rows = await newest(runtime.database)
        now = {path: number for path, (_, number) in rows.items() if path.rpartition("/")[0] not in rising}
        if now == last:
            break
        last = now
    live = await read_live(runtime)
    live = {path: number for path, number in live.items() if path.rpartition("/")[0] not in rising}
    for text in strays(live, last):
        findings.breach("stray", text)


def end_roles(runtime: ChaosRuntime, findings: Findings) -> None:
    """End the roles as a service manager does, gateways first, and note who did not end cleanly."""
    codes: dict[str, int | None] = {}
    for role in reversed(runtime.roles):
        process = runtime.processes[role]
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        with contextlib.suppress(Exception):
            process.wait(30)
        codes[role] = process.poll()
    for text in process_ends(codes):
        findings.breach("ends", text)
    for role in runtime.roles:
        lines = [line for line in runtime.log(role).splitlines() if "Traceback" in line or "NX9000" in line]
        if lines:
            findings.breach("errors", f"{role}: {len(lines)} tracebacks in its log", number=len(lines))
