"""Links and protocols: devices that share a link agree about it, and ask only what their protocol can do."""

from __future__ import annotations

from collections.abc import Iterator

from nexus_cli.checks.view import View
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic, Related
from nexus_cli.model.bound import BoundDevice
from nexus_cli.model.config import digest
from nexus_cli.model.kept import listens_at

FEWEST_ALIKE = 2
"""Tags of a device from which on equal addresses are no accident: one register may well be read under two names."""


def mode_not_supported(view: View) -> Iterator[Diagnostic]:
    """NX3002."""
    for tag in view.read:
        kind, mode = tag.device.kind, tag.tag.mode
        if kind is None or mode is None or mode in kind.modes:
            continue
        if tag.device.device.mode != mode and view.inherited(tag, "mode"):
            continue  # a default for everything means: where it can be
        message = f"{kind.title} has no mode '{mode}'"
        yield finding("NX3002", message, where=(*tag.where, "mode"), hint="mode: " + " or ".join(kind.modes))


def link_settings_differ(view: View) -> Iterator[Diagnostic]:
    """NX3003."""
    for (_, link), devices in view.links.items():
        first = devices[0]
        for other in devices[1:]:
            if first.kind is None or other.kind is not first.kind:
                continue
            for key in sorted(first.kind.link_keys):
                ours, theirs = getattr(first.connection, key, None), getattr(other.connection, key, None)
                if ours != theirs:
                    yield finding(
                        "NX3003",
                        f"'{key}' differs from that of '{first.path}', which shares the link {link}",
                        where=(*other.where, "connection", key),
                        hint="write the same for both",
                        related=(Related(message=first.path, where=(*first.where, "connection", key)),),
                    )


def protocols_own(view: View) -> Iterator[Diagnostic]:
    """The drivers' own checks of their links."""
    for (_, link), devices in view.links.items():
        kind = devices[0].kind
        if kind is not None:
            yield from kind.check_link(link, devices)


def protocols_on_one_port(view: View) -> Iterator[Diagnostic]:
    """NX3007."""
    first_at: dict[tuple[str, int], BoundDevice] = {}
    for devices in view.model.links().values():
        device = devices[0]
        host, port = listens_at(device)
        if device.kind is None or not host or not port:
            continue
        first = first_at.setdefault((host.lower(), port), device)
        if first.kind is not device.kind and first.kind is not None:
            yield finding(
                "NX3007",
                f"'{device.path}' speaks {device.kind.title} to {host}:{port}, and '{first.path}' {first.kind.title}",
                where=(*device.where, "connection"),
                on_key=True,
                hint="a port answers one protocol: correct the port or the protocol of one of them",
                related=(Related(message=first.path, where=(*first.where, "connection")),),
            )


def device_twice(view: View) -> Iterator[Diagnostic]:
    """NX3008: everything that says where values come from is the same; names and units may differ."""
    for devices in view.links.values():
        if len(devices) < 2:
            continue
        seen: dict[str, BoundDevice] = {}
        for device in devices:
            if (what := _read_by(device)) is None:
                continue
            first = seen.setdefault(what, device)
            if first is not device:
                yield finding(
                    "NX3008",
                    f"'{device.path}' reads the same addresses of the same device as '{first.path}'",
                    where=device.where,
                    on_key=True,
                    hint="was it copied? correct its connection or its addresses, or remove one of the two",
                    related=(Related(message=first.path, where=first.where),),
                )


def _read_by(device: BoundDevice) -> str | None:
    """The reads of a device as a text; None where they are unknown, or too few to recognise a copy."""
    addresses = [one.address for one in device.tags.values()]
    if device.connection is None or len(addresses) < FEWEST_ALIKE or any(one is None for one in addresses):
        return None
    read = sorted({(one.text, digest(dict(one.options))) for one in addresses if one is not None})
    return digest([device.connection.model_dump(mode="json", exclude_none=True), read])


CHECKS = (mode_not_supported, link_settings_differ, protocols_own, protocols_on_one_port, device_twice)
