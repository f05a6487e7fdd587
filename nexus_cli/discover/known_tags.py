"""The proposed tags that a site has already, and their names there. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nexus_cli.discover.placement import device_at, existing_device, identity_of, split_at
from nexus_cli.discover.propose import Proposal
from nexus_cli.model.bound import Model
from nexus_cli.model.driver_kind import DriverKind

KnownTags = Mapping[str, Mapping[str, str]]
"""By `area/line/device` of each device of the site: its own name of a tag by the proposed name."""


def known_tags(
    proposals: Iterable[Proposal], *, at: str, model: Model | None, kinds: Mapping[str, DriverKind]
) -> KnownTags:
    """The site's devices at the proposed places; nothing for new devices.

    Args:
        proposals: What was found.
        at: Place of the device itself, "" when each says its own.
        model: The site, None when there is none.
        kinds: Driver kinds by protocol.
    """
    found: dict[str, dict[str, str]] = {}
    for proposal in proposals:
        for device in proposal.devices:
            place = device_at(at, device.place)
            if split_at(place) is None:
                continue
            held = existing_device(model, place, namespaces=proposal.facts.get("namespaces", ()))
            if held.device is None or held.device.device.protocol != proposal.protocol:
                continue
            kind = None if proposal.protocol == "external" else kinds[proposal.protocol]
            names = found.setdefault(place, {})
            for tag in device.tags:
                key = (tag.name,) if kind is None else identity_of(kind, held.device.connection, tag.keys)
                if not isinstance(key, str) and key in held.names:
                    names[tag.name] = held.names[key]
    return found
