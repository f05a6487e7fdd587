"""On which names a caller has a right: a page says why a button is not there, before control refuses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
import orjson

from nexus_cli.access.lines import TagFacts, tag_facts
from nexus_cli.model.resources import paths_of
from nexus_cli.model.snapshot import Attributes, Snapshot
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.identity.principals import named
from nexus_cli.runtime.web.site_view import SiteView
from nexus_cli.wire.web_procedures import Permissions


def permissions(view: SiteView, caller: Caller, *, device: str = "") -> Permissions:
    """The names of each right, as control decides on them; with `device` also whether the caller serves that one."""
    return Permissions(
        run=_named(view, caller, "sequence") if caller.may("sequences:run") else [],
        publish=_named(view, caller, "message") if caller.may("messages:publish") else [],
        acknowledge=_acknowledged(view, caller) if caller.may("alerts:ack") else [],
        apply=list(caller.held.apply) if caller.may("apply") else [],
        serves=_serves(view, caller, device) if device else msgspec.UNSET,
    )


def _serves(view: SiteView, caller: Caller, device: str) -> bool:
    """Of a device that is not recorded: as of one without tags."""
    return caller.may("devices:service") and caller.held.serves(device, _facts(view, [device]).values())


def _named(view: SiteView, caller: Caller, kind: str) -> list[str]:
    names = [name for name, _ in view.of_kind(kind)]
    return sorted(named(caller, "run" if kind == "sequence" else "publish", names))


def _acknowledged(view: SiteView, caller: Caller) -> list[str]:
    alerts: Mapping[str, Attributes] = dict(view.of_kind("alert"))
    mine = named(caller, "acknowledge", alerts)
    tags = {name: paths_of(alerts[name]) for name in mine}
    facts = _facts(view, {tag.rpartition("/")[0] for paths in tags.values() for tag in paths})
    return sorted(
        name
        for name in mine
        if all(caller.held.shows("acknowledge", name, facts.get(tag)) for tag in tags[name] or ("",))
    )


def _facts(view: SiteView, devices: Iterable[str]) -> dict[str, TagFacts]:
    """What rights ask of the tags of some devices."""
    known = [path for path in devices if path in view.devices]
    resources = {f"device.{path}": orjson.loads(view.devices[path].raw) for path in known}
    resources["site"] = view.resources.get("site", {"enterprise": view.topics.enterprise, "site": view.topics.site})
    return tag_facts(Snapshot(view.topics.enterprise, view.topics.site, resources))
