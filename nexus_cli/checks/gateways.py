"""Gateways: every link belongs to exactly one; a serial port is a link of its machine."""

from __future__ import annotations

from collections.abc import Iterator

from nexus_cli.checks.view import View
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.model.gateways import SELECTORS, labels_of, parse_selector, selects, taken


def selector(view: View) -> Iterator[Diagnostic]:
    """NX2501."""
    for name, gateway in view.model.site.gateways.items():
        for position, text in enumerate(gateway.select):
            if parse_selector(text) is None:
                kind = text.partition(":")[0]
                hint = did_you_mean(kind, SELECTORS) if kind not in SELECTORS else f"write '{kind}:…'"
                if kind == "label":
                    hint = "write 'label:key=value'"
                where = ("gateways", name, "select", position)
                yield finding("NX2501", f"'{text}' is not a selector", where=where, hint=hint)


def selects_nothing(view: View) -> Iterator[Diagnostic]:
    """NX2502."""
    model = view.model
    devices = [device for device in model.devices.values() if not device.external]
    if not devices:
        return
    offers = {
        "protocol": sorted({device.protocol for device in devices if device.kind is not None}),
        "area": sorted({device.area for device in devices}),
        "line": sorted({device.line for device in devices}),
        "device": [device.path for device in devices],
        "link": sorted({device.link for device in devices if device.link}),
    }
    unlinked = any(not device.link for device in devices)
    for name, gateway in model.site.gateways.items():
        for position, text in enumerate(gateway.select):
            parsed = parse_selector(text)
            if parsed is None or (parsed[0] == "link" and unlinked):
                continue  # the selector may name a connection with errors
            if any(
                selects(parsed, device, labels=labels_of(model.site, device) if parsed[0] == "label" else {})
                for device in devices
            ):
                continue
            where = ("gateways", name, "select", position)
            hint = did_you_mean(parsed[1], offers.get(parsed[0], []))
            yield finding("NX2502", f"'{text}' matches no device", where=where, hint=hint)


def gateway_overlap(view: View) -> Iterator[Diagnostic]:
    """NX2503."""
    for each in taken(view.model.site, view.model.devices.values()):
        if len(each.gateways) > 1:
            both = " and ".join(f"'{name}'" for name in each.gateways)
            where = ("gateways", each.gateways[-1], "select")
            paths = ", ".join(device.path for device in each.devices[:3])
            yield finding(
                "NX2503",
                f"{both} take the link {each.link} ({paths})",
                where=where,
                hint="narrow one; an empty select takes the rest",
            )


def gateway_gap(view: View) -> Iterator[Diagnostic]:
    """NX2504. A gateway that was left out for its errors may be the one that takes it."""
    if view.model.faulty.get("gateways"):
        return
    for each in taken(view.model.site, view.model.devices.values()):
        if not each.gateways:
            link, first = each.link, each.devices[0]
            hint = f"add 'link:{link}' to a gateway, or a gateway with an empty select, which takes the rest"
            yield finding("NX2504", f"no gateway takes the link {link}", where=first.where, on_key=True, hint=hint)


CHECKS = (selector, selects_nothing, gateway_overlap, gateway_gap)
