"""The normal form: what a gateway runs, what control records, what plan compares. Plain JSON, no YAML, no defaults left open.

A `DeviceConfig` as builtins is the attributes of the snapshot's `device.…` resource, so desired state, recorded
state and the gateway's configuration are one type. The other kinds of resources are in `resources.py`.
"""

from __future__ import annotations

import hashlib
import logging

import msgspec

from nexus_cli.json_value import JsonObject
from nexus_cli.wire.signature import SignatureRules

_log = logging.getLogger("nexus.recorded")


class QualityConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The `quality:` rules of a tag. What a rule does is `flag`, `reject` or `alarm`; "" is no such rule.

    Attributes:
        range: Outside the tag's range.
        rate: When it moves by more than `rate_above` (published unit) in `rate_ms`.
        flat: When it does not move for `flat_ms`.
        missing: When no usable value comes for `missing_ms`.
        range_priority, rate_priority, flat_priority, missing_priority: Of its alarm; "" raises an alert.
    """

    range: str = ""
    rate: str = ""
    rate_above: float = 0.0
    rate_ms: int = 1000
    flat: str = ""
    flat_ms: int = 0
    missing: str = ""
    missing_ms: int = 0
    range_priority: str = ""
    rate_priority: str = ""
    flat_priority: str = ""
    missing_priority: str = ""


class TagConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One tag, resolved. The published value is `((raw * scale + offset) * unit_factor) + unit_shift`.

    Attributes:
        address: Normal form in the protocol's spelling; "" for calculated and external tags.
        type: Type of the value on the device; for external and calculated tags of the value itself.
        options: Protocol-specific facts (byte order, bit, string encoding, …).
        mode: `poll`, `subscribe` or `cyclic`.
        poll_ms: Poll interval, or sampling/cycle interval in the other modes.
        unit_factor, unit_shift: From `unit` to `publish_unit`; 1 and 0 when they are the same.
        range: [low, high] in the published unit; None is open.
        deadband: Absolute, in the published unit (a percentage is resolved against `range`).
        heartbeat_ms: 0 is none.
        values: Label by code (codes as strings, JSON keys).
        retention: Name of the retention class.
        read_back: What a write is proved with: "" the tag itself, `none`, or the path of another tag.
        read_back_timeout_ms: How long the written value may take to show there; 0 is `proof.proof_s`'s default.
        live_publish: Whether the newest value is published on the tag's topic.
        live_qos: 0 or 1.
        live_retain: Whether the broker keeps it.
        live_every_ms: Least time between two values there; 0 is none.
        expr: Calculated tags: the expression's text.
        inputs: Calculated tags: path `area/line/device/tag` by the name used in `expr`.
        classification: Class of its data; "" is `internal`.
        owner: Who answers for the data; "".
        pii: It says something about persons.
        quality: How good a value has to be; None without rules.
        keep_always: Its series is protected: no sample is ever dropped.
        published_type: Type of the published value (float64 once scaled or converted; else `type`).
    """

    type: str
    published_type: str = ""
    address: str = ""
    options: JsonObject = {}
    mode: str = "poll"
    poll_ms: int = 1000
    scale: float = 1.0
    offset: float = 0.0
    unit: str = ""
    publish_unit: str = ""
    unit_factor: float = 1.0
    unit_shift: float = 0.0
    range: tuple[float | None, float | None] | None = None
    deadband: float = 0.0
    heartbeat_ms: int = 0
    values: dict[str, str] = {}
    writable: bool = False
    read_back: str = ""
    read_back_timeout_ms: int = 0
    enabled: bool = True
    retention: str = "default"
    live_publish: bool = True
    live_qos: int = 0
    live_retain: bool = True
    live_every_ms: int = 0
    expr: str = ""
    inputs: dict[str, str] = {}
    description: str = ""
    labels: dict[str, str] = {}
    simulate: JsonObject = {}
    classification: str = ""
    owner: str = ""
    pii: bool = False
    quality: QualityConfig | None = None
    keep_always: bool = False


class DeviceConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One device, resolved.

    Attributes:
        path: `area/line/device`.
        protocol: Name of its driver kind, or `external`.
        link: Link id that the device is reached through; "" for external devices.
        gateway: The gateway that reads it; "" for external devices.
        connection: Connection keys as JSON values, durations in milliseconds under their own names,
            secret references (`${env:…}`, `${file:…}`) still unresolved.
        tags: By name, calculated tags included.
        enabled: False publishes BAD `out_of_service` for every tag and opens no session.
        classification: Of an external device with topics: class of what is not declared tag by tag; "" is `internal`.
        owner, pii: What its tags have where they say nothing else.
        on_change: Names of sequences that a deployment runs around a change of it: `before`, `after`.
    """

    path: str
    protocol: str
    link: str = ""
    gateway: str = ""
    connection: JsonObject = {}
    tags: dict[str, TagConfig] = {}
    enabled: bool = True
    description: str = ""
    labels: dict[str, str] = {}
    classification: str = ""
    owner: str = ""
    pii: bool = False
    on_change: dict[str, str] = {}

    @property
    def globs(self) -> tuple[str, ...]:
        """Of an external device: path globs of what is stored beside its declared tags."""
        return tuple(self.connection.get("globs", ()))

    @property
    def max_series(self) -> int:
        """Of an external device: at most this many series may come from its globs."""
        return int(self.connection.get("max_series", 0))


class DeviceOutline(msgspec.Struct, frozen=True, kw_only=True):
    """A `DeviceConfig` whose tags are left as they are, for who needs their names alone.

    To decode the tags of a large site (41,000) takes half a second; this takes a hundredth of it.
    """

    path: str = ""
    protocol: str = ""
    gateway: str = ""
    connection: JsonObject = {}
    tags: JsonObject = {}
    labels: dict[str, str] = {}
    classification: str = ""

    @property
    def globs(self) -> tuple[str, ...]:
        """As of a `DeviceConfig`."""
        return tuple(self.connection.get("globs", ()))


class GatewayConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one gateway runs at one deployment.

    Attributes:
        deployment: Number of the deployment that made it so.
        devices: By path.
        digests: Digest of every device, by path; what `observed` answers with.
        frames, compress: How it sends the record: `columns` or `json`; compressed `never`, `auto` or `always`.
        signatures: Which commands it takes only with a signature, and the keys.
    """

    enterprise: str
    site: str
    gateway: str
    deployment: int
    devices: dict[str, DeviceConfig]
    digests: dict[str, str]
    frames: str = "columns"
    compress: str = "never"
    signatures: SignatureRules = SignatureRules()


_canonical = msgspec.json.Encoder(order="deterministic")


def digest(value: object) -> str:
    """`sha256:` and the hex digest of a value's canonical JSON (sorted keys)."""
    return "sha256:" + hashlib.sha256(_canonical.encode(value)).hexdigest()


def device_from_json(value: object) -> DeviceConfig:
    """Build a device from JSON values.

    Raises:
        msgspec.ValidationError: The value is not a device.
    """
    return msgspec.convert(value, DeviceConfig)


def readable_device(value: object, *, address: str) -> DeviceConfig | None:
    """The device of a recorded resource; None when it can't be read, which is logged and costs that device alone."""
    try:
        device = device_from_json(value)
        return device if all(isinstance(glob, str) for glob in device.globs) and device.max_series >= 0 else None
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        _log.error("the recorded resource %s can't be read: %s", address, error)
        return None


def to_json(config: DeviceConfig) -> JsonObject:
    """The device as JSON values, defaults left out: the attributes of its snapshot resource."""
    built: JsonObject = msgspec.to_builtins(config)
    return built
