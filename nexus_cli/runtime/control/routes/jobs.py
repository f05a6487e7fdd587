"""Routes of jobs, and of the historian's dead letters. Who may apply the whole site may retry and discard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

from fastapi import Depends, FastAPI, Query, Response

from nexus_cli.database import jobs, letter_retries, loss
from nexus_cli.database.connect import Pool, plain_errors
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.api.bodies import answer, documented, reader
from nexus_cli.runtime.api.calling import CALLING
from nexus_cli.runtime.control.service import Service
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.identity.held import WHOLE
from nexus_cli.wire.jobs import JobChoice, Jobs, JobsChanged, LetterChoice, LettersChanged

LOOK_S = 0.2
LOOKS = 25
"""How often control looks whether the historian has done what was asked: 5 s together."""
Word = Annotated[str, Query(max_length=100, pattern=r"^[^\x00]*$")]


def add_job_routes(app: FastAPI, *, base: str, service: Service, leader: Callable[[], Pool]) -> None:
    """Add them.

    Args:
        app: The API.
        base: Of the site.
        service: For lists.
        leader: Gives the pool of a control that leads; raises NexusError NX6408 in a standby.
    """
    chosen_jobs, chosen_letters = Depends(reader(JobChoice)), Depends(reader(LetterChoice))
    site = service.site

    def require(caller: Caller, *, named: bool) -> str:
        if not (caller.held.admin or WHOLE in caller.held.apply):
            raise NexusError(
                f"{caller.principal} may not retry or discard.",
                code="NX6403",
                hint="a role with `apply: ['**']`: jobs belong to the whole site",
            )
        if not named:
            raise NexusError("Which ones?", code="NX6440", hint="name numbers, or `--all` (`all` in the API)")
        return caller.principal

    @app.get(base + "/jobs")
    async def listing(
        state: Literal["", "queued", "running", "failed"] = "",
        kind: Word = "",
        limit: Annotated[int, Query(ge=1, le=jobs.MOST_LISTED)] = 50,
        before: Annotated[int | None, Query(ge=0, lt=2**63)] = None,
    ) -> Response:
        """Jobs that wait, run or failed, the newest first."""
        async with service.connection() as conn:
            found = await jobs.listing(conn, site, state=state, kind=kind, limit=limit, before=before)
        return answer(Jobs(jobs=found))

    @app.get(base + "/jobs/stats")
    async def stats() -> Response:
        """By kind: what waits, runs and failed, and how long it takes."""
        async with service.connection() as conn:
            return answer(await jobs.statistics(conn, site))

    @app.post(base + "/jobs/retry", openapi_extra=documented(JobChoice))
    async def retry(caller: Caller = CALLING, body: JobChoice = chosen_jobs) -> Response:
        """Let failed jobs begin again."""
        who = require(caller, named=bool(body.ids) or body.all)
        with plain_errors(service.settings):
            async with leader().acquire() as conn:
                done = await jobs.retry(conn, site, ids=body.ids, kind=body.kind, all_=body.all, who=who)
        return answer(JobsChanged(ids=done))

    @app.post(base + "/jobs/discard", openapi_extra=documented(JobChoice))
    async def discard(caller: Caller = CALLING, body: JobChoice = chosen_jobs) -> Response:
        """Remove failed jobs, and by number also those that wait."""
        who = require(caller, named=bool(body.ids) or body.all)
        with plain_errors(service.settings):
            async with leader().acquire() as conn:
                done = await jobs.discard(conn, site, ids=body.ids, kind=body.kind, all_=body.all, who=who)
        return answer(JobsChanged(ids=done))

    @app.post(base + "/dead-letters/retry", openapi_extra=documented(LetterChoice))
    async def retry_letters(caller: Caller = CALLING, body: LetterChoice = chosen_letters) -> Response:
        """Give dead letters back to the historian, and wait some seconds for what becomes of them."""
        who = require(caller, named=bool(body.ids or body.topic or body.reason) or body.all)
        with plain_errors(service.settings):
            async with leader().acquire() as conn:
                asked = await letter_retries.ask_again(
                    conn, site, ids=body.ids, topic=body.topic, reason=body.reason, all_=body.all, who=who
                )
            return answer(await _outcome(leader, site, asked))

    @app.post(base + "/dead-letters/discard", openapi_extra=documented(LetterChoice))
    async def discard_letters(caller: Caller = CALLING, body: LetterChoice = chosen_letters) -> Response:
        """Remove dead letters of the historian; each topic leaves a line in the audit trail."""
        who = require(caller, named=bool(body.ids or body.topic or body.reason) or body.all)
        with plain_errors(service.settings):
            async with leader().acquire() as conn:
                gone = await loss.discard_dead_letters(
                    conn, site, ids=body.ids, topic=body.topic, reason=body.reason, all_=body.all, who=who
                )
        return answer(LettersChanged(ids=gone))


async def _outcome(leader: Callable[[], Pool], site: str, asked: Sequence[int]) -> LettersChanged:
    """What became of letters that were given back; what the historian does later is `waiting`."""
    for look in range(LOOKS if asked else 1):
        if look:
            await asyncio.sleep(LOOK_S)
        async with leader().acquire() as conn:
            found = await letter_retries.retry_state(conn, site, ids=asked)
        if not found.waiting:
            break
    stay = {*found.waiting, *found.kept}
    kept = {str(number): why for number, why in found.kept.items()}
    return LettersChanged(ids=[each for each in asked if each not in stay], kept=kept, waiting=found.waiting)
