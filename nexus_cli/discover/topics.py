"""An existing topic tree as `external` devices and tags. Pure: topics and one payload each go in.

A declared device's topic is its path, so a topic becomes a tag only where its levels are names of the site language;
deeper or oddly named ones are covered by a glob of their device, and the rest is named with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from nexus_cli.checks.names import slugify
from nexus_cli.discover.found import Discovery, Found, Skipped
from nexus_cli.discover.importers.units import unit_of
from nexus_cli.discover.site_keys import HeadKeys, TagKeys
from nexus_cli.discover.sparkplug import TYPES, BirthError, birth_of, metrics_of
from nexus_cli.wire.topic import PLATFORM, is_slug

VALUE_KEYS = ("value", "val", "v")
"""Keys that the historian reads as the value of an object."""
REPUBLISH = (
    "Sparkplug metrics become tags by name; the historian reads JSON, so something (an EMQX rule, Node-RED, UMH) must "
    "publish them to these topics"
)


def from_topics(
    messages: Mapping[str, bytes], *, enterprise: str, site: str, own: frozenset[str] = frozenset(), source: str = ""
) -> Discovery:
    """Sort topics into devices.

    Args:
        messages: The newest payload by topic.
        enterprise, site: The first two levels of the site's topics.
        own: Devices (`area/line/device`) that a gateway of this site publishes.
        source: For people.
    """
    discovery = Discovery(protocol="external", source=source)
    globs: dict[str, list[str]] = {}
    names: set[tuple[str, str]] = set()
    for topic, payload in sorted(messages.items()):
        birth = birth_of(topic)
        if birth is not None:
            _birth(topic, payload, birth, discovery, names)
            continue
        reason = _plain(topic, payload, f"{enterprise}/{site}/", own, discovery, globs, names)
        if reason:
            discovery.skipped.append(Skipped(topic, reason))
    heads: dict[str, HeadKeys] = {place: {"topics": patterns} for place, patterns in globs.items()}
    discovery.facts.update({"heads": heads, "complete": False, "topics": len(messages)})
    return discovery


def _plain(
    topic: str,
    payload: bytes,
    prefix: str,
    own: frozenset[str],
    discovery: Discovery,
    globs: dict[str, list[str]],
    names: set[tuple[str, str]],
) -> str:
    """Take one topic; the reason when it becomes no tag."""
    if topic.startswith((f"{PLATFORM}/", "$")):
        return "a topic of the platform or the broker itself"
    if topic.startswith("spBv1.0/"):
        return "Sparkplug data; names and types are in its births"
    if not topic.startswith(prefix):
        return f"not below {prefix.rstrip('/')}, where this site's topics are"
    levels = topic[len(prefix) :].split("/")
    if len(levels) < 4 or not all(levels):
        return "fewer levels than area/line/device/tag"
    place = "/".join(levels[:3])
    if not all(is_slug(level) for level in levels[:3]):
        odd = next(level for level in levels[:3] if not is_slug(level))
        return f"'{odd}' can't be the name of an area, line or device (topics are case-sensitive)"
    if place in own:
        return f"published by {place}, a device of this site"
    if len(levels) > 4 or not is_slug(levels[3]):
        glob = f"{levels[3]}/**" if len(levels) > 4 else levels[3]
        if any(sign in glob.removesuffix("/**") for sign in "*+#"):
            return f"'{levels[3]}' holds a wildcard"
        patterns = globs.setdefault(place, [])
        if glob not in patterns:
            patterns.append(glob)
        return f"covered by the glob '{glob}' of {place}: stored without a tag of its own"
    tag, reason = _tag(payload)
    if tag is None:
        return reason
    names.add((place, levels[3]))
    discovery.found.append(Found(device=place, name=(levels[3],), tag=tag))
    return ""


def _tag(payload: bytes) -> tuple[TagKeys | None, str]:
    """Type and unit by one payload, or why it can't be stored."""
    if not payload:
        return None, "an empty message"
    try:
        body: Any = orjson.loads(payload)
    except ValueError:
        try:
            body = payload.decode()
        except UnicodeDecodeError:
            return None, "neither JSON nor text"
        if body.lstrip()[:1] in ("{", "["):
            return None, "broken JSON"
    unit = ""
    if isinstance(body, dict):
        key = next((key for key in VALUE_KEYS if key in body), None)
        if key is None:
            return None, "an object without 'value'"
        unit, body = str(body.get("unit") or ""), body[key]
    if body is None:
        return None, "its value is null, so that its type is not known"
    kind = "bool" if isinstance(body, bool) else "float64" if isinstance(body, (int, float)) else ""
    kind = kind or ("string" if isinstance(body, str) else "json")
    tag: TagKeys = {"type": kind}
    if known := unit_of(unit):
        tag["unit"] = known
    elif unit:
        tag["labels"] = {"unit": unit}
    return tag, ""


def _birth(topic: str, payload: bytes, birth: Any, discovery: Discovery, names: set[tuple[str, str]]) -> None:
    try:
        metrics = metrics_of(payload)
    except BirthError as error:
        discovery.skipped.append(Skipped(topic, str(error)))
        return
    levels = [slugify(level) for level in (birth.group, birth.node, birth.device or birth.node)]
    discovery.facts["notes"] = [REPUBLISH]
    for metric in metrics:
        what = f"{topic}: {metric.name or '(no name)'}"
        name = tuple(level for level in metric.name.split("/") if level)
        kind = TYPES.get(metric.data_type)
        place = "/".join(levels)
        if metric.name == "bdSeq" or metric.name.startswith(("Node Control/", "Device Control/")):
            discovery.skipped.append(Skipped(what, "Sparkplug's own housekeeping"))
        elif not name or not all(levels):
            discovery.skipped.append(Skipped(what, "it has no name"))
        elif kind is None:
            discovery.skipped.append(Skipped(what, f"Sparkplug data type {metric.data_type} has no type here"))
        elif (place, metric.name) in names:
            discovery.skipped.append(Skipped(what, "the same metric was born before"))
        else:
            names.add((place, metric.name))
            tag: TagKeys = {"type": kind}
            if known := unit_of(metric.unit):
                tag["unit"] = known
            if metric.description:
                tag["description"] = metric.description
            discovery.found.append(Found(device=place, name=name, tag=tag))
