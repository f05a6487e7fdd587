"""`nexus test` with a runtime: against simulators (`--live`), or recording a device of the one that runs (`--record`)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import click

from nexus_cli.cli.changing import complain
from nexus_cli.cli.console import answer, note
from nexus_cli.diagnostics.wording import counted
from nexus_cli.exit_codes import Exit
from nexus_cli.model.spelling import SpellingError, parse_duration
from nexus_cli.project.testing.document import Report
from nexus_cli.project.testing.file_text import LONGEST_MS

T = TypeVar("T")


def live_report(
    path: str | None,
    *,
    only: Sequence[str],
    env: str | None,
    variables: Mapping[str, str],
    coverage_min: float | None,
    wait_s: float,
) -> Report | None:
    """Run the tests against simulators; None when a signal ended it. Everything is stopped either way."""
    from nexus_cli.project.test_live import run_live  # noqa: PLC0415 - a whole runtime, which tests in memory don't need

    def progress(name: str, state: str, detail: str) -> None:
        if name == "test":
            note(f"  {detail} …")
        elif state == "running":
            note(f"  {name} runs")
        elif state in ("slow", "backoff"):
            note(f"  waiting for {name}" + (f": {detail}" if detail else ""))
        elif state == "stopping":
            note(f"  stopping the {name}")

    return _interruptible(
        lambda: run_live(
            path,
            only=only,
            env=env,
            variables=variables,
            coverage_min=coverage_min,
            wait_s=wait_s,
            progress=progress,
        )
    )


def record_device(
    path: str | None,
    *,
    env: str | None,
    variables: Mapping[str, str],
    device: str,
    for_ms: int,
    out: Path | None,
) -> int:
    """Make a test file from a device of the running runtime; gives the exit code."""
    from nexus_cli.project.test_record import record_test  # noqa: PLC0415 - it loads MQTT

    found = _interruptible(
        lambda: record_test(path, device, for_ms=for_ms, out=out, env=env, variables=variables, begun=note)
    )
    if found is None:
        return Exit.INTERRUPTED
    if isinstance(found, tuple):
        complain(found, ())
        return Exit.FINDINGS
    held = f"{counted(found.values, 'value')} of {counted(found.tags, 'tag')}"
    answer(f"wrote {found.file.as_posix()}: {held}, {counted(found.assertions, 'assertion')}")
    for line in found.left_out:
        answer(f"  left out: {line}")
    if found.found:
        answer(f"  run it: nexus test{f' {path}' if path else ''} --only '{found.file.stem}/*'")
    else:
        answer(
            "  nexus test does not look there: move it into tests/ beside the site file, with a name that ends in .yaml"
        )
    return Exit.OK


def percent(_context: click.Context, _parameter: click.Parameter, text: str | None) -> float | None:
    """`80%` or `80`, 0 to 100."""
    if text is None:
        return None
    if not re.fullmatch(r"\d+(\.\d+)?\s*%?", text) or float(text.rstrip("% ")) > 100:
        raise click.BadParameter(f"'{text}' is not a share; write 80%")
    return float(text.rstrip("% "))


def duration(_context: click.Context, _parameter: click.Parameter, text: str) -> int:
    """`60s` in ms, at least one second."""
    try:
        found = parse_duration(text)
    except SpellingError as error:
        raise click.BadParameter(f"{error}; {error.hint}") from None
    if not 1000 <= found <= LONGEST_MS:
        raise click.BadParameter(f"'{text}' is not 1s to 24h")
    return found


def _interruptible(work: Callable[[], Awaitable[T]]) -> T | None:
    """The result; None when SIGINT, SIGTERM or SIGHUP ended it, once it has stopped what it started."""
    return asyncio.run(_until_signal(work))


async def _until_signal(work: Callable[[], Awaitable[T]]) -> T | None:
    from nexus_cli.runtime.lifecycle import on_signals  # noqa: PLC0415 - tests in memory need no event loop

    me, stopped = asyncio.current_task(), asyncio.Event()
    assert me is not None

    def end() -> None:
        if not stopped.is_set():
            stopped.set()
            me.cancel()

    with on_signals(end):
        try:
            return await work()
        except asyncio.CancelledError:
            if not stopped.is_set():
                raise
            me.uncancel()
            note("interrupted; everything is stopped")
            return None
