"""The chain of one tag: line in the file → link → request → bytes → value → unit → topic → row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from nexus_cli.access.globs import names_matching
from nexus_cli.diagnostics import Diagnostic
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.diagnostics.wording import duration
from nexus_cli.drivers.base import points_of
from nexus_cli.drivers.registry import driver, protocols
from nexus_cli.model.access_config import RoleConfig, UserConfig
from nexus_cli.model.config import DeviceConfig, TagConfig, device_from_json
from nexus_cli.model.datatype import parse_type
from nexus_cli.model.procedure_config import MessageConfig, SequenceConfig, fields_of, filter_of
from nexus_cli.model.resources import GatewayResource, decode, every
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


def _unknown(path: str, device: str, devices: Mapping[str, Any], known: LoadedSite) -> Diagnostic:
    if path in devices:
        tags = list(devices[path].get("tags", ()))
        hint = f"name one of its tags: {', '.join(tags[:8])}" + (", …" if len(tags) > 8 else "")
        return finding("NX0008", f"'{path}' is a device, not a tag", hint=hint)
    name = f"{known.snapshot.enterprise}/{known.snapshot.site}"
    return finding("NX0008", f"{name} has no device '{device or path}'", hint=did_you_mean(device or path, devices))


def _message(known: LoadedSite, name: str) -> Chain:
    """Where a message goes, what can be set, and who may publish it or subscribe to it."""
    message = decode(known.snapshot.resources[f"message.{name}"], MessageConfig)
    publishers, subscribers = _with_right(known, "publish", name), _with_right(known, "subscribe", name)
    sequences = [
        sequence for sequence, one in every(known.snapshot, "sequence", SequenceConfig) if name in one.published()
    ]
    steps = [
        ("topic", message.topic),
        ("fields", ", ".join(fields_of(message)) or "none"),
        ("qos", f"{message.qos}{', retained' if message.retain else ''}"),
        ("nexus publish", "checked against its schema"),
        *((("sequences", ", ".join(sequences)),) if sequences else ()),
        ("publish", publishers or "no role: no user may publish it"),
        ("subscribe", subscribers or "no role: no user may subscribe to it"),
        *(
            (("broker", f"lets them do so on {filter_of(message.topic)}, whatever the payload"),)
            if publishers or subscribers
            else ()
        ),
    ]
    place = known.tree.place(("messages", name), True)
    file = known.tree.text(place.file) if place else None
    lines = _excerpt(file.text.splitlines(), place.line) if file and place else ()
    return Chain(path=name, steps=tuple(steps), file=str(place) if place else "", excerpt=lines)


def _with_right(known: LoadedSite, right: Literal["publish", "subscribe"], message: str) -> str:
    """`operator (packaging-desk)`: roles with a right to a message, and their users; "" when there is none."""
    roles = [
        role
        for role, one in every(known.snapshot, "role", RoleConfig)
        if any(names_matching(glob, (message,)) for glob in (one.publish if right == "publish" else one.subscribe))
    ]
    users = [user for user, one in every(known.snapshot, "user", UserConfig) if set(roles) & set(one.every_role())]
    return f"{', '.join(roles)} ({', '.join(users) or 'no users'})" if roles else ""


def _chain(known: LoadedSite, device: DeviceConfig, name: str) -> Chain:
    tag = device.tags[name]
    area, line, short = device.path.split("/")
    section = "calculated" if tag.expr else "tags"
    where = ("areas", area, "lines", line, "devices", short, section, name)
    place = known.tree.place(where, True)
    topics = Topics(known.snapshot.enterprise, known.snapshot.site)
    path = f"{device.path}/{name}"
    steps: list[tuple[str, str]] = []
    if template := known.tree.template_of.get(device.path):
        steps.append(("template", template))
    steps += _origin(device, tag, name)
    steps += _value(tag)
    steps += _published(tag)
    steps.append(("topic", topics.tag(path)))
    if live := live_text(tag):
        steps.append(("live", live))
    if device.gateway:
        steps.append(("frame", _frame(known, topics, device, name)))
    steps.append(("row", _row(tag, path)))
    file = known.tree.text(place.file) if place else None
    excerpt = _excerpt(file.text.splitlines(), place.line) if file and place else ()
    return Chain(
        path=path,
        steps=tuple(steps),
        file=str(place) if place else "",
        excerpt=excerpt,
        site=f"{known.snapshot.enterprise}/{known.snapshot.site}",
        device=device,
        tag=name,
    )


def _frame(known: LoadedSite, topics: Topics, device: DeviceConfig, name: str) -> str:
    """Where the sample is in the record on the wire."""
    gateway = decode(known.snapshot.resources.get(f"gateway.{device.gateway}", {}), GatewayResource)
    if gateway.frames == "json":
        return f"{topics.data(device.gateway, device.path)} (samples.{name})"
    return f"{topics.batches(device.gateway)} (a column of {device.path})"


def _excerpt(lines: list[str], first: int) -> tuple[str, ...]:
    """The tag's line and what is indented below it, at most a screenful."""
    taken = [lines[first - 1]]
    indent = len(taken[0]) - len(taken[0].lstrip())
    for line in lines[first : first + 20]:
        if not line.strip() or len(line) - len(line.lstrip()) <= indent:
            break
        taken.append(line)
    return tuple(taken)


def _origin(device: DeviceConfig, tag: TagConfig, name: str) -> list[tuple[str, str]]:
    if tag.expr:
        inputs = ", ".join(f"{key} = {path}" for key, path in tag.inputs.items())
        return [("computed", tag.expr), ("inputs", inputs or "none")]
    if device.protocol == "external":
        return [("source", "published by others; the historian stores it as it comes")]
    steps = [("link", f"{device.link}, read by gateway {device.gateway or 'none'}")]
    connection = ", ".join(f"{key}={_open(key, value)}" for key, value in device.connection.items())
    steps.append(("device", f"{device.protocol} {connection}"))
    steps.append(("address", tag.address + _options(tag)))
    steps.append(("request", _request(device, tag, name)))
    state = "" if tag.enabled and device.enabled else " (disabled: publishes BAD out_of_service)"
    steps.append((tag.mode, f"every {duration(tag.poll_ms)}{state}"))
    return steps


def _open(key: str, value: object) -> str:
    """A connection value as it may be shown: secrets only as their reference."""
    text = str(value)
    hidden = any(word in key for word in ("password", "passphrase", "secret", "token")) and not text.startswith("${")
    return "****" if hidden and text else text


def _options(tag: TagConfig) -> str:
    return f" ({', '.join(f'{key}={value}' for key, value in tag.options.items())})" if tag.options else ""


def _request(device: DeviceConfig, tag: TagConfig, name: str) -> str:
    if device.protocol not in protocols():
        return f"no driver for {device.protocol} is installed here"
    if not tag.enabled or not device.enabled:
        return "none, it is disabled"
    same = [other for other, config in device.tags.items() if (config.mode, config.poll_ms) == (tag.mode, tag.poll_ms)]
    if tag.mode != "poll":
        every = duration(tag.poll_ms)
        return f"monitored by the device, sampled every {every}; while it does not report it (nexus status), read every {every}"
    for request in driver(device.protocol).group(device, points_of(device, same)):
        names = [point.name for point in request.points]
        if name in names:
            others = f", with {len(names) - 1} other tags" if len(names) > 1 else ""
            return f"{request.text}{others}"
    return "none"


def _value(tag: TagConfig) -> list[tuple[str, str]]:
    steps = [("decoded", tag.type)]
    if tag.scale != 1.0 or tag.offset:
        steps.append(("scaled", f"raw * {tag.scale:g} + {tag.offset:g}"))
    if tag.publish_unit and tag.publish_unit != tag.unit:
        steps.append(
            ("unit", f"{tag.unit} → {tag.publish_unit}: value * {tag.unit_factor:.12g} + {tag.unit_shift:.12g}")
        )
    elif tag.unit:
        steps.append(("unit", tag.unit))
    return steps


def _published(tag: TagConfig) -> list[tuple[str, str]]:
    steps = []
    if tag.range is not None:
        low, high = ("open" if bound is None else f"{bound:g}" for bound in tag.range)
        steps.append(("range", f"[{low}, {high}], outside it UNCERTAIN out_of_range"))
    if tag.deadband:
        steps.append(
            (
                "deadband",
                f"published when it moved by more than {tag.deadband:g} {tag.publish_unit or tag.unit}".rstrip(),
            )
        )
    if tag.heartbeat_ms:
        steps.append(("heartbeat", f"published at least every {duration(tag.heartbeat_ms)}"))
    if tag.values:
        steps.append(("names", ", ".join(f"{code} = {label}" for code, label in tag.values.items())))
    if tag.writable:
        steps.append(("write", "commands may write it; unit, scale and offset are inverted, outside the range refused"))
    return steps


def live_text(tag: TagConfig) -> str:
    """How the newest value is published, in words; "" where nothing is said about it."""
    if not tag.live_publish:
        return "not published on its topic"
    words = ["acknowledged (QoS 1)"] if tag.live_qos else []
    words += ["not retained"] if not tag.live_retain else []
    words += [f"at most every {duration(tag.live_every_ms)}, the newest wins"] if tag.live_every_ms else []
    return ", ".join(words)


def _row(tag: TagConfig, path: str) -> str:
    kind = parse_type(tag.published_type or tag.type)
    if kind.exact64:
        column = "value_exact"
    elif kind.count or kind.base == "json":
        column = "value_json"
    elif kind.numeric or kind.base in ("bool", "duration"):
        column = "value"
    else:
        column = "value_text"
    return f"nexus.sample, series of '{path}', {column} ({kind}), class {tag.retention}"
