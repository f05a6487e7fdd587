"""What a question is about: tags, names, a topic, or the site; a mistake gets a hint instead."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from nexus_cli.access.globs import matches_glob, names_matching, overlap
from nexus_cli.access.lines import TAG_RIGHTS, Right, TagFacts, tag_facts
from nexus_cli.diagnostics.suggest import did_you_mean, nearest
from nexus_cli.model.config import DeviceOutline
from nexus_cli.model.resources import every
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.wire.topic import Topics

ACTIONS: Mapping[str, Right] = {
    "read": "read",
    "write": "write",
    "publish": "publish",
    "subscribe": "subscribe",
    "run": "run",
    "acknowledge": "acknowledge",
    "alerts:ack": "acknowledge",
    "alarms:ack": "acknowledge",
    "alerts": "alerts",
    "apply": "apply",
    "admin": "admin",
}
"""Words on the command line, and the right that each means."""
KIND_OF: Mapping[Right, str] = {
    "publish": "message",
    "subscribe": "message",
    "run": "sequence",
    "acknowledge": "alert",
    "alerts": "alert",
}
_WORD = re.compile(r"[^/+#]+\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is asked about.

    Attributes:
        kind: `tags`, `names`, `topic` or `site`.
        text: As it was written, without what names the site.
        tags: Of `tags`.
        names: Of `names`.
        topic: Of `topic`: a topic, or a filter to subscribe to.
    """

    kind: Literal["tags", "names", "topic", "site"]
    text: str
    tags: tuple[TagFacts, ...] = ()
    names: tuple[str, ...] = ()
    topic: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """There is no such thing in the site.

    Attributes:
        message: A sentence without its point.
        hint: What to write instead; "" when nothing is near.
    """

    message: str
    hint: str = ""


def subject_of(snapshot: Snapshot, right: Right, text: str) -> Subject | Unknown:
    """What a word on the command line means for a right.

    Args:
        snapshot: The site.
        right: What is asked for.
        text: A tag path or glob, a name or glob of names, or a topic; anything for `admin`.
    """
    if right == "admin":
        return Subject(kind="site", text="")
    topics, text = Topics(snapshot.enterprise, snapshot.site), text.strip().strip("/")
    if right in TAG_RIGHTS:
        return _tags(snapshot, right, _path_of(topics, text))
    known = [name for name, _ in snapshot.of_kind(KIND_OF[right])]
    if _WORD.match(text):
        found = names_matching(text, known)
        return Subject(kind="names", text=text, names=found) if found else _no_name(snapshot, right, text, known)
    if right in ("publish", "subscribe"):
        return _topic(snapshot, topics, right, text)
    what = KIND_OF[right]
    message = f"'{text}' is a path, and `{right}` asks for the name of {_a(what)}"
    return Unknown(message=message, hint=did_you_mean(text.rpartition("/")[2], known))


def _a(what: str) -> str:
    return f"an {what}" if what[0] in "aeiou" else f"a {what}"


def _path_of(topics: Topics, text: str) -> str:
    """The path in a tag's topic, or in the topic of a command to it; other texts as they are."""
    if command := topics.split_command(text):
        return command[0]
    path = topics.path(text) or text
    return path.replace("+", "*").removesuffix("/#") + "/**" if path.endswith("/#") else path.replace("+", "*")


def _tags(snapshot: Snapshot, right: Right, path: str) -> Subject | Unknown:
    facts = tag_facts(snapshot)
    if path in facts:
        return Subject(kind="tags", text=path, tags=(facts[path],))
    for glob in (path, f"{path}/**"):
        found = tuple(fact for each, fact in facts.items() if matches_glob(glob, each))
        if found:
            return Subject(kind="tags", text=glob, tags=found)
    topics = Topics(snapshot.enterprise, snapshot.site)
    if right != "apply" and any(overlap(path, glob) for glob in external_globs(snapshot)):
        return Subject(kind="topic", text=path, topic=topics.tag(path))
    for kind, action in (("alert", "alerts"), ("message", "publish or subscribe"), ("sequence", "run")):
        if f"{kind}.{path}" in snapshot.resources:
            return Unknown(message=f"'{path}' is {_a(kind)}, not a tag", hint=f"ask for {action}")
    return Unknown(message=f"{topics.live} has no tag '{path}'", hint=near_path(path, facts))


def external_globs(snapshot: Snapshot) -> list[str]:
    """Path globs of what other systems publish beside declared tags."""
    devices = every(snapshot, "device", DeviceOutline)
    return [glob for _, device in devices if device.protocol == "external" for glob in device.globs]


def near_path(path: str, paths: Iterable[str]) -> str:
    """A hint with the nearest path, found level by level: a plant has tens of thousands of tags."""
    left = [each.split("/") for each in paths]
    right: list[str] = []
    for position, level in enumerate(path.split("/")[:4]):
        here = {each[position] for each in left if len(each) > position}
        chosen = level if level in here else nearest(level, here)
        if not chosen and "*" not in level:
            return did_you_mean(level, here) if position == 0 else f"'{'/'.join(right)}' has {_some(here)}"
        right.append(chosen or level)
        left = [each for each in left if len(each) > position and (each[position] == chosen or not chosen)]
    return f"did you mean '{'/'.join(right)}'?" if "/".join(right) != path else ""


def _some(names: Collection[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:8]) + (", …" if len(listed) > 8 else "")


def _no_name(snapshot: Snapshot, right: Right, text: str, known: list[str]) -> Unknown:
    what = KIND_OF[right]
    for kind, action in (("alert", "alerts"), ("message", "publish"), ("sequence", "run")):
        if kind != what and f"{kind}.{text}" in snapshot.resources:
            return Unknown(message=f"'{text}' is {_a(kind)}, not {_a(what)}", hint=f"ask for {action}")
    name = f"{snapshot.enterprise}/{snapshot.site}"
    return Unknown(message=f"{name} has no {what} '{text}'", hint=did_you_mean(text, known))


def _topic(snapshot: Snapshot, topics: Topics, right: Right, text: str) -> Subject | Unknown:
    short = text.replace("*", "+")
    first = short.split("/", 1)[0]
    areas = {path.split("/", 1)[0] for path, _ in snapshot.of_kind("device")}
    if first in areas and first != snapshot.enterprise:
        verb = "write" if right == "publish" else "read"
        hint = f"for the tag ask for {verb}; its topic is {topics.tag(short)}"
        return Unknown(message=f"'{text}' is a path, not a topic", hint=hint)
    return Subject(kind="topic", text=text, topic=text)
