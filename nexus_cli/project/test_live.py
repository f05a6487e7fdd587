"""`nexus test --live`: the assertions of a site against its simulators and a real runtime in a temporary folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from nexus_cli.diagnostics import Diagnostic
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.groups import Cut, tasks
from nexus_cli.project.test import Prepared, offline_record, prepare
from nexus_cli.project.testing.declared import Case
from nexus_cli.project.testing.document import Report, Tried
from nexus_cli.project.testing.live.running import LiveTests, fault_of
from nexus_cli.project.testing.live.runtime import LiveRuntime, Progress, live_runtime
from nexus_cli.project.testing.live.watched import Watched
from nexus_cli.project.text import locate
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.identity import client_id

WAIT_S = 30.0
"""Longest wait for one moment of a test, in seconds: polls, broker, alarms and historian included."""


async def run_live(
    site: Path | str | None,
    *,
    only: Sequence[str] = (),
    env: str | None = None,
    variables: Mapping[str, str] | None = None,
    coverage_min: float | None = None,
    wait_s: float = WAIT_S,
    progress: Progress = lambda *_: None,
) -> Report:
    """Run the tests of a site against simulators. Everything that is started is stopped before this returns or raises.

    Args:
        site, only, env, variables, coverage_min: As of `run_tests`.
        wait_s: Longest wait for one moment of a test.
        progress: Called with what is started, and with every test that begins.

    Raises:
        NexusError: The runtime can't be started, or a part of it is lost.
    """
    prepared, _ = prepare(site, only=only, env=env, variables=variables, coverage_min=coverage_min)
    if isinstance(prepared, Report):
        return prepared
    left_out = {case.id: why for case in prepared.chosen if (why := fault_of(case))}
    cases = tuple(case for case in prepared.chosen if case.id not in left_out)
    findings = [_not_live(case, left_out[case.id]) for case in prepared.chosen if case.id in left_out]
    if left_out and not cases:
        findings.append(finding("NX1107", "no test is left for simulators", hint="run it without --live"))
    tried: dict[str, Tried] = {}
    if cases:
        located = locate(site).unwrap()
        async with live_runtime(located, env=env, variables=variables, progress=progress) as runtime:
            tried = await _run(prepared, cases, runtime, wait_s, progress)
    results = [
        tried[case.id] if case.id in tried else Tried(case=case, skipped=left_out[case.id]) for case in prepared.chosen
    ]
    return prepared.report(results, findings, live=True)


def _not_live(case: Case, why: str) -> Diagnostic:
    return finding(
        "NX1109",
        f"the test '{case.name}' is not run live: {why}",
        place=case.place,
        hint="simulators hold values; without --live the test runs",
    )


async def _run(
    prepared: Prepared, cases: tuple[Case, ...], runtime: LiveRuntime, wait_s: float, progress: Callable[..., None]
) -> dict[str, Tried]:
    names, settings = prepared.names, runtime.settings
    watched, cut = Watched(names), Cut()
    found: dict[str, Tried] = {}
    client = BrokerClient(settings=settings, client_id=client_id(settings, "test"))
    tests = LiveTests(names, prepared.judge, runtime, watched, offline_record, wait_s)
    async with client.session() as messages, tasks("nexus test --live") as group:
        await client.subscribe([(names.topics.tag("#"), 1), (names.topics.alert("+"), 1)])

        async def follow() -> None:
            async with cut:
                async for message in messages:
                    watched.take(message.topic, message.payload)

        group.create_task(follow(), name="follow the site")
        await tests.ready(cases)
        for case in cases:
            progress("test", "begun", case.id)
            found[case.id] = await tests.run(case)
        cut.end()
    return found
