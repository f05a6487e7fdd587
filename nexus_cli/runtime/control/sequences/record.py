"""The recorded sequences, their runs, and messages: readable in each control, whether it leads or not."""

from __future__ import annotations

import asyncio

import msgspec

from nexus_cli.database import deployments as db
from nexus_cli.database import sequences as rows
from nexus_cli.database.connect import Connection, Pool, plain_errors
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.model.procedure_config import SequenceConfig
from nexus_cli.model.snapshot import Attributes
from nexus_cli.plan.running import agreement
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.control.sequences.admission import device_of, meaning_of, readable
from nexus_cli.runtime.control.sequences.live_values import paths_in
from nexus_cli.settings import Settings
from nexus_cli.wire.control_sequences import (
    DeclaredSequence,
    Parameter,
    RunProgress,
    SequenceBrief,
    Sequences,
)

LONGEST_WAIT_S = 25.0


class Runs:
    """Reads sequences and their runs from the database."""

    def __init__(self, *, settings: Settings, pool: Pool, clock: Clock) -> None:
        """Read from a pool."""
        self._settings, self._pool, self._clock, self._site = settings, pool, clock, settings.site
        self._stepped = asyncio.Event()
        self._stopping = False

    def stop(self) -> None:
        """End all waiting requests: control is stopping."""
        self._stopping = True
        self.stepped()

    def stepped(self) -> None:
        """Wake the waiting requests after a step of a run."""
        self._stepped.set()
        self._stepped = asyncio.Event()

    async def status(self, run_id: str, *, after: int = 0, wait_s: float = 0.0) -> RunProgress:
        """One run and its journal beyond a line; waits for news at most so long. Raises NexusError NX6830."""
        deadline_s = self._clock.monotonic_s() + min(max(wait_s, 0.0), LONGEST_WAIT_S)
        while True:
            stepped = self._stepped
            with plain_errors(self._settings):
                async with self._pool.acquire() as conn:
                    found = await rows.find_run(conn, self._site, run_id)
                    lines = await rows.journal(conn, self._site, run_id, after=after)
            if found is None:
                raise NexusError(f"There is no run '{run_id[:100]}'.", code="NX6830")
            left_s = deadline_s - self._clock.monotonic_s()
            if lines or found.state != "running" or left_s <= 0 or self._stopping:
                return RunProgress(**msgspec.structs.asdict(found), journal=lines)
            try:
                async with asyncio.timeout(min(left_s, 1.0)):
                    await stepped.wait()
            except TimeoutError:
                continue

    async def listing(self) -> Sequences:
        """Every declared sequence, and the newest runs."""
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                newest = await rows.runs(conn, self._site)
                known = readable(await db.attributes_of_kind(conn, self._site, "sequence"))
        return Sequences(
            sequences=[_declared(name, one) for name, one in sorted(known.items())],
            runs=newest,
        )

    async def name_of(self, run_id: str) -> str:
        """The sequence of a run. Raises NexusError NX6830."""
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                found = await rows.find_run(conn, self._site, run_id)
        if found is None:
            raise NexusError(f"There is no run '{run_id[:100]}'.", code="NX6830")
        return found.name

    async def brief(self, name: str) -> SequenceBrief:
        """A sequence with what it uses and nothing else of the site: enough to look at every step before it runs.

        Raises NexusError NX6830.
        """
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                sequence = await one_sequence(conn, self._site, name)
                config = msgspec.convert(sequence, SequenceConfig)
                paths = paths_in(config.conditions()) | config.written()
                found = await db.attributes(conn, self._site, sorted({device_of(path) for path in paths}))
                declared = await db.attributes(conn, self._site, [f"message.{one}" for one in config.published()])
        messages = {address.removeprefix("message."): each for address, each in declared.items()}
        meanings = {path: meaning_of(found, path) for path in paths}
        return SequenceBrief(
            sequence=sequence,
            tags={
                path: found[device_of(path)]["tags"][path.rpartition("/")[2]]
                for path, known in meanings.items()
                if known is not None
            },
            gateways={
                address.removeprefix("device."): one["gateway"] for address, one in found.items() if one.get("gateway")
            },
            messages=messages,
            agreed=agreement(sequence, meanings, messages),
        )

    async def message(self, name: str) -> Attributes:
        """A declared message. Raises NexusError NX6840."""
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                return await one_message(conn, self._site, name)


def _declared(name: str, config: SequenceConfig) -> DeclaredSequence:
    return DeclaredSequence(
        name=name,
        steps=len(config.steps),
        writes=sorted(config.written()),
        parameters={
            key: msgspec.convert(msgspec.to_builtins(one), Parameter) for key, one in config.parameters.items()
        },
        description=config.description,
    )


async def one_sequence(conn: Connection, site: str, name: str) -> Attributes:
    """The attributes of a recorded sequence. Raises NexusError NX6830, with the nearest there is."""
    return await _one(conn, site, "sequence", name, code="NX6830")


async def one_message(conn: Connection, site: str, name: str) -> Attributes:
    """The attributes of a recorded message. Raises NexusError NX6840, with the nearest there is."""
    return await _one(conn, site, "message", name, code="NX6840")


async def _one(conn: Connection, site: str, kind: str, name: str, *, code: str) -> Attributes:
    found = (await db.attributes(conn, site, [f"{kind}.{name}"])).get(f"{kind}.{name}")
    if found is None:
        known = await db.attributes_of_kind(conn, site, kind)
        hint = did_you_mean(name, known) if known else f"declare it under `{kind}s:` and apply"
        raise NexusError(f"There is no {kind} '{name[:100]}'.", code=code, hint=hint)
    return found
