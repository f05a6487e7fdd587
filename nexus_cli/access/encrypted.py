"""Restricted data needs an encrypted way to the broker."""

from __future__ import annotations

from collections.abc import Mapping

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.snapshot import Attributes
from nexus_cli.wire.url import parse_broker_url

RESTRICTED = "restricted"
_LOCAL = ("localhost", "::1")


def restricted_tag(resources: Mapping[str, Attributes | None]) -> str:
    """The first tag of class `restricted`, as `AREA/LINE/DEVICE/TAG`; "" when there is none."""
    for address, device in sorted(resources.items()):
        kind, _, path = address.partition(".")
        tags = device.get("tags") if kind == "device" and device is not None else None
        for name, tag in sorted(tags.items()) if isinstance(tags, Mapping) else ():
            if isinstance(tag, Mapping) and tag.get("classification") == RESTRICTED:
                return f"{path}/{name}"
    return ""


def is_open(broker_url: str) -> bool:
    """True when what is sent to this broker crosses a network in the clear."""
    if not broker_url:
        return False
    url = parse_broker_url(broker_url)
    return not (url.tls or url.host in _LOCAL or url.host.startswith("127."))


def refuse_open_broker(resources: Mapping[str, Attributes | None], broker_url: str) -> None:
    """Raises NexusError NX6035: one of these resources (attributes by address) has restricted data, and the way to this broker is not encrypted."""
    if not is_open(broker_url):
        return
    tag = restricted_tag(resources)
    if tag:
        raise NexusError(
            f"{tag} is restricted, and {parse_broker_url(broker_url)} is reached without encryption.",
            code="NX6035",
            hint="give the broker as mqtts://HOST:8883 (or wss://), with NEXUS_BROKER_CA for a CA of your own",
        )
