"""`nexus tail`: follow topics live."""

from __future__ import annotations

import asyncio
import contextlib
import sys

import click

from nexus_cli.cli.console import answer, colour_wanted, note
from nexus_cli.cli.exit_codes import Exit, help_text

QUIET_S = 3.0
"""Silence after which a person is told that nothing matches so far."""


@click.command("tail", short_help="Follow topics live.", epilog=help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE))
@click.argument("filters", nargs=-1, metavar="[FILTER]...")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--count", default=0, type=click.IntRange(min=0), help="End after so many messages.")
@click.option("--for", "duration", default=None, metavar="TIME", help="End after this time, such as 10s or 5m.")
@click.option("--where", "conditions", multiple=True, metavar="CONDITION", help="E.g. quality!=GOOD, 'value>=10'.")
@click.option("--no-retained", is_flag=True, help="Only what is published from now on.")
def command(
    filters: tuple[str, ...],
    as_json: bool,
    count: int,
    duration: str | None,
    conditions: tuple[str, ...],
    no_retained: bool,
) -> int:
    """Follow tag topics with value, unit, quality and age; all of the site unless filters say otherwise.

    A filter is a path glob below the site (`packaging/**`, `*/line-1/filler/temp*`), or a whole MQTT filter.

    \b
    Example:
      nexus tail 'packaging/**' --where quality!=GOOD
      nexus tail --json --count 100 > sample.jsonl
    """
    from nexus_cli.cli.views.tail import TailView, nothing_text
    from nexus_cli.project.live import parse_where, tail

    wheres = [parse_where(text) for text in conditions]
    limit_s = _seconds(duration)
    view = TailView(colour=colour_wanted(sys.stdout))

    seen = passed = 0

    def pass_over() -> None:
        nonlocal passed
        passed += 1

    async def follow() -> None:
        nonlocal seen
        loop = asyncio.get_running_loop()
        quiet = loop.call_later(QUIET_S, lambda: None if seen else note(nothing_text(filters, passed)))
        try:
            async with (
                asyncio.timeout(limit_s),
                contextlib.aclosing(tail(filters, conditions=wheres, passed_over=pass_over)) as messages,
            ):
                async for live in messages:
                    if no_retained and live.retained:
                        continue
                    answer(_json(live.to_json()) if as_json else view.line(live))
                    seen += 1
                    if count and seen >= count:
                        return
        finally:
            quiet.cancel()

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
