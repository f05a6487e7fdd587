"""`nexus replay`: recorded messages, history or dead letters, once more and under another site's name."""

from __future__ import annotations

import asyncio
import os
import re
from dataclasses import replace
from datetime import tzinfo
from pathlib import Path

import click

from nexus_cli.cli.console import answer, note
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import WholeNumber, reads_runtime, utc_option
from nexus_cli.cli.views.replay import damage_text, noted_text, played_text, progress_text
from nexus_cli.exit_codes import Exit
from nexus_cli.local.layout import AMQTT, MOSQUITTO, Home
from nexus_cli.project.replay import ReplaySpan, check_into, other_broker, play, refuse_led, source_of
from nexus_cli.project.replay_page import end_page, recorded_resources, replay_home, start_page
from nexus_cli.project.replay_player import PlayRequest
from nexus_cli.project.replay_site import replayed_site
from nexus_cli.project.replay_sources import FileSource, ReplaySource
from nexus_cli.runtime.lifecycle import stop_on_signals
from nexus_cli.settings import Settings, load_settings
from nexus_cli.wire.topic import Topics


def _speed(_context: click.Context, _parameter: click.Parameter, value: str) -> float | None:
    if value == "max":
        return None
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)x?", value)
    if match is None or not float(match[1]):
        raise click.BadParameter(f"'{value}' is not a speed; write 1x, 10x or max")
    return float(match[1])


@click.command(
    "replay",
    short_help="Play recorded messages under another site's name.",
    epilog=help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE),
)
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--history", multiple=True, metavar="GLOB", help="Stored history of these tags. Repeatable.")
@click.option("--dead-letters", is_flag=True, help="What could not be stored.")
@click.option("--filter", "filters", multiple=True, metavar="FILTER", help="Of a file: only these topics. Repeatable.")
@click.option("--since", default=None, help="Start, as of `nexus history`. [default: all of a file, else 1h]")
@click.option("--until", default=None, help="End. [default: all of a file, else now]")
@click.option("--into", required=True, metavar="SITE", help="ENTERPRISE/SITE to publish as; never the plant's own.")
@click.option(
    "--speed", default="1x", show_default=True, callback=_speed, metavar="1x|10x|max", help="How fast to play."
)
@click.option("--now", is_flag=True, help="Move the times in the payloads to the time of their publication.")
@click.option("--page", is_flag=True, help="Start a broker and a page of its own; stay until Ctrl-C.")
@click.option("--broker", default="", metavar="KIND|URL", help="With --page mosquitto or amqtt; else where to publish.")
@click.option("--site", "site_path", default=None, metavar="PATH", help="Files of the site, where nothing is recorded.")
@click.option("--qos", type=WholeNumber(0, 2), default=1, show_default=True, help="To publish with.")
@click.option("--no-retain", is_flag=True, help="Leave nothing at the broker.")
@utc_option
@reads_runtime("NEXUS_DATABASE_URL")
def command(
    file: Path | None,
    history: tuple[str, ...],
    dead_letters: bool,
    filters: tuple[str, ...],
    since: str | None,
    until: str | None,
    into: str,
    speed: float | None,
    now: bool,
    page: bool,
    broker: str,
    site_path: str | None,
    qos: int,
    no_retain: bool,
    zone: tzinfo | None,
) -> int:
    """Play a recorded file, stored history or dead letters back as MQTT messages, in their order and spacing.

    They go into another site name, so that they are not taken for the plant. --page starts a broker, a database, alerts and a
    page of their own for it, which say that it is a replay; --broker URL publishes at another broker instead.
    Ctrl-C ends it and says how far it came.

    \b
    Examples:
      nexus replay monday.nxr --into acme/springfield-replay --page
      nexus replay --history 'bottling/**' --since 3h --until 2h --speed 10x --into acme/springfield-replay --page
      nexus replay --dead-letters --since 1d --speed max --into acme/test --broker mqtt://127.0.0.1:1883
    """
    settings = load_settings()
    span = ReplaySpan(
        file=file,
        history=history or None,
        dead_letters=dead_letters,
        filters=filters,
        since=since,
        until=until,
        zone=zone,
    )
    source = source_of(span, settings)
    target = check_into(into, source, settings)
    if page != (broker in ("", MOSQUITTO, AMQTT)):
        raise click.UsageError("give either --page, for a broker of its own, or --broker URL")
    request = PlayRequest(speed=speed, now=now, qos=qos, retain=not no_retain)
    if not page:
        there = other_broker(broker, settings, os.environ)
        asyncio.run(refuse_led(there, target))
        return asyncio.run(_play(source, target, there, request, zone=zone, stays=False))
    home = replay_home(settings, into)
    try:
        there = _start(home, source, target, settings, broker=broker, site_path=site_path)
        return asyncio.run(_play(source, target, there, request, zone=zone, stays=True))
    finally:
        note("stopping the replay's broker and page")
        end_page(home)


def _start(
    home: Home, source: ReplaySource, target: Topics, settings: Settings, *, broker: str, site_path: str | None
) -> Settings:
    """Start the replay's own runtime, and say where its page is."""
    plant = Topics(*source.site.split("/", 1))
    snapshot = replayed_site(recorded_resources(settings, source.site, site_path), source=plant, into=target)

    def progress(name: str, state: str, _detail: str) -> None:
        if state == "running":
            note(f"  {name} runs")

    known = settings if settings.site == source.site else replace(settings, database_url="")
    runtime, there = start_page(home, snapshot, detail=source.detail, broker=broker, plant=known, progress=progress)
    answer(f"replay of {source.detail}\n  broker  {runtime.broker_url}\n  page    {runtime.web_url}")
    return there


async def _play(
    source: ReplaySource, target: Topics, settings: Settings, request: PlayRequest, *, zone: tzinfo | None, stays: bool
) -> int:
    async with stop_on_signals() as stop:
        found = await play(
            source, target, settings, request, stop=stop, progress=lambda each: note(progress_text(each, zone))
        )
        answer(played_text(found, target.live, zone))
        if isinstance(source, FileSource):
            for line in noted_text(source.recording.notes, zone):
                note(line)
            if text := damage_text(source.recording.damage):
                note(f"  {source.recording.path.name}: {text}")
        if stays and found.whole:
            note("the page stays until Ctrl-C")
            await stop.wait()
    return Exit.OK if found.whole else Exit.INTERRUPTED
