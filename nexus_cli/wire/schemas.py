"""JSON Schemas of every message on the wire (draft-07); `nexus schema` writes them to `schemas/`.

They are derived from the Structs that read and write the messages. Titles, topics and what a Struct can't say are in the
table `_MESSAGES`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from nexus_cli.json_value import JsonObject, JsonValue
from nexus_cli.wire.alert import Alert
from nexus_cli.wire.browse import BrowsePage, BrowseRequest
from nexus_cli.wire.command import Command, Report, Response
from nexus_cli.wire.configuration import Notice, Observed
from nexus_cli.wire.control_drift import DriftReport
from nexus_cli.wire.frame import Committed, Frame, Gap
from nexus_cli.wire.frame_batch import FrameBatch
from nexus_cli.wire.gateway_health import GatewayHealth
from nexus_cli.wire.payload import LiveValue
from nexus_cli.wire.signature import Envelope

Schema: TypeAlias = JsonObject

DRAFT = "http://json-schema.org/draft-07/schema#"
_REFERENCE = "#/"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Message:
    """The published facts of a message beside its Struct.

    Attributes:
        type: Its Struct.
        title: For people.
        text: What it is, and its topic.
        required: Fields that a sender must give although a reader does without; () takes the Struct's.
        only: Fields that are promised to readers; () for all.
        free: Objects of which nothing is promised.
    """

    type: type[msgspec.Struct]
    title: str
    text: str
    required: Sequence[str] = ()
    only: Sequence[str] = ()
    free: Sequence[str] = ()


_SITE = "_nexus/{enterprise}/{site}"
_PROMISED_HEALTH = (
    "state",
    "time",
    "instance",
    "host",
    "pid",
    "term",
    "accounted_since",
    "version",
    "role",
    "name",
    "links",
    "runs",
    "limited",
    "counters",
    "clock",
    "stalled",
)
"""Fields that readers may rely on; the others are for `nexus status` of the same version. Historian and control fit it too."""
_MESSAGES = {
    "frame": _Message(
        type=Frame,
        title="Frame",
        text=f"The samples of one device and one moment: {_SITE}/data/{{gateway}}/{{area}}/{{line}}/{{device}}. "
        "Of gateways with `frames: json`; others send frame batches.",
    ),
    "frame-batch": _Message(
        type=FrameBatch,
        title="Frame batch",
        text=f"The frames of one group commit by column: {_SITE}/data/{{gateway}}. MessagePack: what is base64 here is bin "
        "there, little-endian; keys of `others` and `quality` are integers there. With `compress` it may be one Zstandard frame (RFC 8878) with the size in its "
        "header, at most 4 MiB of it.",
    ),
    "gap": _Message(type=Gap, title="Gap", text=f"Samples that are known to be missing: {_SITE}/gap/{{gateway}}"),
    "committed": _Message(
        type=Committed,
        title="Committed",
        text=f"The historian's receipt, retained: {_SITE}/committed/{{gateway}}",
    ),
    "live": _Message(
        type=LiveValue,
        title="Live value",
        text="The newest value of a tag, retained: {enterprise}/{site}/{area}/{line}/{device}/{tag}",
    ),
    "health": _Message(
        type=GatewayHealth,
        title="Health",
        text=f"One process, retained, with a last will: {_SITE}/health/{{role}}/{{name}}",
        required=("state",),
        only=_PROMISED_HEALTH,
        free=("counters",),
    ),
    "alert": _Message(
        type=Alert,
        title="Alert",
        text=f"State of one alert, retained: {_SITE}/alert/{{name}}",
        required=("name", "state", "severity", "tag"),
    ),
    "config": _Message(
        type=Notice,
        title="Configuration notice",
        text=f"A deployment is waiting, retained: {_SITE}/config/{{gateway}}",
    ),
    "observed": _Message(
        type=Observed,
        title="Observed",
        text=f"What a gateway runs, retained: {_SITE}/observed/{{gateway}}",
        required=("deployment", "digest", "time"),
    ),
    "command": _Message(
        type=Command,
        title="Command",
        text=f"A write, QoS 2, never retained: {_SITE}/cmd/{{area}}/{{line}}/{{device}}/{{tag}}/{{principal}}",
    ),
    "response": _Message(
        type=Response,
        title="Response",
        text=f"The answer to a command: {_SITE}/response/{{gateway}}/{{principal}}/{{id}}",
    ),
    "command-report": _Message(
        type=Report,
        title="Command report",
        text=f"How a command ended, for the record; kept like a frame: {_SITE}/audit/{{gateway}}",
    ),
    "signed": _Message(
        type=Envelope,
        title="Signed message",
        text="A command, a declared message or a message of an external device in an envelope that proves its sender, on the "
        "topic of what is in it.",
        required=("nexus_signed", "key", "time", "nonce", "payload", "signature"),
    ),
    "browse": _Message(
        type=BrowseRequest,
        title="Request to browse",
        text="Asks a gateway to browse one of its links, or to read one address there: "
        f"{_SITE}/browse/{{gateway}}/{{principal}}",
    ),
    "browse-page": _Message(
        type=BrowsePage,
        title="Page of what was browsed",
        text=f"One of several answers to a request to browse: {_SITE}/response/{{gateway}}/{{principal}}/{{id}}",
    ),
}


_REPORTS = {
    "drift": _Message(
        type=DriftReport,
        title="Drift",
        text="The report of `nexus drift --format json`, and of control's schedule.",
    ),
}
"""What no message is: answers of the API and of the command line."""


def report_schemas() -> dict[str, Schema]:
    """Every report by its file name without `.schema.json`."""
    return {name: _published(report) for name, report in _REPORTS.items()}


def message_schemas() -> dict[str, Schema]:
    """Every message by its file name without `.schema.json`."""
    return {name: _published(message) for name, message in _MESSAGES.items()}


def _published(message: _Message) -> Schema:
    _, parts = msgspec.json.schema_components((message.type,), ref_template=_REFERENCE + "{name}")
    found = _plain(parts[message.type.__name__], parts)
    assert isinstance(found, dict)
    properties, required = found["properties"], found.get("required", [])
    assert isinstance(properties, dict)
    if message.only:
        properties = {name: properties[name] for name in message.only}
    properties = {name: {"type": "object"} if name in message.free else each for name, each in properties.items()}
    head: Schema = {"$schema": DRAFT, "title": message.title, "description": message.text, "type": "object"}
    rest = {key: value for key, value in found.items() if key not in (*head, "properties", "required")}
    return {**head, "required": list(message.required) or required, "properties": properties, **rest}


def _plain(node: JsonValue, parts: dict[str, Schema]) -> JsonValue:
    """msgspec's schema (draft 2020-12) as draft-07, with every reference replaced by what it refers to.

    Of a docstring only the first paragraph is kept. Defaults are left out: they are the reader's, not the message's. A
    tuple of one type becomes an array of it; of a tuple of several types only the length is published.
    """
    if isinstance(node, list):
        return [_plain(each, parts) for each in node]
    if not isinstance(node, dict):
        return node
    reference = node.get("$ref")
    if isinstance(reference, str):
        return _plain({**parts[reference.removeprefix(_REFERENCE)], **_without(node, "$ref")}, parts)
    found = {
        key: {name: _plain(each, parts) for name, each in value.items()}
        if key == "properties" and isinstance(value, dict)
        else _plain(value, parts)
        for key, value in _without(node, "title", "default", "prefixItems").items()
    }
    items = node.get("prefixItems")
    if isinstance(items, list):
        found.pop("items", None)
        found |= {"items": _plain(items[0], parts)} if all(each == items[0] for each in items) else {}
    if not found.get("required", True):
        del found["required"]
    text = found.get("description")
    if isinstance(text, str):
        found["description"] = text.partition("\n\n")[0]
    return found


def _without(node: Schema, *names: str) -> Schema:
    return {key: value for key, value in node.items() if key not in names}
