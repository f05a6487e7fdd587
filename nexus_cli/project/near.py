"""Recorded paths near one without a result: from control; where control is slow or unreachable, from the broker."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.suggest import did_you_mean, nearest
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.identity import client_id
from nexus_cli.wire.topic import Topics

if TYPE_CHECKING:
    from nexus_cli.wire.http import ControlClient

DEVICE_LEVELS = 3
"""area/line/device"""
ASK_S = 5.0
LOOK_S = 2.0
"""MQTT has no end of the retained messages; a broker sends them at once, 41,000 of them within this time."""
APPLIED = "was it applied? `nexus apply SITE`; --wait 10s waits for the next value"
DEVICE = "it is a device: name one of its tags{tags}, or `nexus tail` it"
MOST_TAGS = 6
NO_DEVICE = "no such device is recorded; `nexus show` lists them"
SILENT = "the tag is recorded but was never published; `nexus status` shows its link"

Known = Mapping[str, frozenset[str] | None]
"""Tags by device; None where they were not requested."""


async def near_path(path: str, settings: Settings) -> str:
    """What to write instead of the path of a tag that has no value, or why it has none; in a few words.

    Of control only the one device is asked: a plant has tens of thousands of tags.
    """
    from nexus_cli.wire.http import ControlClient  # noqa: PLC0415 - HTTP client: only when nothing arrives

    try:
        async with asyncio.timeout(ASK_S), ControlClient(settings) as control:
            return hint_for(path, await _recorded(control, path))
    except (NexusError, TimeoutError):
        pass
    seen = await _published(settings)
    hint = hint_for(path, seen) if seen else ""
    return hint if hint not in ("", NO_DEVICE, SILENT) else APPLIED


def hint_for(path: str, known: Known) -> str:
    """Pure: the hint, from the existing devices and tags."""
    if path in known:
        tags = sorted(known[path] or ())
        shown = ", ".join(tags[:MOST_TAGS]) + (", …" if len(tags) > MOST_TAGS else "")
        return DEVICE.format(tags=f" ({shown})" if tags else "")
    device, _, tag = path.rpartition("/")
    if device not in known:
        near = nearest(device, known)
        if not near:
            near = nearest(path, known)  # a device, where a tag was expected
            return f"did you mean '{near}'?" if near else NO_DEVICE
        there = nearest(tag, known[near] or ()) if known[near] is not None else tag
        return f"did you mean '{near}/{there}'?" if there else f"did you mean '{near}'?"
    tags_there = known[device] or frozenset()
    if tag in tags_there:
        return SILENT
    near = nearest(tag, tags_there)
    return (
        f"did you mean '{device}/{near}'?" if near else did_you_mean(tag, tags_there) or f"{device} has no tag '{tag}'"
    )


def hint_for_filter(text: str, known: Iterable[str]) -> str:
    """Pure: what to write instead of the literal beginning of a filter; "" where something lies below it.

    Args:
        text: A path glob below the site.
        known: Paths of devices.
    """
    literal: list[str] = []
    for level in text.strip("/").split("/")[:DEVICE_LEVELS]:
        if "*" in level:
            break
        literal.append(level)
    there = {"/".join(path.split("/")[: len(literal)]) for path in known}
    written = "/".join(literal)
    if not literal or not there or written in there:
        return ""
    rest = text.strip("/").split("/")[len(literal) :]
    near = nearest(written, there)
    return f"did you mean '{'/'.join([near, *rest])}'?" if near else did_you_mean(written, there)


async def near_filters(filters: Iterable[str], settings: Settings) -> str:
    """The hint for the first filter that names something unknown; "" when there is none, or control does not answer."""
    from nexus_cli.wire.http import ControlClient  # noqa: PLC0415 - HTTP client: only when nothing arrives

    asked = [text for text in filters if "#" not in text and "+" not in text]
    known: Known = {}
    try:
        async with asyncio.timeout(ASK_S), ControlClient(settings) as control:
            for text in asked:
                known = await _recorded(control, text)
                if hint := _filter_hint(text, known):
                    return hint
            return ""
    except (NexusError, TimeoutError):
        known = await _published(settings)
    return next((hint for text in asked if (hint := _filter_hint(text, known))), "")


def _filter_hint(text: str, known: Known) -> str:
    if "*" in text or text.count("/") < DEVICE_LEVELS:
        return hint_for_filter(text, known)
    return hint_for(text.strip("/"), known)


async def _recorded(control: ControlClient, path: str) -> Known:
    """Devices by path; the tags of the one that is named, or of the one nearest to it."""
    marked = "device."
    addresses = (await control.state()).digests
    devices = [address.removeprefix(marked) for address in addresses if address.startswith(marked)]
    path = path.strip("/")
    device = path if path in devices else path.rpartition("/")[0]
    one = device if device in devices else nearest(device, devices)
    found = await control.resources([marked + one] if one else [])
    tags = frozenset(found.get(marked + one, {}).get("tags", {}))
    return {**dict.fromkeys(devices), **({one: tags} if one else {})}


async def _published(settings: Settings) -> Known:
    """Devices and tags with a retained value at the broker; empty when it is unreachable too."""
    enterprise, _, site = settings.site.partition("/")
    topics = Topics(enterprise, site)
    client = BrokerClient(settings=settings, client_id=client_id(settings, "near"))
    found: dict[str, set[str]] = {}
    try:
        async with asyncio.timeout(ASK_S), client.session() as messages:
            await client.subscribe([(topics.tag("/".join("+" * (DEVICE_LEVELS + 1))), 0)])
            async with asyncio.timeout(LOOK_S):
                async for message in messages:
                    device, _, tag = (topics.path(message.topic) or "").rpartition("/")
                    found.setdefault(device, set()).add(tag)
    except (NexusError, TimeoutError):
        pass
    return {device: frozenset(tags) for device, tags in found.items() if device}
