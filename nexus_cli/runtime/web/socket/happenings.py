"""What happens on the site, from where it is said: alerts and health from the broker, the rest from what is recorded.

An event is sent once, to the listeners that may know of it; a later one reads the state over HTTP.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from nexus_cli.json_value import JsonObject
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.web.caller_rights import CallerRights
from nexus_cli.runtime.web.site_view import DeviceView, SiteView
from nexus_cli.wire.web_socket import Kind

DEPLOYMENTS, SEQUENCES = "deployments:read", "state:read"
"""Scopes that show more than a name gives."""


class Seen(NamedTuple):
    """Who looks: what may be shown depends on it."""

    view: SiteView
    rights: CallerRights
    caller: Caller


class Event(NamedTuple):
    """One event.

    Attributes:
        kind: Of `KINDS`.
        time: µs since 1970 UTC.
        facts: For who may know everything of it.
        shown: The part that a caller may know; None for nothing.
    """

    kind: Kind
    time: int
    facts: JsonObject
    shown: Callable[[JsonObject, Seen], JsonObject | None]


def to_everybody(facts: JsonObject, _: Seen) -> JsonObject | None:
    """States of NEXUS's own processes are no secret."""
    return facts


def on_topic(topic: str) -> Callable[[JsonObject, Seen], JsonObject | None]:
    """What is published on a topic: to callers that may subscribe to it."""

    def shown(facts: JsonObject, seen: Seen) -> JsonObject | None:
        return facts if seen.rights.may_hear(topic) else None

    return shown


def of_tag(facts: JsonObject, seen: Seen) -> JsonObject | None:
    """What is about the tag `path`: to who may read it."""
    tag = seen.view.by_path.get(str(facts.get("path")))
    if tag is None:
        return facts if seen.rights.everything else None
    return facts if seen.rights.may_read(tag) else None


def of_device(facts: JsonObject, seen: Seen) -> JsonObject | None:
    """What is about the device `path`: to who may read a tag of it."""
    device = seen.view.devices.get(str(facts.get("path")))
    return facts if device is not None and _reads(seen, device) else None


def of_link(facts: JsonObject, seen: Seen) -> JsonObject | None:
    """What is about a `link`: to who may read a tag behind it."""
    link, gateway = facts.get("link"), facts.get("gateway")
    for device in seen.view.devices.values():
        if device.link == link and device.gateway == gateway and _reads(seen, device):
            return facts
    return None


def of_deployment(facts: JsonObject, seen: Seen) -> JsonObject | None:
    """A deployment: its number and state to everybody, who and why to who may read deployments."""
    if seen.caller.may(DEPLOYMENTS):
        return facts
    return {name: facts[name] for name in ("number", "state")}


def of_sequence(facts: JsonObject, seen: Seen) -> JsonObject | None:
    """A run: to who may run the sequence, or read the state (as `GET /sequences` of control)."""
    name = str(facts.get("name"))
    return facts if seen.caller.may(SEQUENCES) or seen.caller.held.names("run", [name]) else None


def _reads(seen: Seen, device: DeviceView) -> bool:
    return bool(seen.rights.readable[device.first : device.last].any())
