"""Every kind of resource in normal form: one Struct each, made from the site's text and read back from what is recorded.

A resource is a plain mapping where it is compared, digested and stored (`Snapshot`). A reader of fields decodes it
with `decode`. Unknown keys pass: a later version may have written them. Devices are in `config.py`, sequences and
messages in `procedure_config.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, TypeVar

import msgspec

from nexus_cli.model.access_config import GroupConfig, LoginConfig, RoleConfig, UserConfig
from nexus_cli.model.alias_config import AliasConfig
from nexus_cli.model.config import DeviceConfig
from nexus_cli.model.drift import DriftConfig
from nexus_cli.model.expression_text import names_in
from nexus_cli.model.policy_config import ApprovalsConfig, PolicyConfig
from nexus_cli.model.procedure_config import MessageConfig, SequenceConfig
from nexus_cli.model.snapshot import Attributes, Snapshot
from nexus_cli.model.view_config import ViewConfig
from nexus_cli.model.window_config import WindowConfig
from nexus_cli.wire.signature import SignatureRules

LONGEST_MS = 2**53
"""Durations are below this: JSON numbers are exact up to here in every language."""
Positive = Annotated[int, msgspec.Meta(gt=0, lt=LONGEST_MS)]
NotNegative = Annotated[int, msgspec.Meta(ge=0, lt=LONGEST_MS)]
Path = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
TAG_SLASHES = 3
"""In `area/line/device/tag`."""


class PlaceConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an area or a line says about the data below it, for people; its tags have what counts.

    Attributes:
        description: For people.
        owner: Who answers for the data.
        classification: Class of the data; "" where the place names none.
        pii: The data says something about persons.
    """

    description: str = ""
    owner: str = ""
    classification: str = ""
    pii: bool = False


class SiteConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The resource `site`.

    Attributes:
        enterprise, site: First and second level of every topic.
        time_zone: IANA name of the zone in which its days begin; "" is none.
        description: For people.
        replay_of: `enterprise/site` that a replay plays; "" of every plant. No site file can say it.
        signatures: Which messages must be signed, and the keys; None where the site says nothing of it.
        drift: How often control looks for drift; None without a schedule.
        labels: Of areas (`packaging`) and lines (`packaging/line-1`) that have any; a device's own are with the device.
        places: What areas and lines say beside their labels, by path; only those that name an owner, a class or `pii`.
        mass_change: Share of devices, tags, series and principals that one deployment may change without consent, or a share
            for each of them; None is no limit.
        windows: Maintenance windows by name.
        window_at: Name of the window of a path; "" takes an outer one away.
    """

    enterprise: str
    site: str
    time_zone: str = ""
    description: str = ""
    replay_of: str = ""
    labels: dict[str, dict[str, str]] = {}
    places: dict[str, PlaceConfig] = {}
    signatures: SignatureRules | None = None
    mass_change: float | dict[str, float] | None = None
    drift: DriftConfig | None = None
    windows: dict[str, WindowConfig] = {}
    window_at: dict[str, str] = {}


class GatewayResource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The resource `gateway.NAME`: which devices it reads. What it runs is a `GatewayConfig`.

    Attributes:
        select: Selectors such as `protocol:modbus`, any of which matches; empty takes the rest.
        frames: `columns`, or `json`: each frame as a message of its own.
        compress: `never`, `auto` or `always`.
        description: For people.
    """

    select: list[str] = []
    frames: str = "columns"
    compress: str = "never"
    description: str | None = None


class RetentionConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The resource `retention.NAME`: how long samples of a class are kept.

    Attributes:
        keep_ms: Age at which samples are dropped, in ms.
        rollups: Rollups beside the hourly ones: `1m`, `5m`, `15m`, `1d`.
        compress_after_ms: Age at which chunks are compressed, in ms; None is never.
        archive_after_ms: Age at which a day goes to the archive, in ms; None is never.
        archive_keep_ms: Age at which a day is removed from the archive, in ms; None is never.
    """

    keep_ms: Positive
    rollups: list[str] = []
    compress_after_ms: Positive | None = None
    archive_after_ms: Positive | None = None
    archive_keep_ms: Positive | None = None


class ArchiveConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The resource `archive.store`: where days of samples go. Secrets are references; the worker resolves them.

    Attributes:
        to: A folder, or `s3://bucket/prefix`.
        endpoint: Of an S3-compatible store; "" is Amazon's.
        region: Of the store.
        user: Access key.
        password: Its secret.
    """

    to: str
    endpoint: str = ""
    region: str = ""
    user: str = ""
    password: str = ""


class AlertConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The resource `alert.NAME`: one condition, of one tag or of several (`expr`). Limits are in the tag's published unit.

    Attributes:
        on_bad: What a BAD value does: `hold` keeps the state, `clear` ends it, `raise` counts as the condition.
        severity: `info`, `warning` or `critical`.
        tag: `area/line/device/tag`; of an `expr` where it belongs, "" is nowhere.
        above, below: Active beyond this value; None is no limit.
        equals: Active at this value, or at this name of an enumeration's code.
        clear_below, clear_above: Hysteresis of `above` and of `below`; None is the limit itself.
        description, response, consequence: For people: what it is, what to do, and what happens otherwise.
        for_ms: On-delay: how long the condition must hold before the alert is active, in ms.
        clear_after_ms: Off-delay: how long it must be over, in ms.
        instant: `equals` is a moment of a datetime, which may be spelt in several ways.
        outside: `[low, high]`: active below the one and above the other.
        rate_above, rate_below: Active when the value moved by more, or by less, within `rate_per_ms`.
        unchanged_for_ms, no_data_for_ms: Active when the value did not change, or none came, for so long; None is no such limit.
        expr: Active while this holds: an expression on tags, by full paths in braces; "" is none.
        priority: `low`, `medium`, `high` or `critical` makes it an alarm; "" is none.
        group: Alarms that one person answers.
        suppressed_by: Names of alerts: while one of them is active, this one is suppressed.
    """

    on_bad: str = "hold"
    severity: str = "warning"
    tag: Annotated[str, msgspec.Meta(max_length=500)] = ""
    above: float | None = None
    below: float | None = None
    equals: bool | int | float | str | None = None
    clear_below: float | None = None
    clear_above: float | None = None
    description: str | None = None
    for_ms: NotNegative = 0
    instant: bool = False
    outside: tuple[float, float] | None = None
    rate_above: float | None = None
    rate_below: float | None = None
    rate_per_ms: NotNegative = 0
    unchanged_for_ms: Positive | None = None
    no_data_for_ms: Positive | None = None
    expr: str = ""
    clear_after_ms: NotNegative = 0
    priority: str = ""
    group: str = ""
    suppressed_by: list[str] = []
    response: str | None = None
    consequence: str | None = None

    def __post_init__(self) -> None:
        """Raise ValueError (in a decoder ValidationError) without anything to watch."""
        if not self.tag and not self.expr:
            raise ValueError("an alert needs a tag or an expression")

    def paths(self) -> tuple[str, ...]:
        """The tags that it watches and shows, by full path, each once."""
        named = (name for name in names_in(self.expr) if name.count("/") == TAG_SLASHES) if self.expr else ()
        return tuple(dict.fromkeys(path for path in (self.tag, *named) if path))


def paths_of(alert: Attributes) -> tuple[str, ...]:
    """The tags that a recorded alert watches; () of one that can't be read."""
    try:
        return decode(alert, AlertConfig).paths()
    except msgspec.ValidationError:
        return ()


class DigestConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happens in a flood of alarms: it begins above so many in 10 minutes and ends below; a digest each `every_ms`."""

    above: int = 10
    below: int = 5
    every_ms: Positive = 300_000


class ChannelConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The resource `channel.NAME`: one way to reach someone. Secrets are references; the worker resolves them.

    Attributes:
        kind: `mail`, `webhook` or `url`.
        to, sender, server, security, user, password: Of mail.
        url: Of a webhook, or as Apprise writes it.
        key: Of a webhook: what its body is signed with.
        headers: Of a webhook.
        description: For people.
    """

    kind: str
    to: list[str] = []
    sender: str = ""
    server: str = ""
    security: str = "starttls"
    user: str = ""
    password: str = ""
    url: str = ""
    key: str = ""
    headers: dict[str, str] = {}
    description: str | None = None


class EscalationConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A further step, so long after the alarm became active, while no one acknowledged."""

    after_ms: Positive
    to: list[str]


class RouteConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The resource `route.NAME`: which alarms go to which channels. Empty lists take all.

    Attributes:
        to: Channels, at once.
        priorities: Of the alarms.
        groups, alerts: Names or globs.
        hours: Times of the week where the site is.
        returned: Whether the end of the condition is said, too.
        escalate: Further steps.
    """

    to: list[str]
    priorities: list[str] = []
    groups: list[str] = []
    alerts: list[str] = []
    hours: list[str] = []
    returned: bool = False
    escalate: list[EscalationConfig] = []


CONFIG_OF: Mapping[str, type[msgspec.Struct]] = {
    "site": SiteConfig,
    "gateway": GatewayResource,
    "retention": RetentionConfig,
    "archive": ArchiveConfig,
    "role": RoleConfig,
    "user": UserConfig,
    "group": GroupConfig,
    "login": LoginConfig,
    "alert": AlertConfig,
    "sequence": SequenceConfig,
    "message": MessageConfig,
    "view": ViewConfig,
    "channel": ChannelConfig,
    "route": RouteConfig,
    "digest": DigestConfig,
    "policy": PolicyConfig,
    "approvals": ApprovalsConfig,
    "device": DeviceConfig,
    "alias": AliasConfig,
}
"""The Struct of every kind of resource, by the word before the dot of its address."""

Config = TypeVar("Config", bound=msgspec.Struct)


def decode(attributes: Mapping[str, Any], config: type[Config]) -> Config:
    """The attributes of a resource as its Struct.

    Raises:
        msgspec.ValidationError: They are not of this kind.
    """
    return msgspec.convert(attributes, config)


def encode(config: msgspec.Struct, *always: str) -> Attributes:
    """A Struct as the attributes of its resource, in the order of its fields.

    Args:
        config: What to write; fields that have their default are left out.
        always: Names of fields that are written all the same, and first: digests that are on record have them.
    """
    written: Attributes = msgspec.to_builtins(config)
    return {**{name: getattr(config, name) for name in always}, **written}


def every(snapshot: Snapshot, kind: str, config: type[Config]) -> Iterator[tuple[str, Config]]:
    """Name and Struct of every resource of a kind, in address order. Raises like `decode`."""
    return ((name, decode(attributes, config)) for name, attributes in snapshot.of_kind(kind))
