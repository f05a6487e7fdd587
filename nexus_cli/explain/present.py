"""The state of a tag in its gateway now, from the gateway's health: one sentence. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from nexus_cli.model.config import DeviceConfig
from nexus_cli.wire.gateway_health import LimitedDevice


class _Link(msgspec.Struct, frozen=True):
    state: str = ""
    detail: str = ""


class _Silent(msgspec.Struct, frozen=True):
    path: str = ""
    reason: str = ""
    detail: str = ""


class Limits(msgspec.Struct, frozen=True):
    """What a device does not report: tags that are polled instead, and why."""

    polled: list[str] = []
    why: str = ""


class Health(msgspec.Struct, frozen=True):
    """The parts of a gateway's health that concern one tag.

    Attributes:
        state: `running`, `stopping` or `lost`.
        links: State of each link, by its id.
        silent: Devices that give no value.
        limited: By device path: tags that are polled because the device does not report them.
    """

    state: str = ""
    links: dict[str, _Link] = {}
    silent: list[_Silent] = []
    limited: dict[str, Limits] = {}


def what_happens(facts: Health, device: DeviceConfig, tag: str) -> str:
    """The sentence.

    Args:
        facts: Of the gateway's health.
        device: Of the tag.
        tag: Its name.
    """
    if facts.state != "running":
        return f"gateway {device.gateway} is not running ({facts.state})"
    link = facts.links.get(device.link)
    if link is None:
        return f"gateway {device.gateway} does not run this device (yet)"
    if link.state != "connected":
        return f"its link is not connected ({link.state}): {link.detail}".rstrip(": ")
    for one in facts.silent:
        if one.path == device.path:
            return f"its device gives no value: {one.reason} {one.detail}".rstrip()
    return how_it_is_read(facts, device, tag)


class Limiting(Protocol):
    """A gateway's health, as far as it says what its devices do not report."""

    @property
    def limited(self) -> Mapping[str, Limits | LimitedDevice]:
        """By device path."""
        ...


def how_it_is_read(facts: Limiting, device: DeviceConfig, tag: str) -> str:
    """How a tag is read while its device answers: polled or reported, and what limits that."""
    limits = facts.limited.get(device.path)
    reported = device.tags[tag].mode != "poll"
    if limits is None:
        return "as declared (reported)" if reported else "as declared (polled)"
    why = limits.why or "the device does not report it"
    if tag in limits.polled:
        return f"polled, not reported, until it is: {why}; it is asked for again, at the longest after a minute"
    return f"reported, with limits: {why}" if reported else "as declared (polled)"
