"""Assignment of links to gateways: `select` is matched against links, because two gateways can't share a link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nexus_cli.model.bound import BoundDevice
from nexus_cli.model.site import Gateway, Site

DEFAULT_GATEWAY = "gateway"
SELECTORS = ("protocol", "area", "line", "device", "link", "label")


def parse_selector(text: str) -> tuple[str, str] | None:
    """Split `kind:value` (a label's value is `key=value`); None when it is not a selector."""
    kind, colon, value = text.partition(":")
    if not colon or kind not in SELECTORS or not value or (kind == "label" and "=" not in value):
        return None
    return kind, value


def selects(selector: tuple[str, str], device: BoundDevice, *, labels: Mapping[str, str]) -> bool:
    """True when a selector names this device or its link.

    Args:
        selector: As `parse_selector` gives it.
        device: The device.
        labels: Its labels with those of its line and area.
    """
    kind, value = selector
    if kind == "protocol":
        return device.protocol == value
    if kind == "area":
        return device.area == value
    if kind == "line":
        return device.line == value
    if kind == "device":
        return device.path == value
    if kind == "link":
        return device.link == value
    key, _, wanted = value.partition("=")
    return labels.get(key) == wanted


def labels_of(site: Site, device: BoundDevice) -> dict[str, str]:
    """Labels of area, line and device; the nearest wins."""
    area_name, line_name, _ = device.path.split("/", 2)
    area = site.areas.get(area_name)
    line = area.lines.get(line_name) if area else None
    merged: dict[str, str] = {}
    for labels in (area.labels if area else None, line.labels if line else None, device.labels):
        merged.update(labels or {})
    return merged


def takers(site: Site, links: Mapping[str, Sequence[BoundDevice]]) -> dict[str, list[str]]:
    """The gateways that take each link, in declared order: one is right, none is a gap, more overlap.

    A gateway with an empty `select` takes what no other takes. Without any gateway declared, one named
    `gateway` takes all.
    """
    if not site.gateways:
        return {link: [DEFAULT_GATEWAY] for link in links}
    taken: dict[str, list[str]] = {link: [] for link in links}
    for name, gateway in site.gateways.items():
        selectors = _selectors(gateway)
        for link, devices in links.items():
            if selectors and any(
                selects(selector, device, labels=labels_of(site, device) if selector[0] == "label" else {})
                for device in devices
                for selector in selectors
            ):
                taken[link].append(name)
    rest = [name for name, gateway in site.gateways.items() if not gateway.select]
    for names in taken.values():
        if not names:
            names.extend(rest)
    return taken


def _selectors(gateway: Gateway) -> list[tuple[str, str]]:
    return [parsed for parsed in map(parse_selector, gateway.select) if parsed]
