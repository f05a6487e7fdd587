"""What protects devices and plants, and is less strict after a change: consents for it. Pure.

A device's connection says how much one request may ask and how long the gateway waits between two; a device that is asked
more than it can answer restarts, or refuses everyone. The site's `limits` say what one deployment may change without
consent: a plan that raises them frees the next one.

See docs/decisions/0115.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from nexus_cli.diagnostics.wording import duration
from nexus_cli.drivers.registry import kinds
from nexus_cli.model.limits import DEVICES, RIGHTS, SERIES, TAGS
from nexus_cli.plan.change import Attributes, Change

MOST_AT_ONCE = {
    "max_read": "asked at once",
    "max_read_bits": "bits asked at once",
    "max_write": "written at once",
    "max_gap": "unused places read along",
    "max_subscribe": "items subscribed at once",
    "max_items": "items subscribed in total",
}
"""Keys of connections of which more asks more of a device, with what they limit."""
PAUSE = "pause"
"""The key of which less asks more of a device: ms between two requests."""
LIMITS = "limits"
"""Scope of the consent to other limits of the site."""
_WHOLE = Fraction(1)


def raised_of_device(change: Change) -> Iterator[tuple[str, str]]:
    """`(device path, sentence)`, once for a device whose connection lets the gateway ask more of it than before."""
    before, after = change.before or {}, change.after or {}
    if change.type != "device" or not before or not after or before.get("protocol") != after.get("protocol"):
        return
    old, new = before.get("connection") or {}, after.get("connection") or {}
    known = _built_in(str(after.get("protocol", "")))
    found = [
        f"{key} {_number(old, key, known)} -> {_number(new, key, known)} ({what})"
        for key, what in MOST_AT_ONCE.items()
        if _is_raised(old.get(key, known.get(key)), new.get(key, known.get(key)))
    ]
    was, now = float(old.get(PAUSE) or 0), float(new.get(PAUSE) or 0)
    if now < was:
        found.append(f"{PAUSE} {duration(round(was))} -> {duration(round(now)) if now else 'none'} (between requests)")
    if found:
        yield change.name, f"{change.name} may be asked more than before: {', '.join(found)}"


def raised_of_site(change: Change, *, was: Mapping[str, Fraction], now: Mapping[str, Fraction]) -> str:
    """The sentence of limits of the site that are higher or gone after a change; "" for none.

    Args:
        change: Of the resource `site`.
        was, now: Its limits of a mass change by kind, before and after; one that is missing is no limit.
    """
    if change.type != "site":
        return ""
    found = [
        f"{kind} {_percent(was[kind])} -> {_percent(now[kind]) if kind in now else 'no limit'}"
        for kind in (DEVICES, TAGS, SERIES, RIGHTS)
        if kind in was and now.get(kind, _WHOLE + 1) > was[kind]
    ]
    return f"one deployment may change more without consent from then on: {', '.join(found)}" if found else ""


def _built_in(protocol: str) -> dict[str, Any]:
    """What counts where a connection says nothing; keys whose default depends on the device are missing."""
    kind = kinds().get(protocol)
    fields = {} if kind is None else kind.connection.model_fields
    return {key: fields[key].default for key in MOST_AT_ONCE if key in fields and isinstance(fields[key].default, int)}


def _is_raised(was: object, now: object) -> bool:
    """Whether a limit is higher, or gone. One that was not there before is a new protection, whatever it says."""
    if not isinstance(was, int | float):
        return False
    return not isinstance(now, int | float) or now > was


def _number(connection: Attributes, key: str, known: Mapping[str, Any]) -> str:
    found = connection.get(key, known.get(key))
    return "the protocol's own" if found is None else f"{found:,}"


def _percent(share: Fraction) -> str:
    return f"{float(share) * 100:g}%"
