"""Links and protocols: devices that share a link agree about it, and ask only what their protocol can do."""

from __future__ import annotations

from collections.abc import Iterator

from nexus_cli.checks.view import View
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic, Related


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
    for link, devices in view.model.links().items():
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
    """What the drivers check of their links."""
    for link, devices in view.model.links().items():
        kind = devices[0].kind
        if kind is not None:
            yield from kind.check_link(link, devices)


CHECKS = (mode_not_supported, link_settings_differ, protocols_own)
