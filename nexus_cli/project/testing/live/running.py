"""One test against a running site: values into the simulators, moments waited for, assertions judged.

What the chain makes of the same values in memory says what to wait for: a moment is judged once the runtime has come
there, or when the deadline is over, by what the runtime has then. So nothing is judged because it was too early, and a
test that fails in memory fails here without waiting.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from nexus_cli.database.connect import connection
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.drivers.simulation.holding import Answer, Held
from nexus_cli.project.testing.declared import Case, Expectation
from nexus_cli.project.testing.document import Tried
from nexus_cli.project.testing.judging import Judge, Result, agree
from nexus_cli.project.testing.live.rows import newest_times, rows_since
from nexus_cli.project.testing.live.runtime import LiveRuntime
from nexus_cli.project.testing.live.watched import Watched
from nexus_cli.project.testing.names import SiteNames
from nexus_cli.project.testing.plant import Record, Row, Seen

LOOK_S = 0.1


class Unheld(Exception):
    """The simulators don't hold what a test gives."""


@dataclass(slots=True)
class LiveTests:
    """Runs tests one after the other.

    Attributes:
        names, judge: Of the site.
        runtime: The running mock.
        watched: What it publishes.
        offline: The record of a test in memory.
        wait_s: Longest wait for one moment of a test.
    """

    names: SiteNames
    judge: Judge
    runtime: LiveRuntime
    watched: Watched
    offline: Callable[[SiteNames, Case], Record]
    wait_s: float
    _held: Held = field(default_factory=lambda: Held(steady=True))

    async def run(self, case: Case) -> Tried:
        """Run one test; what stops it is its error.

        Raises:
            NexusError: The broker or the database is lost.
        """
        try:
            return Tried(case=case, results=tuple(await self._results(_without_times(case))))
        except NexusError:
            raise
        except Unheld as error:
            return Tried(case=case, error=str(error))
        except Exception as error:  # noqa: BLE001 - the boundary of one test, as offline
            return Tried(case=case, error=f"the test broke off: {type(error).__name__}: {error}")

    async def ready(self, cases: tuple[Case, ...]) -> None:
        """Wait until each tag that a test names has a value, or until nothing more can be expected."""
        paths = {path for case in cases for path in self._paths(case) if self._read(path)}
        await self._until(lambda: all(self.watched.newest(path) is not None for path in paths))

    async def _results(self, case: Case) -> list[Result]:
        predicted = self.offline(self.names, case)
        rowed = sorted({one.subject for one in case.expected if one.kind == "row"})
        before = await self._newest_rows(rowed)
        self.watched.begin()
        found: dict[int, Result] = {}
        begun = time.monotonic()
        moment_before = 0
        for at_ms in _moments(case):
            await asyncio.sleep(max(0.0, begun + (at_ms - moment_before) / 1000 - time.monotonic()))
            self.watched.moment_ms = moment_before = at_ms
            # The next moment counts from here: what was waited for is no time of the test.
            begun = time.monotonic()
            await self._hold({one.path: one.raw for one in case.given if one.at_ms == at_ms and self._read(one.path)})
            await self._until(lambda at=at_ms: self._as_predicted(case, predicted, at))  # type: ignore[misc]
            if at_ms == case.end_ms:
                await self._wait_rows(rowed, before, predicted, case)
            for number, one in enumerate(case.expected):
                if (case.end_ms if one.at_ms is None else one.at_ms) == at_ms:
                    found[number] = self.judge.one(case, one, self.watched.record)
        return [found[number] for number in sorted(found)]

    async def _hold(self, values: Mapping[str, object]) -> None:
        """Let the simulators hold values, and wait until they do. Raises Unheld."""
        if not values:
            return
        held = self._held = Held(number=self._held.number + 1, values={**self._held.values, **values}, steady=True)
        await asyncio.to_thread(self.runtime.files.ask, held)
        answers: list[Answer] = []

        def answered() -> bool:
            answer = self.runtime.files.answered()
            if answer is not None and answer.number == held.number:
                answers.append(answer)
            return bool(answers)

        if not await self._until(answered):
            raise Unheld(f"the simulators did not hold {', '.join(values)} within {self.wait_s:g} s")
        problems = {path: why for path, why in answers[0].problems.items() if path in values}
        if problems:
            raise Unheld("; ".join(f"{path} can't be held: {why}" for path, why in problems.items()))

    def _as_predicted(self, case: Case, predicted: Record, at_ms: int) -> bool:
        """Whether the runtime has what the chain makes of the values, for all that the test names."""
        for path in self._paths(case):
            wanted = [one for one in predicted.samples.get(path, ()) if one.at_ms <= at_ms]
            seen = self.watched.newest(path)
            if wanted and self.names.tags[path].live_publish:
                last = wanted[-1]
                if seen is None or seen.quality != last.quality or seen.reason != last.reason:
                    return False
                if not agree(last.payload.get("value"), seen.payload.get("value")):
                    return False
        for one in case.expected:
            if one.kind == "alarm":
                states = [state for moment, state in predicted.alarms.get(one.subject, ()) if moment <= at_ms]
                if self.watched.alarm(one.subject) != (states[-1] if states else "cleared"):
                    return False
        return True

    def _paths(self, case: Case) -> list[str]:
        """Tags that are given, or expected as sample, topic or row."""
        paths = {one.path: None for one in case.given}
        for one in case.expected:
            if one.kind in ("sample", "topic", "row"):
                paths[one.subject.removeprefix(self.names.prefix)] = None
        return list(paths)

    def _read(self, path: str) -> bool:
        return self.names.device_of(path).enabled and self.names.tags[path].enabled

    async def _newest_rows(self, paths: list[str]) -> dict[str, datetime]:
        """Times of the newest rows, once the historian has what is live: a late row of a test before is none of this one."""
        if not paths:
            return {}
        settings, end = self.runtime.settings, time.monotonic() + self.wait_s
        async with connection(settings, application="nexus-test") as opened:
            while True:
                times = await newest_times(opened, site=settings.site, paths=paths)
                found = await rows_since(opened, site=settings.site, paths=paths, before=times)
                there = all(_has([*found[path][0], *found[path][1]], self.watched.newest(path)) for path in paths)
                if there or time.monotonic() > end:
                    return times
                await asyncio.sleep(LOOK_S)

    async def _wait_rows(self, paths: list[str], before: Mapping[str, datetime], predicted: Record, case: Case) -> None:
        """Put the rows into the record once they are those of the chain, or those that are there at the deadline."""
        if not paths:
            return
        counts = {one.subject: len(one.wanted["rows"]) for one in case.expected if one.kind == "row"}
        settings, end = self.runtime.settings, time.monotonic() + self.wait_s
        async with connection(settings, application="nexus-test") as opened:
            while True:
                found = await rows_since(opened, site=settings.site, paths=paths, before=before)
                whole = {path: _counted(*found[path], len(predicted.rows.get(path, ()))) for path in paths}
                there = all(_same_rows(whole[path], predicted.rows.get(path, [])) for path in paths)
                if there or time.monotonic() > end:
                    break
                await asyncio.sleep(LOOK_S)
        self.watched.record.rows = {path: _counted(*found[path], counts[path]) for path in paths}

    async def _until(self, holds: Callable[[], bool]) -> bool:
        """Wait for a condition, at most `wait_s`; gives whether it came."""
        end = time.monotonic() + self.wait_s
        while not holds():
            left = end - time.monotonic()
            if left <= 0:
                return False
            self.watched.changed.clear()
            try:
                async with asyncio.timeout(min(LOOK_S, left)):
                    await self.watched.changed.wait()
            except TimeoutError:
                continue
        return True


def fault_of(case: Case) -> str:
    """The first given value that a simulator can't hold; "" when there is none."""
    return next((f"'{one.path}' is given `{one.text}`" for one in case.given if one.fault is not None), "")


def _moments(case: Case) -> list[int]:
    """The moments at which something is given or expected, and the end, ms."""
    found = {0, case.end_ms, *(one.at_ms for one in case.given)}
    found.update(one.at_ms for one in case.expected if one.at_ms is not None)
    return sorted(found)


def _without_times(case: Case) -> Case:
    """Without the exact times of rows, which are those of a machine: their order stays."""
    expected: list[Expectation] = []
    for one in case.expected:
        if one.kind == "row":
            rows = [{key: value for key, value in row.items() if key != "at_ms"} for row in one.wanted["rows"]]
            expected.append(replace(one, wanted={**one.wanted, "rows": rows}))
        else:
            expected.append(one)
    return replace(case, expected=tuple(expected))


def _counted(before: list[Row], since: list[Row], count: int) -> list[Row]:
    """The rows since the begin; with the one from before when its value was given again, which makes no row."""
    return [*before, *since] if len(since) == count - 1 else since


def _has(rows: list[Row], seen: Seen | None) -> bool:
    """Whether the newest row is what was seen live last; True where nothing was."""
    return seen is None or (bool(rows) and rows[-1].quality == seen.quality and agree(seen.value, rows[-1].value))


def _same_rows(found: list[Row], predicted: list[Row]) -> bool:
    pairs = zip(found, predicted, strict=False)
    return len(found) == len(predicted) and all(
        one.quality == other.quality and agree(other.value, one.value) for one, other in pairs
    )
