"""Which changes a maintenance window holds: those that reach a machine. Pure.

Rights, users, alarms, views, messages and the windows themselves are held by none: taking a right away must not wait for
the night, and neither must the description of a site.

See docs/decisions/0104.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypedDict

from nexus_cli.model.window_config import Windows, closing, local_text, window_text
from nexus_cli.plan.change import Change

SITE = ""
"""The path of the whole site."""


class WindowEntry(TypedDict):
    """The window of a changed resource: its name, its hours, whether it is open, and when it opens or closes next.

    `opens` is ISO 8601 UTC, the moment of the plan while the window is open, null when it never opens; `text` says the same
    on the clocks of the window's zone.
    """

    address: str
    window: str
    hours: str
    open: bool
    opens: str | None
    text: str


def held_paths(change: Change) -> tuple[str, ...]:
    """The paths whose windows hold a change: old and new one of a device, the site of a gateway or a sequence."""
    if change.type == "device":
        return tuple(dict.fromkeys((change.name, change.previous_name)))
    return (SITE,) if change.type in ("gateway", "sequence") else ()


def window_entries(changes: Sequence[Change], windows: Windows, now: datetime) -> list[WindowEntry]:
    """The window of each change that has one, in the order of the changes."""
    return [
        _entry(change.address, name, windows, now) for change in changes for name in windows.held(held_paths(change))
    ]


def _entry(address: str, name: str, windows: Windows, now: datetime) -> WindowEntry:
    window = windows.windows[name]
    opens = windows.next_open([name], now)
    if opens == now:
        closes = closing(window, now)
        text = f"open until {local_text(closes, window.zone)}" if closes else "always open"
    else:
        text = f"shut, opens {local_text(opens, window.zone)}" if opens else "never opens"
    return {
        "address": address,
        "window": name,
        "hours": window_text(window),
        "open": opens == now,
        "opens": None if opens is None else opens.isoformat(),
        "text": text,
    }
