"""The chain of one tag: line in the file → link → request → bytes → value → unit → topic → row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from nexus_cli.diagnostics import Diagnostic
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.explain.chain import frames_of, message_steps, tag_steps
from nexus_cli.explain.open_lineage import Plant, lineage_events
from nexus_cli.json_value import JsonObject
from nexus_cli.model.config import DeviceConfig, device_from_json
from nexus_cli.model.procedure_config import SequenceConfig
from nexus_cli.model.resources import AlertConfig, every
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.project.text import LoadedSite, Sourced, load
from nexus_cli.wire.topic import Topics


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """The processing of one tag, step by step.

    Attributes:
        path: `area/line/device/tag`.
        steps: `(name, text)` from the file to the row.
        file: Place of the tag in the text, `file:line:column`.
        excerpt: The lines of the tag in the file.
        site: `enterprise/site`.
        device: Of a tag; None of a message.
        tag: Its name.
    """

    path: str
    steps: tuple[tuple[str, str], ...]
    file: str = ""
    excerpt: tuple[str, ...] = field(default=())
    site: str = ""
    device: DeviceConfig | None = None
    tag: str = ""


def explain_path(
    path: str,
    *,
    site: Path | str | None = None,
    env: str | None = None,
    variables: Mapping[str, str] | None = None,
) -> Sourced[Chain]:
    """The chain of the tag at `area/line/device/tag` (enterprise and site may precede it), or of a message."""
    loaded = load(site, env=env, variables=variables)
    if loaded.value is None:
        return Sourced(None, loaded.findings, loaded.files)
    known = loaded.value
    short = path.strip("/").removeprefix(f"{known.snapshot.enterprise}/{known.snapshot.site}/")
    device_path, _, name = short.rpartition("/")
    devices = dict(known.snapshot.of_kind("device"))
    if "/" not in short and f"message.{short}" in known.snapshot.resources:
        return Sourced(_message(known, short))
    if device_path not in devices:
        return Sourced(None, (_unknown(short, device_path, devices, known),))

    device = device_from_json(devices[device_path])
    if name not in device.tags:
        message = f"'{device_path}' has no tag '{name}'"
        return Sourced(None, (finding("NX0008", message, hint=did_you_mean(name, device.tags)),))
    return Sourced(_chain(known, device, name))


def lineage_of(
    path: str,
    *,
    site: Path | str | None = None,
    env: str | None = None,
    variables: Mapping[str, str] | None = None,
    now_us: int,
) -> Sourced[list[JsonObject]]:
    """Where the tag at a path comes from and who takes it, as OpenLineage job events of `now_us` (µs since 1970 UTC)."""
    loaded = load(site, env=env, variables=variables)
    if loaded.value is None:
        return Sourced(None, loaded.findings, loaded.files)
    known = loaded.value
    snapshot = known.snapshot
    short = path.strip("/").removeprefix(f"{snapshot.enterprise}/{snapshot.site}/")
    above, _, name = short.rpartition("/")
    devices = dict(snapshot.of_kind("device"))
    if above not in devices or name not in devices[above].get("tags", {}):
        return Sourced(None, (_unknown(short, above, devices, known),))
    return Sourced(lineage_events(_plant(snapshot, devices), short, now_us=now_us))


def _plant(snapshot: Snapshot, devices: Mapping[str, Any]) -> Plant:
    """The whole site: who can read its files can read them."""

    @cache
    def device(path: str) -> DeviceConfig | None:
        return device_from_json(devices[path]) if path in devices else None

    def users(path: str) -> Iterator[str]:
        for of, one in devices.items():
            for name, tag in one.get("tags", {}).items():
                if path in tag.get("inputs", {}).values():
                    yield f"{of}/{name}"

    return Plant(
        topics=Topics(snapshot.enterprise, snapshot.site),
        device=device,
        may_read=lambda _: True,
        users=users,
        alerts=list(every(snapshot, "alert", AlertConfig)),
        sequences=list(every(snapshot, "sequence", SequenceConfig)),
    )


def _unknown(path: str, device: str, devices: Mapping[str, Any], known: LoadedSite) -> Diagnostic:
    if path in devices:
        tags = list(devices[path].get("tags", ()))
        hint = f"name one of its tags: {', '.join(tags[:8])}" + (", …" if len(tags) > 8 else "")
        return finding("NX0008", f"'{path}' is a device, not a tag", hint=hint)
    name = f"{known.snapshot.enterprise}/{known.snapshot.site}"
    return finding("NX0008", f"{name} has no device '{device or path}'", hint=did_you_mean(device or path, devices))


def _message(known: LoadedSite, name: str) -> Chain:
    """Where a message goes, what can be set, and who may publish it or subscribe to it."""
    place = known.tree.place(("messages", name), True)
    file = known.tree.text(place.file) if place else None
    lines = _excerpt(file.text.splitlines(), place.line) if file and place else ()
    steps = message_steps(known.snapshot, name)
    return Chain(path=name, steps=tuple(steps), file=str(place) if place else "", excerpt=lines)


def _chain(known: LoadedSite, device: DeviceConfig, name: str) -> Chain:
    tag = device.tags[name]
    area, line, short = device.path.split("/")
    section = "calculated" if tag.expr else "tags"
    where = ("areas", area, "lines", line, "devices", short, section, name)
    place = known.tree.place(where, True)
    topics = Topics(known.snapshot.enterprise, known.snapshot.site)
    template = known.tree.template_of.get(device.path)
    steps = [("template", template)] if template else []
    steps += tag_steps(topics, device, name, frames=frames_of(known.snapshot, device.gateway))
    file = known.tree.text(place.file) if place else None
    excerpt = _excerpt(file.text.splitlines(), place.line) if file and place else ()
    return Chain(
        path=f"{device.path}/{name}",
        steps=tuple(steps),
        file=str(place) if place else "",
        excerpt=excerpt,
        site=f"{known.snapshot.enterprise}/{known.snapshot.site}",
        device=device,
        tag=name,
    )


def _excerpt(lines: list[str], first: int) -> tuple[str, ...]:
    """The tag's line and what is indented below it, at most a screenful."""
    taken = [lines[first - 1]]
    indent = len(taken[0]) - len(taken[0].lstrip())
    for line in lines[first : first + 20]:
        if not line.strip() or len(line) - len(line.lstrip()) <= indent:
            break
        taken.append(line)
    return tuple(taken)
