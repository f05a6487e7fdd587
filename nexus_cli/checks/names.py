"""Names that are allowed in a topic."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from nexus_cli.checks.view import View
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic, ModelPath, Related
from nexus_cli.model.external import ExternalDevice
from nexus_cli.wire.topic import PLATFORM, is_slug

MAX_TOPIC_BYTES = 65_535
"""Source: MQTT 3.1.1 §4.7.3."""
_SPELT_OUT = {"#": "-", "+": "-plus-", "&": "-and-", "%": "-percent-", "°": "-deg-", "ß": "ss", "µ": "u"}


def slugify(name: str) -> str:
    """The nearest name that is allowed in a path, e.g. `boiler-1` for `Boiler #1`; "" when nothing is left."""
    for sign, word in _SPELT_OUT.items():
        name = name.replace(sign, word)
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name)
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"-{2,}", "-", re.sub(r"[^a-z0-9._-]+", "-", plain)).strip("-._")


def _declared(view: View) -> Iterator[tuple[str, str, ModelPath]]:
    """Kind, name and place of everything that has a name of its own."""
    site = view.model.site
    for area_name, area in site.areas.items():
        yield "area", area_name, ("areas", area_name)
        for line_name in area.lines:
            yield "line", line_name, ("areas", area_name, "lines", line_name)
    for device in view.devices:
        yield "device", str(device.where[-1]), device.where
    for tag in view.tags:
        yield "tag", tag.name, tag.where
    for section, sort, names in (
        (("gateways",), "gateway", site.gateways),
        (("retention",), "retention class", site.retention),
        (("alerts",), "alert", site.alerts),
        (("notifications", "channels"), "channel", site.notifications.channels),
        (("notifications", "routes"), "route", site.notifications.routes),
        (("policies",), "policy", site.policies),
        (("sequences",), "sequence", site.sequences),
        (("messages",), "message", site.messages),
        (("views",), "view", site.views),
        (("access", "roles"), "role", site.access.roles),
    ):
        for name in names:
            yield sort, name, (*section, name)


def not_a_slug(view: View) -> Iterator[Diagnostic]:
    """NX2001."""
    for key, name in (("enterprise", view.model.site.enterprise), ("site", view.model.site.site)):
        if name and not is_slug(name) and not name.startswith("_"):
            yield finding(
                "NX2001", f"{key} '{_short(name)}' can't be used in a topic", where=(key,), hint=_suggest(name)
            )
    for sort, name, where in _declared(view):
        if not is_slug(name) and not name.startswith("_"):
            message = f"{sort} name '{_short(name)}' can't be used in a topic"
            yield finding("NX2001", message, where=where, on_key=True, hint=_suggest(name))


def reserved_name(view: View) -> Iterator[Diagnostic]:
    """NX2002."""
    for key, name in (("enterprise", view.model.site.enterprise), ("site", view.model.site.site)):
        if name.startswith("_"):
            yield finding(
                "NX2002",
                f"{key} '{_short(name)}' begins with '_', as {PLATFORM} does",
                where=(key,),
                hint=_suggest(name),
            )
    for sort, name, where in _declared(view):
        if name.startswith("_"):
            message = f"{sort} name '{_short(name)}' begins with '_', which NEXUS keeps for itself"
            yield finding("NX2002", message, where=where, on_key=True, hint=_suggest(name))


def name_twice(view: View) -> Iterator[Diagnostic]:
    """NX2003."""
    for device in view.devices:
        for name, _, where in device.calculated():
            if name in device.tags:
                yield finding(
                    "NX2003",
                    f"'{name}' is both a tag and a calculated tag",
                    where=where,
                    on_key=True,
                    hint="give the calculated tag another name",
                    related=(Related(message="the tag", where=(*device.where, "tags", name)),),
                )


def names_alike(view: View) -> Iterator[Diagnostic]:
    """NX2004."""
    site = view.model.site
    groups: list[Iterable[tuple[str, ModelPath]]] = [((name, ("areas", name)) for name in site.areas)]
    for area_name, area in site.areas.items():
        base: ModelPath = ("areas", area_name, "lines")
        groups.append([(name, (*base, name)) for name in area.lines])
        groups.extend(
            [(name, (*base, line, "devices", name)) for name in area.lines[line].devices] for line in area.lines
        )
    groups.extend(
        [(name, bound.where) for name, bound in device.tags.items()]
        for device in view.devices
        if any("." in name or "_" in name for name in device.tags)
    )
    for group in groups:
        yield from _alike(group)


def _alike(group: Iterable[tuple[str, ModelPath]]) -> Iterator[Diagnostic]:
    seen: dict[str, tuple[str, ModelPath]] = {}
    for name, where in group:
        plain = name.replace(".", "-").replace("_", "-")
        first = seen.setdefault(plain, (name, where))
        if first[0] != name:
            yield finding(
                "NX2004",
                f"'{name}' and '{first[0]}' differ only in punctuation",
                where=where,
                on_key=True,
                hint="give one of them another name",
                related=(Related(message=f"'{first[0]}'", where=first[1]),),
            )


def topic_too_long(view: View) -> Iterator[Diagnostic]:
    """NX2005."""
    prefix = len(f"{view.model.site.enterprise}/{view.model.site.site}/".encode())
    longest = 64 + prefix  # commands and frames have more in front and behind than the live topic
    for tag in view.tags:
        if len(tag.name) > 100 or len(tag.device.path) > 300:
            size = longest + len(tag.path.encode())
            if size > MAX_TOPIC_BYTES:
                message = f"the topic of '{_short(tag.name)}' has {size} bytes, MQTT allows {MAX_TOPIC_BYTES}"
                yield finding("NX2005", message, where=tag.where, on_key=True, hint="give it a shorter name")


def topic_glob(view: View) -> Iterator[Diagnostic]:
    """NX2118."""
    for device in view.devices:
        if isinstance(device.device, ExternalDevice):
            for position, glob in enumerate(device.device.topics):
                if not is_glob(glob, slugs=False):
                    yield finding(
                        "NX2118",
                        f"'{_short(glob)}' is not a glob of topics",
                        where=(*device.where, "topics", position),
                        hint="levels with '/' between; '*' is one level, 'axis-*' a part of one, '**' at the end the rest",
                    )


def max_series_without_topics(view: View) -> Iterator[Diagnostic]:
    """NX2119."""
    for device in view.devices:
        external = device.device
        if isinstance(external, ExternalDevice) and external.max_series is not None and not external.topics:
            message = "'max_series' bounds 'topics', and there are none"
            yield finding("NX2119", message, where=(*device.where, "max_series"), on_key=True, hint="topics: ['**']")


def is_glob(text: str, *, slugs: bool = True) -> bool:
    """True for a path glob: `*` one level, `line-*` a part of one, `**` the rest and only at the end.

    Args:
        text: The glob.
        slugs: Every other level must be a slug; others' topics may hold anything but wildcards.
    """
    levels = text.split("/")
    for position, level in enumerate(levels):
        if level == "**":
            if position != len(levels) - 1:
                return False
        elif level != "*":
            plain = level.replace("*", "x")
            if not level or "**" in level or any(sign in level for sign in "+#\0") or (slugs and not is_slug(plain)):
                return False
    return True


def _suggest(name: str) -> str:
    slug = slugify(name)
    return f"write '{slug}'" if slug else "use small letters, digits, '.', '_' and '-'"


def _short(name: str) -> str:
    return name if len(name) <= 60 else name[:57] + "…"


CHECKS = (not_a_slug, reserved_name, name_twice, names_alike, topic_too_long, topic_glob, max_series_without_topics)
