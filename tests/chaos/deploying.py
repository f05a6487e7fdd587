"""Deployments during a run: one change at a time, applied by the command line until it is through."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import orjson

from tests.chaos.parts import ChaosRuntime
from tests.chaos.site import Site

TRIES = 20
REST_S = 5.0
CONSENT = ("--allow", "data-loss=**", "--allow", "series-break", "--allow", "write-enable=**")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command of the CLI gave."""

    code: int
    out: str
    error: str


@dataclass(kw_only=True)
class Deploying:
    """The site as it is meant to be, and how to bring it about.

    Attributes:
        removed_us: True time at which a deployment began that removed a tag, by path.
        attempts: Exit codes of every `nexus apply`.
        unfinished: What could not be applied in all its tries.
    """

    runtime: ChaosRuntime
    site: Site
    removed_us: dict[str, int] = field(default_factory=dict)
    attempts: list[int] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)

    async def change(self, what: str, rng: random.Random) -> str:
        """Change one thing; gives what it was and how often it was tried."""
        note = self.site.change(what, rng)
        if note.startswith("remove "):
            self.removed_us[note.removeprefix("remove ")] = time.time_ns() // 1000
        return f"{note}; {await self.apply()}"

    async def apply(self) -> str:
        """Apply the site as it is; tried again while parts of the runtime are away."""
        (self.runtime.folder / "site.yaml").write_text(self.site.yaml())
        answer = Answer(code=0, out="", error="")
        for number in range(1, TRIES + 1):
            answer = await self.nexus("apply", "site.yaml", "--yes", *CONSENT, "--format", "json", limit_s=180)
            self.attempts.append(answer.code)
            if answer.code == 0:
                return f"applied at attempt {number}"
            await asyncio.sleep(REST_S)
        why = (answer.error or answer.out)[-300:]
        self.unfinished.append(why)
        return f"not applied in {TRIES} attempts: {why}"

    async def nexus(self, *arguments: str, limit_s: float) -> Answer:
        """Run a command of the CLI. One that takes too long is ended and has the code -1."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "nexus_cli",
            *arguments,
            cwd=self.runtime.folder,
            env=self.runtime.environment("cli"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(limit_s):
                out, error = await process.communicate()
        except TimeoutError:
            process.kill()
            out, error = await process.communicate()
            return Answer(code=-1, out=out.decode(errors="replace"), error=error.decode(errors="replace"))
        answer = Answer(
            code=process.returncode or 0, out=out.decode(errors="replace"), error=error.decode(errors="replace")
        )
        if answer.code == 70 or "Traceback" in answer.error:
            self.odd.append(f"nexus {arguments[0]}: {answer.code} {answer.error[-500:]}")
        return answer

    async def plan_is_empty(self) -> tuple[bool, str]:
        """Whether `nexus plan` has nothing to do, and what it says otherwise."""
        answer = await self.nexus("plan", "site.yaml", "--detailed-exitcode", "--format", "json", limit_s=120)
        return answer.code == 0, "" if answer.code == 0 else f"exit code {answer.code}: {_summary(answer)}"


def _summary(answer: Answer) -> str:
    try:
        found: Any = orjson.loads(answer.out)
        return str(found.get("summary") or found.get("message") or found)[:300]
    except ValueError:
        return (answer.error or answer.out)[-300:]
