"""What a change of channels, routes and digest means to people: who is reached by which alarms. Addresses that may be secret stay out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from nexus_cli.diagnostics.wording import duration
from nexus_cli.model.resources import DigestConfig
from nexus_cli.model.secrets import is_reference
from nexus_cli.plan.change import Action, Change

SHOWN = 6
"""Names in one line; more are counted."""
Lines = Iterator[tuple[str, str]]


def channel_lines(change: Change) -> Lines:
    """Of `channel.NAME`."""
    name, old, new = change.name, _way(change.before), _way(change.after)
    if change.action is Action.CREATE:
        yield "people", f"channel {name} reaches people by {new}"
    elif change.action is Action.FORGET:
        yield (
            "people",
            f"channel {name} reaches no one any more; messages that wait for it fail (nexus jobs list --state failed)",
        )
    elif old != new:
        yield "people", f"channel {name} reaches people by {new} instead of {old}, also with messages that wait"
    elif {"url", "key", "headers", "user", "password"} & set(change.keys):
        yield "people", f"channel {name} has another address or other secrets, also for messages that wait"


def _way(channel: Mapping[str, Any] | None) -> str:
    """The kind of a channel and who is behind it, without what may be secret."""
    found = channel or {}
    if found.get("kind") == "mail":
        secured = {"starttls": "STARTTLS", "tls": "TLS"}.get(str(found.get("security", "starttls")), "no encryption")
        return f"mail to {_some(found.get('to', ()))} over {found.get('server', '')} ({secured})"
    url = str(found.get("url", ""))
    if is_reference(url):
        return f"{'webhook' if found.get('kind') == 'webhook' else 'Apprise'} at {url}"
    parts = urlsplit(url)
    if found.get("kind") == "webhook":
        return f"webhook at {parts.scheme}://{parts.hostname or ''}"
    return f"Apprise ({parts.scheme}://…)"


def route_lines(change: Change) -> Lines:
    """Of `route.NAME`. Escalations of alarms that are active continue as they were planned."""
    name, before, after = change.name, change.before or {}, change.after or {}
    if change.action is Action.CREATE:
        yield "people", f"route {name}: {_alarms(after)} reach {_some(after.get('to', ()))}"
        for step in after.get("escalate", ()):
            yield "people", f"route {name}: after {_step(step)}, while no one acknowledges"
        return
    if change.action is Action.FORGET:
        yield "people", f"route {name}: {_alarms(before)} no longer reach {_some(before.get('to', ()))} by it"
        return
    if _alarms(before) != _alarms(after):
        yield "people", f"route {name} takes {_alarms(after)} instead of {_alarms(before)}"
    old, new = set(before.get("to", ())), set(after.get("to", ()))
    if gained := sorted(new - old):
        yield "people", f"route {name} also reaches {_some(gained)}"
    if lost := sorted(old - new):
        yield "people", f"route {name} no longer reaches {_some(lost)}"
    if bool(before.get("returned")) != bool(after.get("returned")):
        says = "says" if after.get("returned") else "no longer says"
        yield "people", f"route {name} {says} when the condition is over"
    steps, former = (
        [_step(each) for each in after.get("escalate", ())],
        [_step(each) for each in before.get("escalate", ())],
    )
    if steps != former:
        said = f"after {', after '.join(steps)}" if steps else "to no one"
        yield "people", f"route {name} escalates {said}; alarms that are active now escalate as it was"


def _step(step: Mapping[str, Any]) -> str:
    return f"{duration(int(step.get('after_ms', 0)))} {_some(step.get('to', ()))}"


def _alarms(route: Mapping[str, Any]) -> str:
    """Which alarms a route takes, in words."""
    parts = [
        f"of priority {_some(route['priorities'])}" if route.get("priorities") else "",
        f"of group {_some(route['groups'])}" if route.get("groups") else "",
        f"named {_some(route['alerts'])}" if route.get("alerts") else "",
        f"at {_some(route['hours'])}" if route.get("hours") else "",
    ]
    return " ".join(["alarms" if any(parts) else "all alarms", *(part for part in parts if part)])


def digest_lines(change: Change) -> Lines:
    """Of `digest.alarms`; none is as it is by default."""
    plain = DigestConfig()
    was, will = (
        {key: (side or {}).get(key, getattr(plain, key)) for key in ("above", "below", "every_ms")}
        for side in (change.before, change.after)
    )
    if (was["above"], was["below"]) != (will["above"], will["below"]):
        limits = f"begins above {will['above']} alarms in 10 minutes and ends below {will['below']}"
        yield "people", f"a flood {limits} (so far {was['above']} and {was['below']})"
    if was["every_ms"] != will["every_ms"]:
        yield (
            "people",
            f"in a flood a digest comes every {duration(will['every_ms'])} instead of {duration(was['every_ms'])}",
        )


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(str(name) for name in names[:SHOWN])
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown
