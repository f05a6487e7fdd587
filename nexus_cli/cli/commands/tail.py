"""`nexus tail`: follow topics live."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click
import orjson

from nexus_cli.cli.completing import tag_paths
from nexus_cli.cli.console import answer, colour_wanted, note
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import WholeNumber, reads_runtime
from nexus_cli.cli.recording import parse_size, run_recording
from nexus_cli.cli.showing import Showing
from nexus_cli.cli.views.tail import BehindView, TailView, nothing_text, waiting_text
from nexus_cli.diagnostics.groups import tasks
from nexus_cli.exit_codes import Exit
from nexus_cli.model.site import parse_duration
from nexus_cli.project.live import Backlog, Where, parse_where, tail
from nexus_cli.project.live_value import Live
from nexus_cli.project.near import near_filters
from nexus_cli.project.record import RecordRequest
from nexus_cli.setting_values import LIVE
from nexus_cli.settings import load_settings

QUIET_S = 3.0
"""Silence after which a note says that nothing matches so far, in seconds."""
STILL_S = 10.0
"""Silence after which a note says how many of the requested messages have arrived, in seconds."""


@click.command("tail", short_help="Follow topics live.", epilog=help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE))
@click.argument("filters", nargs=-1, metavar="[FILTER]...", shell_complete=tag_paths)
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object per line.")
@click.option("--count", default=0, type=WholeNumber(min=0), help="Stop after this number of messages.")
@click.option("--for", "duration", default=None, metavar="TIME", help="Stop after this time, such as 10s or 5m.")
@click.option(
    "--where", "conditions", multiple=True, metavar="CONDITION", help="Condition, e.g. quality!=GOOD, 'value>=10'."
)
@click.option("--no-retained", is_flag=True, help="Skip retained values; show new messages only.")
@click.option(
    "--record", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the messages into a new file."
)
@click.option("--max-size", default=None, metavar="SIZE", help="End the recording at this size, such as 500MB.")
@click.option("--compress", is_flag=True, help="Compress the recording (zlib).")
@click.option("--qos", type=WholeNumber(0, 1), default=0, show_default=True, help="Record with this QoS.")
@reads_runtime("NEXUS_BROKER_URL")
def command(
    filters: tuple[str, ...],
    as_json: bool,
    count: int,
    duration: str | None,
    conditions: tuple[str, ...],
    no_retained: bool,
    file: Path | None,
    max_size: str | None,
    compress: bool,
    qos: int,
) -> int:
    """Follow tag topics with value, unit, quality and age. Without filters: the whole site.

    A filter is a path glob below the site (`packaging/**`, `*/line-1/filler/temp*`), or a whole MQTT filter. An area,
    a line or a device includes everything below it.
    When messages arrive faster than they can be shown, older values are dropped; stderr shows how far behind it is.
    --record writes every message as it came into a file for `nexus replay`, which a kill leaves readable.

    \b
    Example:
      nexus tail 'packaging/**' --where quality!=GOOD
      nexus tail --record monday.nxr --for 1h --max-size 500MB
      nexus tail --json --count 100 > sample.jsonl
    """
    wheres, limit_s = [parse_where(text) for text in conditions], _seconds(duration)
    settings = load_settings()
    if settings.environment != LIVE:
        note(f"{settings.environment}: {settings.environment_detail}")
    if file is not None:
        if as_json or conditions:
            raise click.UsageError("--record writes messages as they come: leave --json and --where out")
        return run_recording(
            RecordRequest(
                file=file,
                filters=filters,
                qos=qos,
                compression="zlib" if compress else "none",
                most_bytes=parse_size(max_size) if max_size else 0,
                most_s=limit_s,
                count=count,
                skip_retained=no_retained,
            )
        )
    if max_size or compress or qos:
        raise click.UsageError("--max-size, --compress and --qos go with --record")
    follower = _Follower(filters, as_json=as_json, count=count, skip_retained=no_retained)
    try:
        asyncio.run(follower.run(wheres, limit_s=limit_s))
    except TimeoutError:
        if not follower.seen and not follower.explained:
            asyncio.run(follower.explain())
    return Exit.OK


class _Follower:
    """Shows messages as they arrive, with notes while nothing arrives.

    Attributes:
        seen: Messages shown.
        passed: Messages that did not meet the conditions.
        explained: Whether a note said why nothing is shown.
    """

    def __init__(self, filters: Sequence[str], *, as_json: bool, count: int, skip_retained: bool) -> None:
        """Show messages that match these filters; `count` 0 is no limit."""
        self.seen = self.passed = 0
        self.explained = False
        self._filters, self._as_json, self._count, self._skip_retained = filters, as_json, count, skip_retained
        self._view, self._behind, self._backlog = TailView(colour=colour_wanted(sys.stdout)), BehindView(), Backlog()
        self._still: asyncio.TimerHandle | None = None

    async def run(self, conditions: Sequence[Where], *, limit_s: float | None) -> None:
        """Follow until `count` messages were shown. Raises TimeoutError after `limit_s` seconds."""
        showing = Showing(self._show)
        following = tail(self._filters, conditions=conditions, passed_over=self._pass_over, backlog=self._backlog)
        try:
            async with asyncio.timeout(limit_s), tasks("tail") as group, contextlib.aclosing(following) as messages:
                group.create_task(showing.run(), name="show")
                quiet = group.create_task(self._explain_silence(waits=limit_s is None), name="explain silence")
                async for live in messages:
                    if self._skip_retained and live.retained:
                        continue
                    await showing.put(live)
                    self.seen += 1
                    if self._count and self.seen >= self._count:
                        break
                    self._note_when_still()
                showing.end()
                quiet.cancel()
        finally:
            if self._still is not None:
                self._still.cancel()
            if line := self._behind.last(dropped=self._backlog.dropped):
                note(line)

    def _pass_over(self) -> None:
        self.passed += 1

    def _show(self, lives: list[Live]) -> None:
        answer("\n".join(_json(one.to_json()) if self._as_json else self._view.line(one) for one in lives))
        backlog = self._backlog
        line = self._behind.text(lives[-1], waiting=backlog.waiting, dropped=backlog.dropped, now_s=time.time())
        if line:
            note(line)

    async def explain(self) -> None:
        """Say why nothing was shown: names near the filters, or that no message met the conditions."""
        near = "" if self.seen or self.passed else await near_filters(self._filters, load_settings())
        if not self.seen:
            note(nothing_text(self._filters, self.passed, near=near))
        self.explained = True

    async def _explain_silence(self, *, waits: bool) -> None:
        """Explain when nothing was shown for `QUIET_S`; `waits`: until `count` messages came, however long it takes."""
        await asyncio.sleep(QUIET_S)
        await self.explain()
        if self._count and waits and not self.seen:
            note(waiting_text(self._count))

    def _note_when_still(self) -> None:
        """Show how many messages are awaited, when no further one is shown for `STILL_S`."""
        if self._still is not None:
            self._still.cancel()
        if self._count:
            text = f"{self.seen} of {self._count} so far; an unchanged value is not published again (--for 30s ends it)"
            self._still = asyncio.get_running_loop().call_later(STILL_S, lambda: note(text))


def _seconds(duration: str | None) -> float | None:
    if duration is None:
        return None
    try:
        return parse_duration(duration) / 1000
    except ValueError as error:
        raise click.BadParameter(f"{error}; write 500ms, 10s or 5m", param_hint="--for") from None


def _json(data: dict[str, object]) -> str:
    return orjson.dumps(data, default=str).decode()
