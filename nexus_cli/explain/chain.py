"""The chain of one tag from what is recorded: link → request → bytes → value → unit → topic → row. Pure; no source text.

`nexus explain` adds the place in the file in front of it; web answers with it alone.
"""

from __future__ import annotations

from typing import Literal

from nexus_cli.access.globs import names_matching
from nexus_cli.diagnostics.wording import duration
from nexus_cli.drivers.base import points_of
from nexus_cli.drivers.registry import driver, protocols
from nexus_cli.model.access_config import RoleConfig, UserConfig
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.model.datatype import parse_type
from nexus_cli.model.procedure_config import MessageConfig, SequenceConfig, fields_of, filter_of
from nexus_cli.model.resources import GatewayResource, decode, every
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.wire.topic import Topics

Steps = list[tuple[str, str]]
"""`(name, text)` of each step, in the order of the way from the device to the row."""


def tag_steps(topics: Topics, device: DeviceConfig, name: str, *, frames: str) -> Steps:
    """The steps of a tag of a device.

    Args:
        topics: Of its site.
        device: Whose tag.
        name: Of the tag.
        frames: How its gateway sends the record: `columns` or `json`.
    """
    tag = device.tags[name]
    path = f"{device.path}/{name}"
    steps = [*_origin(device, tag, name), *_value(tag), *_published(tag), ("topic", topics.tag(path))]
    if live := live_text(tag):
        steps.append(("live", live))
    steps += _governed(device, tag)
    if device.gateway:
        steps.append(("frame", _frame(topics, device, name, frames)))
    steps.append(("row", _row(tag, path)))
    return steps


def _governed(device: DeviceConfig, tag: TagConfig) -> Steps:
    """Whose data it is, and how good it has to be."""
    steps: Steps = []
    if rules := rules_text(tag):
        steps.append(("quality", rules))
    if owner := tag.owner or device.owner:
        steps.append(("owner", owner))
    if tag.pii:
        steps.append(("pii", "it says something about persons"))
    return steps


def rules_text(tag: TagConfig) -> str:
    """The rules of quality in words; "" without one."""
    rules = tag.quality
    if rules is None:
        return ""
    words = [f"outside its range: {rules.range}"] if rules.range and tag.range is not None else []
    if rules.rate:
        words.append(f"moves by more than {rules.rate_above:g} in {duration(rules.rate_ms)}: {rules.rate}")
    if rules.flat:
        words.append(f"does not move for {duration(rules.flat_ms)}: {rules.flat}")
    if rules.missing:
        words.append(f"does not come for {duration(rules.missing_ms)}: {rules.missing}")
    return "; ".join(words)


def frames_of(snapshot: Snapshot, gateway: str) -> str:
    """How a gateway sends the record."""
    return decode(snapshot.resources.get(f"gateway.{gateway}", {}), GatewayResource).frames


def others_steps(topics: Topics, path: str, *, device: str, glob: str) -> Steps:
    """The steps of a topic that no tag declares and an external device's glob means.

    Args:
        topics: Of its site.
        path: Of the topic, without enterprise and site.
        device: The external device.
        glob: Which of its globs.
    """
    return [
        ("source", "published by others; the historian stores it as it comes"),
        ("declared", f"by the glob {glob} of {device}"),
        ("topic", topics.tag(path)),
        ("row", f"nexus.sample, series of '{path}', made with its first message, in the type that it has there"),
    ]


def message_steps(snapshot: Snapshot, name: str) -> Steps:
    """Where a message goes, what can be set, and who may publish it or subscribe to it."""
    message = decode(snapshot.resources[f"message.{name}"], MessageConfig)
    publishers, subscribers = _with_right(snapshot, "publish", name), _with_right(snapshot, "subscribe", name)
    sequences = [sequence for sequence, one in every(snapshot, "sequence", SequenceConfig) if name in one.published()]
    return [
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


def _with_right(snapshot: Snapshot, right: Literal["publish", "subscribe"], message: str) -> str:
    """`operator (packaging-desk)`: roles with a right to a message, and their users; "" when there is none."""
    roles = [
        role
        for role, one in every(snapshot, "role", RoleConfig)
        if any(names_matching(glob, (message,)) for glob in (one.publish if right == "publish" else one.subscribe))
    ]
    users = [user for user, one in every(snapshot, "user", UserConfig) if set(roles) & set(one.every_role())]
    return f"{', '.join(roles)} ({', '.join(users) or 'no users'})" if roles else ""


def _frame(topics: Topics, device: DeviceConfig, name: str, frames: str) -> str:
    """Where the sample is in the record on the wire."""
    if frames == "json":
        return f"{topics.data(device.gateway, device.path)} (samples.{name})"
    return f"{topics.batches(device.gateway)} (a column of {device.path})"


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
        steps.append(("range", f"[{low}, {high}], outside it {_outside(tag)}"))
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


def _outside(tag: TagConfig) -> str:
    return "rejected" if tag.quality is not None and tag.quality.range == "reject" else "UNCERTAIN out_of_range"


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
