"""Maintenance windows of a site in normal form: what each is, and where it is attached."""

from __future__ import annotations

from collections.abc import Iterable

from nexus_cli.model.bound import BoundDevice
from nexus_cli.model.kept import window_of
from nexus_cli.model.site import Site
from nexus_cli.model.window_config import WindowConfig
from nexus_cli.model.windows import NO_WINDOW

UTC_NAME = "UTC"


def windows_of(site: Site) -> dict[str, WindowConfig]:
    """Every declared window by name; one without a zone has that of the site, which without one has UTC."""
    return {
        name: WindowConfig(
            hours=window.hours(),
            zone=window.zone or site.time_zone or UTC_NAME,
            description=window.description or "",
        )
        for name, window in site.windows.items()
    }


def window_places(site: Site, devices: Iterable[BoundDevice]) -> dict[str, str]:
    """Name of the window by path, where one is attached: the site (""), areas, lines, devices; "" takes an outer one away."""
    found: dict[str, str | None] = {"": site.window}
    for name, area in site.areas.items():
        found[name] = area.window
        found |= {f"{name}/{line}": one.window for line, one in area.lines.items()}
    found |= {device.path: window_of(device) for device in devices}
    return {path: "" if window == NO_WINDOW else window for path, window in sorted(found.items()) if window is not None}
