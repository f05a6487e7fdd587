"""The site of a replay: the plant's, under another name, with devices that no process connects to. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.config import DeviceConfig, TagConfig, device_from_json, to_json
from nexus_cli.model.external import EXTERNAL
from nexus_cli.model.snapshot import Attributes, Snapshot
from nexus_cli.wire.topic import Topics, is_slug

KEPT = ("site", "device", "retention", "role", "user", "group", "login", "alert", "view")
"""Kinds of resources that a replay has; gateways, sequences and messages would reach into a plant."""


def refuse_the_plant(into: str, *plants: str) -> Topics:
    """The topics of the site to replay into.

    Args:
        into: `enterprise/site`.
        plants: Names that it must not have; "" is none.

    Raises:
        NexusError: NX6962.
    """
    enterprise, slash, site = into.partition("/")
    if not slash or not is_slug(enterprise) or not is_slug(site):
        raise NexusError(
            f"'{into[:100]}' is not the name of a site.", code="NX6962", hint="write ENTERPRISE/SITE-replay"
        )
    if into in plants:
        raise NexusError(
            f"{into} is the plant's own name: what is replayed would be taken for live values.",
            code="NX6962",
            hint=f"--into {into}-replay",
        )
    return Topics(enterprise, site)


def replayed_site(resources: Mapping[str, Attributes], *, source: Topics, into: Topics) -> Snapshot:
    """The snapshot of a replay. Every device is `external`: its topics are published by the replay, stored by the historian of
    the replay, watched by its alerts, and shown under the rights of the plant's own roles.
    """
    found: dict[str, Attributes] = {}
    for address, attributes in resources.items():
        kind = address.partition(".")[0]
        if kind not in KEPT:
            continue
        if kind == "device":
            found[address] = to_json(_external(device_from_json(attributes)))
        elif kind == "view":
            filters = [_moved(str(each), source, into) for each in attributes.get("filters", ())]
            found[address] = {**attributes, "filters": filters}
        else:
            found[address] = dict(attributes)
    plain = {**found.get("site", {}), "enterprise": into.enterprise, "site": into.site, "replay_of": source.live}
    plain["description"] = f"A replay of {source.live}."
    plain.pop("signatures", None)  # a replay signs nothing
    found["site"] = plain
    return Snapshot.of(into.enterprise, into.site, found)


def _external(device: DeviceConfig) -> DeviceConfig:
    if device.protocol == EXTERNAL:
        connection = device.connection
    else:
        connection = {}
    return DeviceConfig(
        path=device.path,
        protocol=EXTERNAL,
        connection=connection,
        tags={name: _tag(tag) for name, tag in device.tags.items()},
        description=device.description,
        labels=device.labels,
        classification=device.classification,
    )


def _tag(tag: TagConfig) -> TagConfig:
    """What is published of a tag, without how it is read."""
    published = tag.published_type or tag.type
    unit = tag.publish_unit or tag.unit
    return TagConfig(
        type=published,
        published_type=published,
        unit=unit,
        publish_unit=unit,
        range=tag.range,
        values=tag.values,
        retention=tag.retention,
        description=tag.description,
        labels=tag.labels,
        classification=tag.classification,
    )


def _moved(filter_: str, source: Topics, into: Topics) -> str:
    for old, new in ((source.live, into.live), (source.platform, into.platform)):
        if filter_ == old or filter_.startswith(f"{old}/"):
            return new + filter_[len(old) :]
    return filter_
