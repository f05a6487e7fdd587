"""How EMQX compares a topic, or the filter of a SUBSCRIBE, with the topics of a rule."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nexus_cli.access.brokers.emqx.client import Client, Version, is_at_least

MAX_TOPIC_BYTES = 65_535
_PLACEHOLDER = re.compile(r"\$\{\.?([a-zA-Z0-9._]*)\}|\$\{(\$)\}")
_ATTRS = "client_attrs."


class MissingValue(Exception):
    """A placeholder has no value for this client."""


class ForbiddenValue(Exception):
    """A placeholder's value has `+`, `#` or `/`: from EMQX 6.3 on a topic can't hold it."""


@dataclass(frozen=True, slots=True)
class Words:
    """A filter without placeholders, or (`exact`) a text that must be the same."""

    levels: tuple[bytes, ...]
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Template:
    """A filter with placeholders: texts, and names as `("", name)`."""

    parts: tuple[str | tuple[str], ...]
    strict: bool


@dataclass(frozen=True, slots=True)
class Everything:
    """Every topic, those that begin with `$` too."""


TopicCondition = Words | Template | Everything


def levels_of(topic: bytes) -> tuple[bytes, ...]:
    """The levels of a topic."""
    return tuple(topic.split(b"/"))


def covers(asked: tuple[bytes, ...], rule: tuple[bytes, ...]) -> bool:
    """EMQX's matching: what is asked for counts as a topic name, wildcards included.

    `+` of a rule therefore covers an asked `#`, and a `#` that is not last is a level like any other.
    """
    if asked[0].startswith(b"$") and rule[0] in (b"+", b"#"):
        return False
    for position, level in enumerate(rule):
        if position < len(asked) and (level == b"+" or level == asked[position]):
            continue
        return level == b"#" and position == len(rule) - 1
    return len(asked) == len(rule)


def filter_condition(topic: str, version: Version) -> Words | Template:
    """A rule's filter: with placeholders that EMQX replaces, or without."""
    parts = _parse(topic)
    names = [part[0] for part in parts if isinstance(part, tuple)]
    if any(not _is_allowed(name, version) for name in names):
        # Written again with the unknown ones escaped, and read again: attributes lose their meaning beside an
        # unknown name, and an escaped `$` before braces gets one.
        again = "".join(part if isinstance(part, str) else _restored(part[0], version) for part in parts)
        parts = _parse(again)
    if not any(isinstance(part, tuple) for part in parts):
        return Words(levels_of(topic.encode()))
    return Template(tuple(parts), is_at_least(version, 6, 3, 0))


def _parse(topic: str) -> list[str | tuple[str]]:
    parts: list[str | tuple[str]] = []
    at = 0
    for found in _PLACEHOLDER.finditer(topic):
        if found.start() > at:
            parts.append(topic[at : found.start()])
        parts.append("$" if found[2] else (found[1],))
        at = found.end()
    if at < len(topic):
        parts.append(topic[at:])
    return parts


def _is_allowed(name: str, version: Version) -> bool:
    if name == "zone":
        return is_at_least(version, 5, 8, 2)
    return name in ("username", "clientid", "cert_common_name") or name.startswith(_ATTRS)


def _restored(name: str, version: Version) -> str:
    known = _is_allowed(name, version) and not name.startswith(_ATTRS)
    return f"${{{name}}}" if known else f"${{$}}{{{name}}}"


def render(template: Template, client: Client) -> bytes:
    """A filter for one client.

    Raises:
        MissingValue: The client lacks one.
        ForbiddenValue: A topic can't hold one of them.
    """
    out: list[bytes] = []
    missing = ""
    for part in template.parts:
        if isinstance(part, str):
            out.append(part.encode())
            continue
        value = _value(part[0], client)
        if value is None:
            missing = part[0]
            continue
        if template.strict and any(sign in value for sign in "+#/"):
            raise ForbiddenValue(f"{part[0]} is '{value}'")
        out.append(value.encode())
    if missing:
        raise MissingValue(missing)
    return b"".join(out)


def _value(name: str, client: Client) -> str | None:
    if name == "username":
        return "undefined" if client.username is None else client.username
    if name == "clientid":
        return client.client_id
    if name == "zone":
        return client.zone
    if name == "cert_common_name":
        return client.cert_common_name
    key = name.removeprefix(_ATTRS)
    return None if "." in key else client.attrs.get(key)


@dataclass(frozen=True, slots=True)
class Asked:
    """What EMQX authorises of a request.

    Attributes:
        topic: What the rules see: without `$share/group/`, `$queue/`, `$exclusive/` or `$delayed/seconds/`.
        refused: Why it is refused before any rule; "" when it is not.
    """

    topic: bytes = b""
    refused: str = ""


def asked_to_publish(topic: str, *, mount: str = "") -> Asked:
    """A message's topic; `$delayed/` is looked through, as often as it occurs.

    Args:
        topic: As the client sends it.
        mount: The mount point, where the rules see it (`include_mountpoint`).
    """
    raw = topic.encode("utf-8", "surrogateescape")
    if refused := _refusal(raw, is_filter=False):
        return Asked(refused=refused)
    return _undelayed(raw, mount)


def asked_to_subscribe(topic: str, *, mount: str = "") -> Asked:
    """A filter that a client subscribes to; shared and exclusive subscriptions are authorised as their plain filter."""
    raw = topic.encode("utf-8", "surrogateescape")
    if refused := _refusal(raw, is_filter=True):
        return Asked(refused=refused)
    for prefix in (b"$queue/", b"$exclusive/"):
        if raw.startswith(prefix):
            raw = raw[len(prefix) :]
            break
    else:
        if raw.startswith(b"$share/"):
            raw = raw.split(b"/", 2)[2]
    return _undelayed(raw, mount)


def _undelayed(raw: bytes, mount: str) -> Asked:
    while raw.startswith(b"$delayed/"):
        _, slash, raw = raw.removeprefix(b"$delayed/").partition(b"/")
        if not slash:
            return Asked(refused="a delayed topic is $delayed/SECONDS/TOPIC")
    return Asked(topic=mount.encode() + raw)


def _refusal(raw: bytes, *, is_filter: bool) -> str:
    """Why MQTT itself refuses a topic; "" when it does not."""
    if not raw:
        return "an empty topic"
    if len(raw) > MAX_TOPIC_BYTES:
        return f"a topic of more than {MAX_TOPIC_BYTES} bytes"
    if b"\0" in raw:
        return "a topic with a NUL"
    levels = raw.split(b"/")
    if not is_filter:
        return "a topic to publish on has no wildcards" if any(_has_wildcard(level) for level in levels) else ""
    if raw.startswith((b"$share/", b"$queue/", b"$exclusive/")):
        share = levels[0] == b"$share"
        if share and (len(levels) < 3 or not levels[1] or _has_wildcard(levels[1])):
            return "a shared subscription is $share/GROUP/FILTER"
        levels = levels[2:] if share else levels[1:]
        if levels == [b""] or (levels[0] in (b"$share", b"$queue") and len(levels) > 1):
            return "no filter after the prefix"
    for position, level in enumerate(levels):
        if level != b"+" and (level != b"#" or position != len(levels) - 1) and _has_wildcard(level):
            return f"'{level.decode(errors='replace')}' is no level of a filter"
    return ""


def _has_wildcard(level: bytes) -> bool:
    return b"+" in level or b"#" in level
