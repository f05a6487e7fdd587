"""Sequences that `on_change` names: they exist, and can run without values that a person gives."""

from __future__ import annotations

from collections.abc import Iterator

from nexus_cli.checks.view import View
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic, ModelPath
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.model.actions import OnChange, bindings
from nexus_cli.model.kept import on_change_of


def _named(view: View) -> Iterator[tuple[str, ModelPath]]:
    """Every sequence that a line or a device names itself, with the place; what devices inherit is the line's."""
    site = view.model.site
    inherited: dict[tuple[str, str], OnChange] = {}
    for area_name, area in site.areas.items():
        for line_name, line in area.lines.items():
            if line.on_change is not None:
                inherited[area_name, line_name] = line.on_change
                for when, name in bindings(line.on_change).items():
                    yield name, ("areas", area_name, "lines", line_name, "on_change", when)
    for device in view.model.devices.values():
        area_name, line_name = str(device.where[1]), str(device.where[3])
        own = on_change_of(device)
        if own is None or own == inherited.get((area_name, line_name)):
            continue
        for when, name in bindings(own).items():
            yield name, (*device.where, "on_change", when)


def unknown_sequence(view: View) -> Iterator[Diagnostic]:
    """NX4151."""
    sequences = view.model.site.sequences
    for name, where in _named(view):
        if name not in sequences and name not in view.model.faulty.get("sequences", ()):
            hint = did_you_mean(name, sequences) or "declare it under 'sequences:'"
            yield finding("NX4151", f"there is no sequence '{name}'", where=where, hint=hint)


def sequence_needs_values(view: View) -> Iterator[Diagnostic]:
    """NX4153."""
    for name, where in _named(view):
        sequence = view.model.site.sequences.get(name)
        missing = [key for key, one in sequence.parameters.items() if one.default is None] if sequence else []
        if missing:
            message = f"a deployment runs '{name}' without values, and its parameter '{missing[0]}' has no default"
            yield finding("NX4153", message, where=where, hint=f"a default for '{missing[0]}', or another sequence")


CHECKS = (unknown_sequence, sequence_needs_values)
