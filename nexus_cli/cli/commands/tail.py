"""`nexus tail`: follow topics live."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time

import click

from nexus_cli.cli.completing import tag_paths
from nexus_cli.cli.console import answer, colour_wanted, note
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import reads_runtime
from nexus_cli.exit_codes import Exit

QUIET_S = 3.0
"""Silence after which a person reads that nothing matches so far."""
STILL_S = 10.0
"""After so long without another message who waits for a number of them reads what he waits for."""


@click.command("tail", short_help="Follow topics live.", epilog=help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE))
@click.argument("filters", nargs=-1, metavar="[FILTER]...", shell_complete=tag_paths)
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object per line.")
@click.option("--count", default=0, type=click.IntRange(min=0), help="Stop after this number of messages.")
@click.option("--for", "duration", default=None, metavar="TIME", help="Stop after this time, such as 10s or 5m.")
@click.option(
    "--where", "conditions", multiple=True, metavar="CONDITION", help="Condition, e.g. quality!=GOOD, 'value>=10'."
)
@click.option("--no-retained", is_flag=True, help="Skip retained values; show new messages only.")
@reads_runtime("NEXUS_BROKER_URL")
def command(
    filters: tuple[str, ...],
    as_json: bool,
    count: int,
    duration: str | None,
    conditions: tuple[str, ...],
    no_retained: bool,
) -> int:
    """Follow tag topics with value, unit, quality and age. Without filters: the whole site.

    A filter is a path glob below the site (`packaging/**`, `*/line-1/filler/temp*`), or a whole MQTT filter. An area,
    a line or a device includes everything below it.
    When messages arrive faster than they can be shown, older values are dropped; stderr shows how far behind it is.

    \b
    Example:
      nexus tail 'packaging/**' --where quality!=GOOD
      nexus tail --json --count 100 > sample.jsonl
    """
    from nexus_cli.cli.showing import Showing
    from nexus_cli.cli.views.tail import BehindView, TailView, nothing_text
    from nexus_cli.diagnostics.groups import tasks
    from nexus_cli.project.live import Backlog, Live, parse_where, tail
    from nexus_cli.project.near import near_filters
    from nexus_cli.settings import load_settings

    wheres = [parse_where(text) for text in conditions]
    limit_s = _seconds(duration)
    view, behind, backlog = TailView(colour=colour_wanted(sys.stdout)), BehindView(), Backlog()
    seen = passed = 0

    def pass_over() -> None:
        nonlocal passed
        passed += 1

    def show(lives: list[Live]) -> None:
        answer("\n".join(_json(one.to_json()) if as_json else view.line(one) for one in lives))
        line = behind.text(lives[-1], waiting=backlog.waiting, dropped=backlog.dropped, now_s=time.time())
        if line:
            note(line)

    async def explain_silence() -> None:
        await asyncio.sleep(QUIET_S)
        near = "" if seen or passed else await near_filters(filters, load_settings())
        if not seen:
            note(nothing_text(filters, passed, near=near))

    async def follow() -> None:
        nonlocal seen
        showing = Showing(show)
        still: asyncio.TimerHandle | None = None

        def wait_for_more() -> None:
            nonlocal still
            if still is not None:
                still.cancel()
            if count:
                text = f"{seen} of {count} so far; an unchanged value is not published again (--for 30s ends it)"
                still = asyncio.get_running_loop().call_later(STILL_S, lambda: note(text))

        following = tail(filters, conditions=wheres, passed_over=pass_over, backlog=backlog)
        try:
            async with asyncio.timeout(limit_s), tasks("tail") as group, contextlib.aclosing(following) as messages:
                group.create_task(showing.run(), name="show")
                quiet = group.create_task(explain_silence(), name="explain silence")
                async for live in messages:
                    if no_retained and live.retained:
                        continue
                    await showing.put(live)
                    seen += 1
                    if count and seen >= count:
                        break
                    wait_for_more()
                showing.end()
                quiet.cancel()
        finally:
            if still is not None:
                still.cancel()
            if line := behind.last(dropped=backlog.dropped):
                note(line)

    try:
        asyncio.run(follow())
    except TimeoutError:
        if not seen and limit_s is not None and limit_s < QUIET_S:
            note(nothing_text(filters, passed))
    return Exit.OK


def _seconds(duration: str | None) -> float | None:
    if duration is None:
        return None
    from nexus_cli.model.site import parse_duration

    try:
        return parse_duration(duration) / 1000
    except ValueError as error:
        raise click.BadParameter(f"{error}; write 500ms, 10s or 5m", param_hint="--for") from None


def _json(data: dict[str, object]) -> str:
    import orjson

    return orjson.dumps(data, default=str).decode()
