"""The verb of `nexus replay`: a recording, stored history or dead letters as MQTT messages, under another site's name."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.groups import tasks
from nexus_cli.history.moment import parse_moment
from nexus_cli.model.calendar import microseconds
from nexus_cli.model.view_config import topic_filter
from nexus_cli.project.live import site_topics
from nexus_cli.project.recording_file import Recording
from nexus_cli.project.replay_player import Played, Player, PlayRequest
from nexus_cli.project.replay_site import refuse_the_plant
from nexus_cli.project.replay_sources import FileSource, HistorySource, LetterSource, ReplaySource
from nexus_cli.project.replay_topics import Retarget
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.identity import client_id
from nexus_cli.wire.topic import Topics
from nexus_cli.wire.url import parse_broker_url

LOOK_S = 1.0
"""How long a broker may take to send what it retains of a control, in seconds."""
ECHO_S = 5.0
"""How long a broker may take to send a message back that shows whether it lets us publish."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySpan:
    """What to replay: one of the three.

    Attributes:
        file: A recording.
        history: Path globs of tags; None plays no history.
        dead_letters: True plays the dead letters.
        filters: Of a recording: path globs or MQTT filters that narrow it.
        since, until: As `--since` and `--until`; None is all of a recording, the last hour else.
        zone: Whose clocks; None is this machine's.
    """

    file: Path | None = None
    history: Sequence[str] | None = None
    dead_letters: bool = False
    filters: Sequence[str] = ()
    since: str | None = None
    until: str | None = None
    zone: tzinfo | None = None


def source_of(span: ReplaySpan, settings: Settings, *, now: datetime | None = None) -> ReplaySource:
    """Open what is to be replayed.

    Raises:
        NexusError: NX6963, it is not one thing; NX6960, NX6961 the file; NX6211 the span; NX6510 no site is known.
    """
    given = [span.file is not None, span.history is not None, span.dead_letters]
    if sum(given) != 1:
        raise NexusError(
            "Name one thing to replay." if any(given) else "It is not said what to replay.",
            code="NX6963",
            hint="a FILE of `nexus tail --record`, --history GLOB, or --dead-letters",
            exit_code=64,
        )
    now = now or datetime.now(UTC)
    until = parse_moment(span.until or "now", now=now, zone=span.zone)
    since = parse_moment(span.since or "1h", now=now, zone=span.zone)
    if (span.since or span.until or span.file is None) and until <= since:
        raise NexusError("The span ends before it begins.", code="NX6211", hint="--since is the earlier")
    if span.file is not None:
        recording = Recording(span.file)
        topics = Topics(*recording.header.site.split("/", 1))
        return FileSource(
            recording,
            filters=[topic_filter(each, topics) for each in span.filters],
            since_us=0 if span.since is None else microseconds(since),
            until_us=1 << 62 if span.until is None else microseconds(until),
        )
    topics = site_topics(settings)
    if span.history is not None:
        return HistorySource(settings, topics, span.history, since, until)
    return LetterSource(settings, since, until)


def check_into(into: str, source: ReplaySource, settings: Settings) -> Topics:
    """The topics of the site to replay into. Raises NexusError NX6962: it is the plant's own name."""
    return refuse_the_plant(into, source.site, settings.site)


def other_broker(url: str, settings: Settings, environ: Mapping[str, str]) -> Settings:
    """How to reach the broker that is replayed to: only with what NEXUS_BROKER_USER and _PASSWORD say, never with the plant's
    own accounts. Raises NexusError NX6002: no address.
    """
    parse_broker_url(url)
    given = {
        name: settings_text for name in ("USER", "PASSWORD") if (settings_text := environ.get(f"NEXUS_BROKER_{name}"))
    }
    return replace(
        settings,
        broker_url=url,
        broker_user=given.get("USER", ""),
        broker_password=settings.broker_password if given else "",
        broker_ca=environ.get("NEXUS_BROKER_CA", ""),
        broker_cert=environ.get("NEXUS_BROKER_CERT", ""),
        broker_key=environ.get("NEXUS_BROKER_KEY", ""),
    )


async def refuse_led(settings: Settings, into: Topics) -> None:
    """See, at a broker that others use, that no control leads the site, and that we may publish there.

    Raises:
        NexusError: NX6962 a control leads it; NX6012 the broker drops what we publish; NX6010, NX6011 of the broker.
    """
    client = BrokerClient(settings=settings, client_id=client_id(settings, "replay-check"))
    echo = f"{into.live}/nexus-replay/{secrets.token_hex(8)}"
    async with client.session() as messages:
        await client.subscribe([(f"{into.platform}/health/control/+", 0), (echo, 1)])
        await client.publish(echo, b"may we?", qos=1)
        heard, loop = False, asyncio.get_running_loop()
        until_s = loop.time() + ECHO_S
        try:
            async with asyncio.timeout_at(until_s) as limit:
                async for message in messages:
                    if message.topic == echo:
                        heard = True
                        limit.reschedule(loop.time() + LOOK_S)
                    elif message.payload and b'"lost"' not in message.payload:
                        raise NexusError(
                            f"A control leads {into.live} at this broker.",
                            code="NX6962",
                            cause=f"it says so on {message.topic}",
                            hint="choose a name that nobody has",
                        )
        except TimeoutError:
            pass
    if not heard:
        raise NexusError(
            f"The broker at {client.url} takes what we publish on {into.live}/# and gives it to nobody.",
            code="NX6012",
            hint="let the user publish and subscribe there, or replay with --page: a broker of its own",
        )


async def play(
    source: ReplaySource,
    into: Topics,
    settings: Settings,
    request: PlayRequest,
    *,
    stop: asyncio.Event,
    progress: Callable[[Played], None] = lambda _: None,
) -> Played:
    """Play a source at a broker, to its end or until `stop`.

    Raises:
        NexusError: NX6010, NX6011, the broker does not take us at the start; those of the source.
    """
    check = BrokerClient(settings=settings, client_id=client_id(settings, "replay-check"))
    async with check.session():
        pass
    client = BrokerClient(settings=settings, client_id=client_id(settings, "replay"))
    retarget = Retarget(Topics(*source.site.split("/", 1)), into, platform=source.platform)
    player, broker_stop, ready = Player(source, retarget, client, request), asyncio.Event(), asyncio.Event()

    async def connected() -> None:
        ready.set()

    async with tasks("replay") as group:
        running = client.run(broker_stop, subscriptions=(), on_message=lambda _: None, on_connected=connected)
        group.create_task(running, name="broker")
        try:
            await ready.wait()
            return await player.play(stop, progress)
        finally:
            broker_stop.set()
