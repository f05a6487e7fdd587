"""From the bound model to the normal form: the snapshot that plan compares, control records and gateways run.

Every kind of resource is a Struct (`resources.CONFIG_OF`); its attributes have no defaults, and durations are in milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from nexus_cli.json_value import JsonObject
from nexus_cli.model.access import DEFAULT_CLASS
from nexus_cli.model.access_config import access_resources
from nexus_cli.model.actions import bindings
from nexus_cli.model.alarms import SEVERITY_OF
from nexus_cli.model.aliases import alias_resources
from nexus_cli.model.archiving import Archive, ArchivedClass
from nexus_cli.model.bound import BoundDevice, Model
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.model.datatype import parse_type
from nexus_cli.model.drift import drift_config
from nexus_cli.model.expression_text import names_in
from nexus_cli.model.external import MAX_SERIES_DEFAULT, ExternalDevice, ExternalTag
from nexus_cli.model.gateways import DEFAULT_GATEWAY
from nexus_cli.model.governed import about, places_of, quality_alerts
from nexus_cli.model.limits import mass_change_of
from nexus_cli.model.notification_config import notification_resources
from nexus_cli.model.policy_config import APPROVALS, POLICY, approvals_config, policy_configs
from nexus_cli.model.procedure_config import message_config, sequence_config
from nexus_cli.model.quantities import UnitError, conversion
from nexus_cli.model.resources import (
    AlertConfig,
    ArchiveConfig,
    GatewayResource,
    RetentionConfig,
    SiteConfig,
    encode,
)
from nexus_cli.model.signature_rules import signature_rules
from nexus_cli.model.site import Alert, Calculated, Live, Retention, Site, Tag, parse_duration
from nexus_cli.model.snapshot import Attributes, Snapshot
from nexus_cli.model.view_config import view_config
from nexus_cli.model.windowed import window_places, windows_of

DEFAULT_RETENTION = "default"
STORE = "archive.store"
"""The resource that says where the archive is."""
DEFAULT_KEEP_MS = parse_duration("400d")
DEFAULT_POLL_MS = 1000


class KnownConfig(NamedTuple):
    """The normal form of a device, from an earlier run.

    Attributes:
        digest: Of its attributes.
        attributes: In JSON.
    """

    digest: str
    attributes: bytes


NONE_KNOWN: Mapping[str, KnownConfig] = {}


def snapshot_of(model: Model, known: Mapping[str, KnownConfig] = NONE_KNOWN) -> Snapshot:
    """The snapshot of a model without errors. Units, percentages and defaults are resolved here, once.

    Args:
        model: The bound site.
        known: The normal form of devices, by path, as far as it is at hand.
    """
    site = model.site
    resources: dict[str, Attributes] = {
        "site": encode(
            SiteConfig(
                enterprise=site.enterprise,
                site=site.site,
                time_zone=site.time_zone or "",
                description=site.description or "",
                labels=_labels(site),
                places=places_of(site),
                signatures=signature_rules(site.signatures, zone=site.time_zone),
                mass_change=mass_change_of(site.limits),
                drift=drift_config(site.drift),
                windows=windows_of(site),
                window_at=window_places(site, model.devices.values()),
            )
        )
    }
    for name, gateway in site.gateways.items():
        resources[f"gateway.{name}"] = encode(
            GatewayResource(
                select=list(gateway.select),
                frames=gateway.frames,
                compress=gateway.compress,
                description=gateway.description,
            )
        )
    if not site.gateways:
        resources[f"gateway.{DEFAULT_GATEWAY}"] = {}
    for name, retention in retention_classes(site).items():
        resources[f"retention.{name}"] = encode(_retention(retention, archived(site, name)), "keep_ms", "rollups")
    if site.archive is not None:
        resources[STORE] = encode(store_config(site.archive))
    resources |= access_resources(site.access)
    for name, sequence in site.sequences.items():
        resources[f"sequence.{name}"] = encode(sequence_config(sequence))
    for name, message in site.messages.items():
        resources[f"message.{name}"] = encode(message_config(message))
    for name, view in site.views.items():
        resources[f"view.{name}"] = encode(view_config(view))
    for path, device in model.devices.items():
        found = known.get(path)
        made = msgspec.json.decode(found.attributes) if found else encode(device_config(device))
        resources[f"device.{path}"] = made
    for name, alert in site.alerts.items():
        resources[f"alert.{name}"] = encode(_alert(alert, model), "on_bad", "severity")
    resources |= quality_alerts(resources)
    resources |= notification_resources(site.notifications)
    if site.moved:
        resources |= alias_resources(site, {path: resources[f"device.{path}"] for path in model.devices})
    resources |= {POLICY + name: encode(one) for name, one in policy_configs(site.policies).items()}
    if site.approvals is not None:
        resources[APPROVALS] = encode(approvals_config(site.approvals))
    digests = {f"device.{path}": one.digest for path, one in known.items()}
    return Snapshot.of(site.enterprise, site.site, resources, digests)


def _labels(site: Site) -> dict[str, dict[str, str]]:
    found = {name: area.labels for name, area in site.areas.items()}
    found |= {f"{name}/{line}": one.labels for name, area in site.areas.items() for line, one in area.lines.items()}
    return {path: dict(labels) for path, labels in found.items() if labels}


def _alert(alert: Alert, model: Model) -> AlertConfig:
    watched = model.tag(alert.tag or "")
    rate = alert.rate
    return AlertConfig(
        on_bad=alert.on_bad,
        severity=alert.severity or SEVERITY_OF[alert.priority or ""],
        tag=alert.tag or "",
        above=alert.above,
        below=alert.below,
        equals=alert.equals,
        clear_below=alert.clear_below,
        clear_above=alert.clear_above,
        description=alert.description,
        for_ms=alert.for_ or 0,
        # Control doesn't know types, and the same two texts are one moment in a datetime and two texts in a string.
        instant=isinstance(alert.equals, str) and watched is not None and watched.type == "datetime",
        outside=alert.outside,
        rate_above=rate.above if rate else None,
        rate_below=rate.below if rate else None,
        rate_per_ms=rate.per if rate else 0,
        unchanged_for_ms=alert.unchanged_for,
        no_data_for_ms=alert.no_data_for,
        expr=alert.expr or "",
        clear_after_ms=alert.clear_after or 0,
        priority=alert.priority or "",
        group=alert.group or "",
        suppressed_by=list(alert.suppressed_by),
        response=alert.response,
        consequence=alert.consequence,
    )


def retention_classes(site: Site) -> dict[str, Retention]:
    """The declared classes, and `default` (400 days) when it is not among them."""
    classes = dict(site.retention)
    classes.setdefault(DEFAULT_RETENTION, Retention.model_construct(keep=DEFAULT_KEEP_MS))
    return classes


def device_config(device: BoundDevice) -> DeviceConfig:
    """One device in normal form."""
    tags = {name: _tag(bound.tag, device, name) for name, bound in device.tags.items()}
    for name, calculated, _ in device.calculated():
        tags[name] = _calculated(calculated, device)
    return DeviceConfig(
        path=device.path,
        protocol=device.device.protocol,
        link=device.link,
        gateway=device.gateway,
        connection=_connection(device),
        tags=tags,
        enabled=device.device.enabled is not False,
        description=device.device.description or "",
        labels=dict(device.device.labels or {}),
        classification=_class_of_topics(device),
        owner=device.device.owner or "",
        pii=device.device.pii is True,
        on_change=bindings(device.device.on_change),
    )


def _class_of_topics(device: BoundDevice) -> str:
    """The class of topics that are not declared tag by tag; all others have their own."""
    if not isinstance(device.device, ExternalDevice) or not device.device.topics:
        return ""
    found = device.device.classification or DEFAULT_CLASS
    return "" if found == DEFAULT_CLASS else found


def archived(site: Site, name: str) -> ArchivedClass | None:
    """What the archive takes of a class; None is nothing."""
    return site.archive.classes.get(name) if site.archive is not None else None


def store_config(archive: Archive) -> ArchiveConfig:
    """The archive's place in normal form."""
    given = {key: getattr(archive, key) or "" for key in ("endpoint", "region", "user", "password")}
    return ArchiveConfig(to=archive.to, **given)


def _retention(retention: Retention, archive: ArchivedClass | None) -> RetentionConfig:
    return RetentionConfig(
        keep_ms=retention.keep,
        rollups=list(retention.rollups),
        compress_after_ms=retention.compress_after,
        archive_after_ms=archive.after if archive is not None else None,
        archive_keep_ms=archive.keep if archive is not None else None,
    )


def _connection(device: BoundDevice) -> JsonObject:
    if isinstance(device.device, ExternalDevice) and device.device.topics:
        globs = [f"{device.path}/{glob}" for glob in device.device.topics]
        return {"globs": globs, "max_series": device.device.max_series or MAX_SERIES_DEFAULT}
    if device.connection is None:
        return {}
    return device.connection.model_dump(mode="json", by_alias=True, exclude_none=True)


def _tag(tag: Tag | ExternalTag, device: BoundDevice, name: str) -> TagConfig:
    fields = _common(tag)
    if not isinstance(tag, Tag):
        return TagConfig(**fields)
    address = device.tags[name].address
    if address is not None:
        fields["address"] = address.text
        if address.options:
            fields["options"] = dict(address.options)
    modes: tuple[str, ...] = device.kind.modes if device.kind else ("poll",)
    mode = tag.mode if tag.mode in modes else modes[0]
    if mode != "poll":
        fields["mode"] = mode
    if tag.scale is not None and tag.scale != 1:
        fields["scale"] = tag.scale
    if tag.offset:
        fields["offset"] = tag.offset
    if tag.publish_unit is not None and tag.publish_unit != tag.unit:
        fields["publish_unit"] = tag.publish_unit
        factor, shift = _factor_and_shift(tag)
        if factor != 1:
            fields["unit_factor"] = factor
        if shift:
            fields["unit_shift"] = shift
    if tag.writable:
        fields["writable"] = True
    if tag.read_back:
        fields["read_back"] = read_back_of(tag.read_back, device.path)
    if tag.read_back_timeout:
        fields["read_back_timeout_ms"] = tag.read_back_timeout
    return TagConfig(**fields)


def _calculated(tag: Calculated, device: BoundDevice) -> TagConfig:
    return TagConfig(**_common(tag), expr=tag.expr, inputs=inputs_of(tag.expr, device.path))


def _common(tag: Tag | ExternalTag | Calculated) -> dict[str, Any]:
    """The fields that every sort of tag has. Only what differs from its default: that keeps digests stable."""
    published = published_type(tag)
    fields: dict[str, Any] = {"type": tag.type, "published_type": published}
    if tag.poll is not None and tag.poll != DEFAULT_POLL_MS:
        fields["poll_ms"] = tag.poll
    if tag.unit:
        fields["unit"] = fields["publish_unit"] = tag.unit
    if tag.range is not None:
        fields["range"] = tag.range
    if not isinstance(tag, ExternalTag) and (deadband := deadband_of(tag, published)):
        fields["deadband"] = deadband
    if tag.heartbeat:
        fields["heartbeat_ms"] = tag.heartbeat
    if tag.values:
        fields["values"] = {str(code): label for code, label in tag.values.items()}
    if tag.enabled is False:
        fields["enabled"] = False
    if tag.retention is not None and tag.retention != DEFAULT_RETENTION:
        fields["retention"] = tag.retention
    if tag.keep == "always":
        fields["keep_always"] = True
    if tag.live is not None and not isinstance(tag, ExternalTag):
        fields |= _live(tag.live)
    if tag.description:
        fields["description"] = tag.description
    if tag.labels:
        fields["labels"] = dict(tag.labels)
    if tag.classification is not None and tag.classification != DEFAULT_CLASS:
        fields["classification"] = tag.classification
    fields |= about(tag)
    if not isinstance(tag, Calculated) and tag.simulate is not None:
        fields["simulate"] = tag.simulate.model_dump(
            mode="json", by_alias=True, exclude_none=True, exclude_defaults=True
        )
    return fields


def _live(live: Live) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if live.publish is False:
        return {"live_publish": False}
    if live.qos:
        fields["live_qos"] = live.qos
    if live.retain is False:
        fields["live_retain"] = False
    if live.every:
        fields["live_every_ms"] = live.every
    return fields


def read_back_of(text: str, device_path: str) -> str:
    """`none`, or the full path of the tag that proves a write; a name without `/` is a tag of the same device."""
    return text if text == "none" or "/" in text else f"{device_path}/{text}"


def inputs_of(expr: str, device_path: str) -> dict[str, str]:
    """Path by the name used in an expression; a name without `/` is a tag of the same device."""
    return {name: name if "/" in name else f"{device_path}/{name}" for name in names_in(expr)}


def _factor_and_shift(tag: Tag) -> tuple[float, float]:
    if tag.unit is None or tag.publish_unit is None or tag.unit == tag.publish_unit:
        return 1.0, 0.0
    try:
        return conversion(tag.unit, tag.publish_unit)
    except UnitError:
        return 1.0, 0.0  # a finding of the checks; a snapshot is only applied without errors


def published_type(tag: Tag | ExternalTag | Calculated) -> str:
    """float64 once scaled or converted, else the type on the device."""
    if not isinstance(tag, Tag) or not parse_type(tag.type).numeric:
        return tag.type
    scaled = tag.scale not in (None, 1.0) or tag.offset not in (None, 0.0)
    converted = tag.unit is not None and tag.publish_unit not in (None, tag.unit)
    return "float64" if scaled or converted else tag.type


def deadband_of(tag: Tag | Calculated, published: str) -> float:
    """The deadband in the published unit: a percentage is taken of the range's span; 0 where none can be."""
    if tag.deadband is None or not parse_type(published).numeric:
        return 0.0
    if tag.deadband.absolute is not None:
        return tag.deadband.absolute
    if tag.deadband.percent is None or tag.range is None or None in tag.range:
        return 0.0
    low, high = tag.range
    assert low is not None and high is not None  # the line above looked
    return abs(high - low) * tag.deadband.percent / 100
