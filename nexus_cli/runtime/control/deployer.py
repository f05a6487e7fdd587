"""Executes accepted deployments one at a time, and resumes those that a previous control left running."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from nexus_cli.apply.engine import Engine
from nexus_cli.database import deployments as db
from nexus_cli.database.connect import Pool, is_lost, plain_errors
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.groups import Group
from nexus_cli.runtime.lifecycle import first_failure
from nexus_cli.runtime.logging import event
from nexus_cli.settings import Settings

_log = logging.getLogger("nexus.apply")


class Deployer:
    """The loop that runs the engine.

    Attributes:
        running: Number of the running deployment; 0 for none.
        problem: Why no deployment can run at the moment.
        quiet: Held while a deployment runs.
        busy: True from the acceptance of a deployment to its end, including the waits in between.
        steps: Lines of journals written so far.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        pool: Pool,
        engine: Engine,
        wanted: asyncio.Event,
        on_recorded: Callable[[], Awaitable[None]],
        retry_s: float,
    ) -> None:
        """Join the parts; `wanted` is set when a deployment was accepted, `on_recorded` called after each one."""
        self._settings, self._pool, self._engine = settings, pool, engine
        self._wanted, self._on_recorded, self._retry_s = wanted, on_recorded, retry_s
        self.running = self.steps = 0
        self.problem = ""
        self.quiet = asyncio.Lock()
        self.busy = False

    async def run(self, stop: asyncio.Event) -> None:
        """Work until stopped; a deployment that the stop interrupts is resumed at the next start."""
        self._wanted.set()
        async with Group() as group:
            work = group.create_task(self._work(stop), name="deployments")
            await stop.wait()
            work.cancel()

    async def _work(self, stop: asyncio.Event) -> None:
        # The stop is checked as well: a cancellation that coincides with a failure inside a task group is lost (Python
        # 3.11).
        while not stop.is_set():
            await self._wanted.wait()
            self._wanted.clear()
            self.busy = True
            try:
                with plain_errors(self._settings):
                    await self._carry_out_all()
                self.problem = ""
            except NexusError as error:
                if not self.problem:
                    event(_log, error.message, level=logging.WARNING, cause=error.cause)
                self.problem = error.message
                self._wanted.set()
                await asyncio.sleep(self._retry_s)
            finally:
                self.running, self.busy = 0, self._wanted.is_set()

    async def _carry_out_all(self) -> None:
        while True:
            async with self._pool.acquire() as conn:
                waiting = await db.running_deployments(conn, self._settings.site)
            if not waiting:
                return
            for deployment in waiting:
                self.running = deployment.number
                event(_log, "deployment begins", number=deployment.number, who=deployment.who)
                async with self.quiet:
                    outcome = await self._carry_out(deployment)
                event(_log, "deployment ended", number=deployment.number, outcome=outcome)
                with contextlib.suppress(NexusError):  # the broker is unreachable: the reconnect subscribes
                    await self._on_recorded()

    async def _carry_out(self, deployment: db.Deployment) -> str:
        """Execute one deployment and contain its failure: an unexpected error ends it, but not control or later
        deployments."""
        try:
            with plain_errors(self._settings):
                try:
                    return await self._engine.carry_out(deployment)
                except BaseExceptionGroup as failed:
                    raise (_root(failed) or failed) from None
        except NexusError:
            raise
        except Exception as error:  # noqa: BLE001 - around one deployment
            # The second boundary of the runtime (docs/decisions/0013): running it again at every start would fail
            # in the same way, and nothing else could be applied any more.
            _log.exception("deployment %s failed by a bug in nexus", deployment.number)
            return await self._engine.give_up(deployment, why=f"{type(error).__name__}: {error}")


def _root(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """The only error of a group; if several errors all mean an unreachable database, the first."""
    only = first_failure(group)
    if only is None:
        lost, rest = group.split(is_lost)
        only = first_failure(group.derive(lost.exceptions[:1])) if lost is not None and rest is None else None
    return only
