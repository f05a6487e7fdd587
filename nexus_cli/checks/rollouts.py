"""Waves of a rollout, and maintenance windows: do they name what there is, and each device once?"""

from __future__ import annotations

from collections.abc import Iterator

from nexus_cli.access.globs import matches_glob
from nexus_cli.checks.view import View
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic, ModelPath, Related
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.model.kept import window_of
from nexus_cli.model.rollouts import REST
from nexus_cli.model.windows import NO_WINDOW

HERE = ("rollout",)
MOST_TWICE = 20
"""Devices in the same two waves that are named one by one."""


def wave_devices(view: View) -> Iterator[Diagnostic]:
    """NX1072 and NX1073. A wave may widen an earlier one: canary, its line, its area."""
    rollout = view.model.site.rollout
    if rollout is None:
        return
    devices = list(view.model.devices)
    earlier: list[tuple[str, frozenset[str], ModelPath]] = []
    for number, wave in enumerate(rollout.waves):
        here = (*HERE, "waves", number, "devices")
        mine: set[str] = set()
        for position, glob in enumerate(wave.devices):
            found = {path for path in devices if _reaches(glob, path)}
            mine |= found
            if not found:
                places = {"/".join(path.split("/")[:count]) for path in devices for count in (1, 2, 3)}
                hint = did_you_mean(glob, places)
                yield finding("NX1072", f"'{glob}' matches no device", where=(*here, position), hint=hint)
        for name, theirs, place in earlier:
            if not theirs < mine:
                yield from _in_both(sorted(theirs & mine), (name, place), (wave.name, here))
        earlier.append((wave.name, frozenset(mine), here))


def _in_both(paths: list[str], first: tuple[str, ModelPath], second: tuple[str, ModelPath]) -> Iterator[Diagnostic]:
    """NX1073, of devices in two waves of which the later one does not widen the earlier one."""
    for path in paths[:MOST_TWICE]:
        message = f"{path} is in the waves '{first[0]}' and '{second[0]}'"
        related = (Related(message="the first", where=first[1]),)
        hint = "name it in one wave, or have the later wave contain the whole earlier one"
        yield finding("NX1073", message, where=second[1], on_key=True, hint=hint, related=related)


def wave_names(view: View) -> Iterator[Diagnostic]:
    """NX1074."""
    rollout = view.model.site.rollout
    seen = {REST}
    for number, wave in enumerate(rollout.waves if rollout is not None else ()):
        if wave.name in seen:
            who = "the last wave, of what no other one names" if wave.name == REST else "another wave"
            where = (*HERE, "waves", number, "name")
            yield finding("NX1074", f"'{wave.name}' is the name of {who}", where=where, hint="choose another name")
        seen.add(wave.name)


def gates_without_soak(view: View) -> Iterator[Diagnostic]:
    """NX1077."""
    rollout = view.model.site.rollout
    if rollout is None or any(wave.soak for wave in rollout.waves):
        return
    gates = rollout.gates
    if gates.good is not None or gates.missed_polls is not None or gates.alarms is not None:
        hint = "give a wave a soak time: soak: 10m"
        yield finding("NX1077", "no wave soaks, so no gate is measured", where=(*HERE, "gates"), on_key=True, hint=hint)


def windows(view: View) -> Iterator[Diagnostic]:
    """NX1075 and NX1076."""
    declared = view.model.site.windows
    used: set[str] = set()
    for name, where in _attached(view):
        used.add(name)
        if name != NO_WINDOW and name not in declared:
            hint = did_you_mean(name, [*declared, NO_WINDOW])
            yield finding("NX1075", f"the window '{name}' is not declared", where=where, hint=hint)
    for name in declared:
        if name not in used:
            hint = f"write `window: {name}` at the site, an area, a line or a device"
            yield finding(
                "NX1076", f"the window '{name}' is attached to nothing", where=("windows", name), on_key=True, hint=hint
            )


def _attached(view: View) -> Iterator[tuple[str, ModelPath]]:
    """Every `window:` of the site, and where it is."""
    site = view.model.site
    if site.window is not None:
        yield site.window, ("window",)
    for area_name, area in site.areas.items():
        if area.window is not None:
            yield area.window, ("areas", area_name, "window")
        for line_name, line in area.lines.items():
            if line.window is not None:
                yield line.window, ("areas", area_name, "lines", line_name, "window")
    for device in view.model.devices.values():
        if (window := window_of(device)) is not None:
            yield window, (*device.where, "window")


def _reaches(glob: str, path: str) -> bool:
    """Whether a glob covers a device, or a line or an area that it is in."""
    levels = path.split("/")
    return any(matches_glob(glob, "/".join(levels[:count])) for count in range(1, len(levels) + 1))


CHECKS = (wave_devices, wave_names, gates_without_soak, windows)
