"""Restricted data needs an encrypted way to the broker."""

from __future__ import annotations

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.wire.url import parse_broker_url

RESTRICTED = "restricted"
_LOCAL = ("localhost", "::1")


def restricted_tag(snapshot: Snapshot) -> str:
    """The first tag of class `restricted`, as `DEVICE.TAG`; "" when there is none."""
    for path, device in sorted(snapshot.of_kind("device")):
        tags = device.get("tags")
        for name, tag in sorted(tags.items()) if isinstance(tags, dict) else ():
            if isinstance(tag, dict) and tag.get("classification") == RESTRICTED:
                return f"{path}.{name}"
    for path, tag in sorted(snapshot.of_kind("tag")):
        if tag.get("classification") == RESTRICTED:
            return path
    return ""


def is_open(broker_url: str) -> bool:
    """True when what is sent to this broker crosses a network in the clear."""
    if not broker_url:
        return False
    url = parse_broker_url(broker_url)
    return not (url.tls or url.host in _LOCAL or url.host.startswith("127."))


def refuse_open_broker(snapshot: Snapshot, broker_url: str) -> None:
    """Raises NexusError NX6035: the site has restricted data, and its way to this broker is not encrypted."""
    if not is_open(broker_url):
        return
    tag = restricted_tag(snapshot)
    if tag:
        raise NexusError(
            f"{tag} is restricted, and {parse_broker_url(broker_url)} is reached without encryption.",
            code="NX6035",
            hint="give the broker as mqtts://HOST:8883 (or wss://), with NEXUS_BROKER_CA for a CA of your own",
        )
