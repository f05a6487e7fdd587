"""The live view for people: follow topics (`nexus tail`), the newest value of a tag (`nexus read`)."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass

import msgspec
import orjson

from nexus_cli.access.globs import matches_glob
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.project.live_value import Live
from nexus_cli.project.near import near_path
from nexus_cli.project.recorded import RecordedTypes, as_recorded
from nexus_cli.settings import Settings, load_settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.control import DeploymentProgress
from nexus_cli.wire.identity import client_id
from nexus_cli.wire.message import Message
from nexus_cli.wire.reading import PayloadError, parse_payload
from nexus_cli.wire.signature import unsealed_value
from nexus_cli.wire.topic import PLATFORM, Topics

FIELDS = ("value", "quality", "unit", "label", "reason", "timestamp", "path", "retained")
LEVELS_OF_A_TAG = 4
"""area/line/device/tag"""
MOST_DEVICES = 20
"""Devices whose tags are looked at after a deployment."""
OBSERVER_QOS = 0
"""A broker queues QoS 1 for a slow subscriber, on disk too, beside the frames; a client that only watches uses QoS 0."""
TAG_LEVELS = 4
"""Levels of a tag's path; topics of others may have more."""
RETAINED_WAIT_S = 1.0
"""MQTT has no end of the retained messages; a local broker sends them within milliseconds of the subscription."""


def parse_live(topics: Topics, message: Message) -> Live:
    """Read a message; never fails.

    On the topic of a tag it is read as the historian and the alerts read it. What they would not take keeps its text
    and has no quality, and the reason says why.
    """
    path = topics.path(message.topic)
    if path is not None and path.count("/") >= TAG_LEVELS - 1:
        try:
            found = parse_payload(unsealed_value(message.payload), now_us=None)
            return Live(
                topic=message.topic,
                path=path,
                value=found.value,
                quality=found.state.name,
                timestamp=None if found.time_us is None else found.time_us // 1000,
                unit=found.unit,
                label=found.label,
                reason=found.reason,
                retained=message.retain,
            )
        except PayloadError as error:
            reason = str(error)
    else:
        reason = ""
    try:
        data = orjson.loads(message.payload)
    except ValueError:
        data = message.payload.decode(errors="replace")
    return Live(topic=message.topic, path=path or message.topic, value=data, reason=reason, retained=message.retain)


@dataclass(frozen=True, slots=True)
class Where:
    """`--where FIELD OP VALUE`."""

    name: str
    operator: str
    operand: str

    def holds(self, live: Live) -> bool:
        """Numbers compare as numbers, everything else as text; a message without a value satisfies only `!=`."""
        have = getattr(live, self.name)
        left, right = _number(have), _number(self.operand)
        if left is None or right is None:
            text = "" if have is None else str(have).lower() if isinstance(have, bool) else str(have)
            equal = text.casefold() == self.operand.casefold()
            return equal if self.operator == "=" else not equal if self.operator == "!=" else False
        outcomes = {
            "=": left == right,
            "!=": left != right,
            "<": left < right,
            "<=": left <= right,
            ">": left > right,
            ">=": left >= right,
        }
        return outcomes[self.operator]


def parse_where(text: str) -> Where:
    """Read a condition such as `quality!=GOOD` or `value >= 10`.

    Raises:
        NexusError: NX6521.
    """
    match = re.fullmatch(r"\s*([a-z_]+)\s*(==|=|!=|<=|>=|<|>)\s*(.+?)\s*", text)
    if match is None or match[1] not in FIELDS:
        hint = did_you_mean(match[1], FIELDS) if match else "write FIELD OP VALUE, such as quality!=GOOD or 'value>=10'"
        raise NexusError(f"The condition '{text}' can't be read.", code="NX6521", hint=hint)
    return Where(match[1], "=" if match[2] == "==" else match[2], match[3])


def _number(value: object) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class Wanted:
    """One filter of the user: the topic filter to subscribe, and the glob of what to show.

    Attributes:
        filter: For the broker.
        glob: Path glob to check what arrives against; "" shows everything.
    """

    filter: str
    glob: str = ""


def wanted(topics: Topics, text: str) -> Wanted:
    """Read a path glob below the site, or a whole MQTT filter (with `+` or `#`, or below `_nexus`).

    The path of an area, a line or a device means what lies below it, as in `nexus audit`.
    """
    if "#" in text or "+" in text or text.split("/", 1)[0] == PLATFORM or text.startswith(topics.live + "/"):
        return Wanted(text)
    levels: list[str] = []
    for level in text.strip("/").split("/"):
        if level == "**":
            levels.append("#")
            break
        levels.append("+" if "*" in level else level)
    if len(levels) < LEVELS_OF_A_TAG and levels[-1] != "#":
        return Wanted(topics.tag("/".join([*levels, "#"])), f"{text.strip('/')}/**")
    return Wanted(topics.tag("/".join(levels)), text.strip("/"))


def site_topics(settings: Settings) -> Topics:
    """The topics of the site that the settings name. Raises NexusError NX6510."""
    enterprise, slash, site = settings.site.partition("/")
    if not slash:
        raise NexusError(
            "No runtime is configured here.",
            code="NX6510",
            hint="run it beside the .nexus folder of `nexus up`, or set NEXUS_SITE=enterprise/site and NEXUS_BROKER_URL",
        )
    return Topics(enterprise, site)


@dataclass(slots=True)
class Backlog:
    """How a follower keeps up. The broker queues nothing for it: unread messages wait here, within bounds.

    Attributes:
        waiting: Messages that arrived and were not read yet.
        dropped: Messages that were dropped because too many waited: those that a newer one of their topic had overtaken,
            then the oldest.
    """

    waiting: int = 0
    dropped: int = 0


async def tail(
    filters: Sequence[str],
    *,
    conditions: Sequence[Where] = (),
    settings: Settings | None = None,
    passed_over: Callable[[], None] = lambda: None,
    backlog: Backlog | None = None,
) -> AsyncGenerator[Live, None]:
    """Follow topics until the caller has enough.

    Messages are taken from the broker while the caller is busy, and at QoS 0: watching costs the record nothing.

    Args:
        filters: Path globs or MQTT filters; none follows every tag of the site.
        conditions: All must hold.
        settings: Instead of those of this folder.
        passed_over: Called for each message on the filters that a condition leaves out.
        backlog: Kept up to date before each message.

    Raises:
        NexusError: NX6010, NX6011, NX6012: the broker is away or refuses.
    """
    settings = settings or load_settings()
    topics = site_topics(settings)
    asked = [wanted(topics, text) for text in filters or ("**",)]
    globs = [each.glob for each in asked]
    client, types = BrokerClient(settings=settings, client_id=client_id(settings, "tail")), RecordedTypes(settings)
    async with client.session(newest=True) as messages:
        await client.subscribe([(each.filter, OBSERVER_QOS) for each in asked])
        async for message in messages:
            if backlog is not None:
                backlog.waiting, backlog.dropped = client.waiting, client.dropped
            live = parse_live(topics, message)
            if "" not in globs and not any(matches_glob(glob, live.path) for glob in globs):
                continue
            if live.quality and isinstance(live.value, (str, list, dict)):
                # Most values are numbers and few tags take none: only the others are worth a question.
                live = as_recorded(live, await types.of(live.path))
            if all(condition.holds(live) for condition in conditions):
                yield live
            else:
                passed_over()


async def not_good(devices: Sequence[str], *, settings: Settings, wait_s: float = RETAINED_WAIT_S) -> tuple[Live, ...]:
    """The newest values of these devices that are not GOOD, by path: retained by the broker, or received meanwhile.

    Raises:
        NexusError: NX6010 and others of the broker.
    """
    newest: dict[str, Live] = {}
    try:
        async with (
            asyncio.timeout(wait_s),
            contextlib.aclosing(tail([f"{device}/*" for device in devices], settings=settings)) as following,
        ):
            async for live in following:
                newest[live.path] = live
    except TimeoutError:
        pass
    return tuple(live for _, live in sorted(newest.items()) if live.quality not in ("GOOD", ""))


class NotGood(msgspec.Struct, frozen=True, kw_only=True):
    """A tag that a deployment left not GOOD: `area/line/device/tag`, its quality, and the reason."""

    path: str
    quality: str
    reason: str


def not_good_after(found: DeploymentProgress, *, settings: Settings) -> list[NotGood]:
    """The tags that are not GOOD after a deployment, with their reasons; empty when the broker does not answer."""
    devices = [
        row.address.removeprefix("device.")
        for row in found.table
        if row.state == "applied" and row.detail.endswith(("not GOOD", "no tag is GOOD"))
    ]
    if not devices:
        return []
    try:
        values = asyncio.run(not_good(devices[:MOST_DEVICES], settings=settings))
    except NexusError:
        return []  # only a help: control has said how it ended
    return [NotGood(path=each.path, quality=each.quality, reason=each.reason) for each in values]


async def read(path: str, *, wait_s: float = 0.0, settings: Settings | None = None) -> Live:
    """The newest value of a tag: what the broker kept, or the next one within `wait_s`.

    What the record refuses as a value of the tag's type has no quality here either, and the reason says why.

    Raises:
        NexusError: NX6520 there is none, with the nearest recorded path; NX6010 and others of the broker.
    """
    settings = settings or load_settings()
    topics = site_topics(settings)
    path = (topics.path(path) or path).strip("/")
    if not path or "#" in path or "+" in path or "*" in path:
        raise NexusError(
            f"'{path}' is not the path of one tag.", code="NX6520", hint="nexus tail follows many", exit_code=64
        )
    client = BrokerClient(settings=settings, client_id=client_id(settings, "read"))
    live: Live | None = None
    try:
        async with asyncio.timeout(max(wait_s, RETAINED_WAIT_S) + 5), client.session() as messages:
            await client.subscribe([(topics.tag(path), OBSERVER_QOS)])
            async with asyncio.timeout(max(wait_s, RETAINED_WAIT_S)):
                async for message in messages:
                    if message.topic == topics.tag(path):  # a plain amqtt sends what it retains for others too
                        live = parse_live(topics, message)
                        break
    except TimeoutError:
        pass
    if live is None:
        hint = await near_path(path, settings)
        raise NexusError(f"There is no value on '{path}'.", code="NX6520", hint=hint)
    return as_recorded(live, await RecordedTypes(settings).of(path))
