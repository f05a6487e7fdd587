"""The site language as pydantic models: what a person may write, with the texts that editors show on hover.

The tree that arrives here has its includes, overlays, variables and templates resolved (`source/`), and
inherited keys filled in; a driver's kind adds its own keys to `Tag` and `Connection`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from nexus_cli.json_value import JsonObject
from nexus_cli.model.access import Access, Classification
from nexus_cli.model.actions import OnChange
from nexus_cli.model.alarms import Alert as Alert
from nexus_cli.model.archiving import Archive
from nexus_cli.model.calendar import ZoneName
from nexus_cli.model.datatype import NAMES as TYPE_NAMES
from nexus_cli.model.datatype import parse_type, type_hint
from nexus_cli.model.drift import Drift
from nexus_cli.model.governance import QualityRules
from nexus_cli.model.limits import Limits
from nexus_cli.model.notifications import Notifications
from nexus_cli.model.policies import Approvals, Policy
from nexus_cli.model.procedures import Message, Sequence
from nexus_cli.model.rollouts import Rollout
from nexus_cli.model.signatures import Signatures
from nexus_cli.model.spelling import Age as Age
from nexus_cli.model.spelling import Duration as Duration
from nexus_cli.model.spelling import SpellingError as SpellingError
from nexus_cli.model.spelling import Strict as Strict
from nexus_cli.model.spelling import Wait as Wait
from nexus_cli.model.spelling import parse_duration as parse_duration
from nexus_cli.model.views import View
from nexus_cli.model.windows import Window

Mode = Literal["poll", "subscribe", "cyclic"]


class Deadband(Strict):
    """How far a value must move before it is published again."""

    absolute: float | None = Field(default=None, ge=0, description="In the published unit.")
    percent: float | None = Field(default=None, ge=0, le=100, description="Of the span of `range`.")


_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,9})?)\s*%\Z", re.ASCII)
_DEADBAND_HINT = "write a number in the published unit, or a percentage of the range such as '2%'"


@lru_cache(maxsize=1024)
def _deadband_of(value: float | str) -> Deadband:
    if not isinstance(value, str):
        if not 0 <= value < float("inf"):
            raise SpellingError(f"a deadband of {value} is not possible", code="NX1007", hint=_DEADBAND_HINT)
        return Deadband(absolute=float(value))
    match = _PERCENT.match(value)
    if match is None or float(match[1]) > 100:
        raise SpellingError(f"'{value}' is not a deadband", code="NX1007", hint=_DEADBAND_HINT)
    return Deadband(percent=float(match[1]))


def _deadband(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        if value is None or isinstance(value, (dict, Deadband)):
            return value
        raise SpellingError(f"'{value}' is not a deadband", code="NX1007", hint=_DEADBAND_HINT)
    if isinstance(value, int) and abs(value) > 2**63:
        raise SpellingError(f"a deadband of {value} is not possible", code="NX1007", hint=_DEADBAND_HINT)
    return _deadband_of(value)


@lru_cache(maxsize=4096)
def _type_of(text: str) -> str:
    try:
        return str(parse_type(text))
    except ValueError as error:
        raise SpellingError(str(error), code="NX1006", hint=type_hint(text)) from None


def _codes(value: object) -> object:
    """YAML gives `0: stopped` a number or a text as its key, by how it was read; both mean the code 0."""
    if not isinstance(value, dict):
        return value
    return {int(key) if isinstance(key, str) and _CODE.match(key) else key: label for key, label in value.items()}


DeadbandText = Annotated[
    Deadband,
    BeforeValidator(_deadband),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0},
                {"type": "string", "pattern": r"^\d{1,3}(\.\d{1,9})?\s*%$"},
            ],
            "examples": [0.5, "2%"],
        }
    ),
]
"""A number in the published unit, or a percentage of the range."""

_CODE = re.compile(r"-?\d{1,19}\Z", re.ASCII)
Code = Annotated[int, Field(ge=-(2**63), le=2**64 - 1)]
Labels = Annotated[
    dict[Code, str],
    BeforeValidator(_codes),
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"pattern": r"^-?\d{1,19}$"},
            "additionalProperties": {"type": "string"},
        }
    ),
]
"""Label by code."""

Bound = tuple[float | None, float | None]
"""[low, high]; null is open."""
TypeName = Annotated[
    str,
    AfterValidator(_type_of),
    WithJsonSchema(
        {
            "type": "string",
            "anyOf": [
                {"enum": list(TYPE_NAMES)},
                {"pattern": rf"^({'|'.join(TYPE_NAMES)})(\[\d{{1,5}}\]){{1,2}}$"},
            ],
        }
    ),
]


class Live(Strict):
    """How the newest value of a tag is published on its own topic. One value: the nearest `live` counts as a whole."""

    publish: bool | None = Field(
        default=None,
        description="false publishes nothing there; frames, history and expressions have the tag as before.",
    )
    qos: Literal[0, 1] | None = Field(
        default=None,
        description="0 (default), or 1: the broker acknowledges each value, and keeps it for sessions that are away.",
    )
    retain: bool | None = Field(
        default=None, description="Whether the broker keeps the value for those who subscribe later (default true)."
    )
    every: Duration | None = Field(
        default=None,
        description="Least time between two values of the tag, the newest wins; a change of quality does not wait.",
    )


class Inherited(Strict):
    """Keys that are allowed at any level from the site's `defaults` down to the tag; the nearest wins."""

    poll: Duration | None = Field(default=None, description="How often the value is read, e.g. 1s.")
    mode: Mode | None = Field(
        default=None, description="Read in cycles (poll), or let the device report (subscribe, cyclic)."
    )
    retention: str | None = Field(default=None, description="Name of the retention class that keeps the history.")
    keep: Literal["always", "class"] | None = Field(
        default=None,
        description="always: its samples are never dropped, also when this line is gone (nexus keep); class: as `retention` says (default).",
    )
    deadband: DeadbandText | None = Field(
        default=None,
        description="Publish only when the value moved by more: a number in the published unit, or '2%' of range.",
    )
    heartbeat: Wait | None = Field(default=None, description="Publish at least this often even when nothing moved.")
    enabled: bool | None = Field(
        default=None, description="false publishes BAD out_of_service and does not touch the device."
    )
    live: Live | None = Field(default=None, description="How the newest value is published on the tag's own topic.")
    classification: Classification | None = Field(
        default=None, description="Class of its data; only roles with this clearance see it (default internal)."
    )
    owner: str | None = Field(default=None, description="Who answers for the data: a person, a team, a mail address.")
    pii: bool | None = Field(default=None, description="true: it says something about persons.")
    quality: QualityRules | None = Field(default=None, description="How good a value has to be.")


class Simulate(Strict):
    """What a simulated device answers for this tag (`nexus sim`), in the device's raw unit unless said otherwise."""

    signal: Literal["sine", "ramp", "walk", "steps", "constant", "toggle", "csv"] = Field(
        description="Form of the signal."
    )
    low: float | None = Field(default=None, description="Lowest value.")
    high: float | None = Field(default=None, description="Highest value.")
    period: Duration | None = Field(default=None, description="Time of one turn (sine, ramp, toggle) or of one step.")
    step: float | None = Field(default=None, description="Largest move of a random walk per period.")
    value: bool | Code | float | str | list[bool | Code | float | str] | None = Field(
        default=None, description="Value of a constant."
    )
    values: list[bool | Code | float | str] | None = Field(default=None, description="Values of the steps, in turn.")
    file: str | None = Field(default=None, description="CSV file to replay, relative to the site file.")
    column: str | None = Field(default=None, description="Column of the CSV file.")
    seed: Code | None = Field(default=None, description="Makes a random walk repeatable.")


class Tag(Inherited):
    """One value of a device. A driver's kind extends it with its address keys."""

    type: TypeName = Field(
        description="bool, int8 … uint64, float16/32/64, string[20], datetime, duration, json, or an array such as float32[5]."
    )
    unit: str | None = Field(default=None, description="Unit of the device's value, e.g. degF, kWh.")
    publish_unit: str | None = Field(default=None, description="Unit to publish and store; converted from `unit`.")
    scale: float | None = Field(default=None, description="Factor applied to the raw value: raw * scale + offset.")
    offset: float | None = Field(default=None, description="Added after the scale.")
    range: Bound | None = Field(
        default=None,
        description="[low, high] in the published unit; outside it the value is UNCERTAIN, and a write is refused.",
        strict=False,
    )
    values: Labels | None = Field(default=None, description="Names of an enumeration's codes.")
    writable: bool | None = Field(default=None, description="true lets commands write it.")
    read_back: str | None = Field(
        default=None,
        description="What proves a write: the tag itself (default), none (pulses), or another tag of the same link.",
    )
    read_back_timeout: Duration | None = Field(
        default=None,
        description="How long a written value may take to show: 750ms in the tag itself, 5s in another tag, else 100ms to 5m.",
    )
    description: str | None = Field(default=None, description="For people.")
    labels: dict[str, str] | None = Field(default=None, description="For selectors and dashboards.")
    simulate: Simulate | None = Field(default=None, description="What `nexus sim` answers.")


class Calculated(Inherited):
    """A value computed in the gateway from other tags of the same gateway."""

    expr: str = Field(
        description="e.g. temperature > 100 and state == 'running'; {voltage-l1} for names with a hyphen or dot."
    )
    type: TypeName = Field(description="Type of the result.")
    unit: str | None = Field(default=None, description="Unit of the result.")
    range: Bound | None = Field(default=None, description="[low, high]; outside it UNCERTAIN.", strict=False)
    values: Labels | None = Field(default=None, description="Names of an enumeration's codes.")
    description: str | None = Field(default=None, description="For people.")
    labels: dict[str, str] | None = Field(default=None, description="For selectors and dashboards.")


class Connection(Strict):
    """How to reach a device; every kind extends it. Times bound one request, never a whole cycle."""

    timeout: Duration | None = Field(default=None, description="Longest wait for one answer (default 1s).")
    pause: Duration | None = Field(default=None, description="Rest between two requests on the link.")
    connect_timeout: Duration | None = Field(default=None, description="Longest wait for a connection (default 3s).")


class Device(Inherited):
    """A field device with a protocol. `connection` and `tags` are bound by the protocol's kind."""

    protocol: str = Field(description="modbus, opcua, s7, ads or external.")
    connection: JsonObject = Field(default_factory=dict, description="How to reach it.")
    tags: dict[str, JsonObject] = Field(default_factory=dict, description="Its values by name.")
    calculated: dict[str, Calculated] = Field(default_factory=dict, description="Values computed from other tags.")
    on_change: OnChange | None = Field(default=None, description="Sequences around a deployment that changes it.")
    description: str | None = Field(default=None, description="For people.")
    labels: dict[str, str] | None = Field(default=None, description="For selectors and dashboards.")
    window: str | None = Field(
        default=None, description="Maintenance window of the device; none takes an outer one away."
    )


class Line(Strict):
    """A production line: devices by name."""

    description: str | None = Field(default=None, description="For people.")
    labels: dict[str, str] | None = Field(default=None, description="For selectors and dashboards.")
    classification: Classification | None = Field(
        default=None, description="Class of the data below (default internal)."
    )
    owner: str | None = Field(default=None, description="Who answers for the data below.")
    pii: bool | None = Field(default=None, description="true: the data below says something about persons.")
    window: str | None = Field(
        default=None, description="Maintenance window of what is below; none takes an outer one away."
    )
    on_change: OnChange | None = Field(
        default=None, description="Sequences around a deployment that changes one of its devices."
    )
    defaults: JsonObject = Field(default_factory=dict, description="Inherited keys for everything below.")
    devices: dict[str, JsonObject] = Field(default_factory=dict, description="Devices by name.")


class Area(Strict):
    """An area: lines by name."""

    description: str | None = Field(default=None, description="For people.")
    labels: dict[str, str] | None = Field(default=None, description="For selectors and dashboards.")
    classification: Classification | None = Field(
        default=None, description="Class of the data below (default internal)."
    )
    owner: str | None = Field(default=None, description="Who answers for the data below.")
    pii: bool | None = Field(default=None, description="true: the data below says something about persons.")
    window: str | None = Field(
        default=None, description="Maintenance window of what is below; none takes an outer one away."
    )
    defaults: JsonObject = Field(default_factory=dict, description="Inherited keys for everything below.")
    lines: dict[str, Line] = Field(default_factory=dict, description="Lines by name.")


class Gateway(Strict):
    """A process that reads devices. Every link belongs to exactly one."""

    select: list[str] = Field(
        default_factory=list,
        description="protocol:modbus, area:packaging, line:packaging/line-1, device:packaging/line-1/filler, link:tcp:10.0.0.9:502, label:key=value; any of them matches. Empty takes the rest.",
    )
    frames: Literal["columns", "json"] = Field(
        default="columns",
        description="How it sends the record: many frames in one message by column, or (json) each frame as a JSON message on its device's topic, for people who read it off the wire.",
    )
    compress: Literal["never", "auto", "always"] = Field(
        default="never",
        description="Whether it compresses large messages of the record (zstd): auto does while the broker acknowledges late. Update historians first: earlier ones do not read them.",
    )
    description: str | None = Field(default=None, description="For people.")


class Retention(Strict):
    """How long samples of this class live."""

    keep: Age = Field(description="Age at which samples are dropped, e.g. 400d.")
    compress_after: Age | None = Field(default=None, description="Age at which chunks are compressed (TimescaleDB).")
    rollups: list[Literal["1m", "5m", "15m", "1h", "1d"]] = Field(
        default_factory=list, description="Rollups to keep beside those of hours, which every class has."
    )


class Moved(Strict):
    """A rename that keeps history."""

    from_: str = Field(alias="from", description="Old path of a tag, a device, a line or an area.")
    to: str = Field(description="New path.")
    keep_old_for: Age | None = Field(
        default=None, description="How long live values are published under the old path, too, e.g. 30d."
    )


class Site(Strict):
    """A whole site: the top of the file."""

    nexus: Literal[1] = Field(description="Version of the site language.")
    enterprise: str = Field(description="First level of every topic.")
    site: str = Field(description="Second level of every topic.")
    description: str | None = Field(default=None, description="For people.")
    time_zone: ZoneName | None = Field(
        default=None, description="Where its days begin, e.g. Europe/Berlin: for buckets of days, weeks and months."
    )
    include: list[str] = Field(default_factory=list, description="Further files, as globs relative to this one.")
    vars: JsonObject = Field(default_factory=dict, description="Plain variables: ${var:NAME}.")
    defaults: JsonObject = Field(default_factory=dict, description="Inherited keys for the whole site.")
    templates: JsonObject = Field(default_factory=dict, description="Device types with parameters.")
    areas: dict[str, Area] = Field(default_factory=dict, description="Areas by name.")
    gateways: dict[str, Gateway] = Field(default_factory=dict, description="Processes that read devices.")
    retention: dict[str, Retention] = Field(default_factory=dict, description="Retention classes by name.")
    access: Access = Field(default_factory=Access, description="Who may see and write what.")
    alerts: dict[str, Alert] = Field(default_factory=dict, description="Conditions on tags, by name.")
    notifications: Notifications = Field(default_factory=Notifications, description="Whom alarms reach.")
    signatures: Signatures = Field(default_factory=Signatures, description="Which messages must be signed.")
    policies: dict[str, Policy] = Field(default_factory=dict, description="What a plan must keep to, by name.")
    approvals: Approvals | None = Field(default=None, description="Who has to sign a plan.")
    drift: Drift | None = Field(default=None, description="How often control looks for drift.")
    archive: Archive | None = Field(default=None, description="Where old history goes before it is dropped.")
    sequences: dict[str, Sequence] = Field(default_factory=dict, description="Ordered writes with waits, by name.")
    messages: dict[str, Message] = Field(default_factory=dict, description="Messages that may be published, by name.")
    views: dict[str, View] = Field(
        default_factory=dict, description="Topics that are watched together, in six priorities, by name."
    )
    limits: Limits = Field(default_factory=Limits, description="What one deployment may change without consent.")
    windows: dict[str, Window] = Field(
        default_factory=dict, description="Times at which the plant may be changed, by name."
    )
    window: str | None = Field(default=None, description="Maintenance window of the whole site.")
    rollout: Rollout | None = Field(default=None, description="Waves in which changes of devices go out.")
    moved: list[Moved] = Field(default_factory=list, description="Renames that keep history.")
