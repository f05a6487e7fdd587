"""Assignment of links to gateways: `select` is matched against links, because two gateways can't share a link.

A serial port is a link of the machine that it is on: where two gateways select different devices of `serial:/dev/ttyUSB0`,
each has a port of that name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nexus_cli.model.bound import BoundDevice
from nexus_cli.model.site import Gateway, Site

DEFAULT_GATEWAY = "gateway"
SERIAL = "serial:"
"""How the id of a link begins that is a port of the gateway's own machine."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A link and who takes it.

    Attributes:
        link: Its id.
        devices: On it.
        gateways: In declared order: one is right, none is a gap, more overlap.
    """

    link: str
    devices: tuple[BoundDevice, ...]
    gateways: tuple[str, ...]


def taken(site: Site, devices: Iterable[BoundDevice]) -> list[Taken]:
    """Every link with the gateways that take it; a serial port of several machines once for each.

    A gateway takes a link when it selects one of its devices. One with an empty `select` takes what no other takes. Without any
    gateway declared, one named `gateway` takes all.
    """
    links: dict[str, list[BoundDevice]] = {}
    for device in devices:
        if device.link:
            links.setdefault(device.link, []).append(device)
    if not site.gateways:
        return [Taken(link=link, devices=tuple(on), gateways=(DEFAULT_GATEWAY,)) for link, on in links.items()]
    selectors = {name: _selectors(gateway) for name, gateway in site.gateways.items()}
    rest = tuple(name for name, gateway in site.gateways.items() if not gateway.select)
    found: list[Taken] = []
    for link, on in links.items():
        by_device = [_selecting(site, selectors, device) for device in on]
        names = tuple(name for name in selectors if any(name in each for each in by_device))
        if len(names) > 1 and link.startswith(SERIAL):
            found += _on_machines(link, on, by_device, rest)
        else:
            found.append(Taken(link=link, devices=tuple(on), gateways=names or rest))
    return found


def _on_machines(
    link: str, devices: Sequence[BoundDevice], by_device: Sequence[tuple[str, ...]], rest: tuple[str, ...]
) -> list[Taken]:
    """A serial port by the gateways that take its devices: only a device that two of them select overlaps."""
    groups: dict[tuple[str, ...], list[BoundDevice]] = {}
    for device, names in zip(devices, by_device, strict=True):
        groups.setdefault(names or rest, []).append(device)
    return [Taken(link=link, devices=tuple(on), gateways=names) for names, on in groups.items()]


def _selecting(site: Site, selectors: Mapping[str, list[tuple[str, str]]], device: BoundDevice) -> tuple[str, ...]:
    """The gateways that select a device, in declared order."""
    labels: Mapping[str, str] | None = None
    found: list[str] = []
    for name, each in selectors.items():
        for selector in each:
            if selector[0] == "label" and labels is None:
                labels = labels_of(site, device)
            if selects(selector, device, labels=labels or {}):
                found.append(name)
                break
    return tuple(found)


def _selectors(gateway: Gateway) -> list[tuple[str, str]]:
    return [parsed for parsed in map(parse_selector, gateway.select) if parsed]
