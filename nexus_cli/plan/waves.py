"""The waves of a plan: which changes go out together, in order. Pure.

A device belongs to the first wave that names it, else to the last one, `rest`. It goes later than that only where it needs
a device of a later wave. Gateways and retention classes come with the first device that needs them, and so do sequences that
run when a device changes, with the messages that they publish; a device that such a sequence writes goes before it. Alarms come
with the last device that they watch; everything else that is no device comes last, so that rights and views change once.

See docs/decisions/0104.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nexus_cli.model.resources import paths_of
from nexus_cli.model.rollouts import REST, Rollout
from nexus_cli.plan.change import Action, Change
from nexus_cli.plan.dependencies import Need, needs_of
from nexus_cli.plan.globs import as_path, reaches

BASES = ("gateway", "retention")
"""Kinds of resources that devices refer to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """Changes that go out together.

    Attributes:
        name: Of the wave.
        soak_ms: How long it runs before its gates are measured; 0 measures none.
        addresses: Of its changes, in the order of the plan; the old address of what moves is not among them.
        devices: Paths of its changed devices, new ones where they moved; sorted.
    """

    name: str
    soak_ms: int
    addresses: tuple[str, ...]
    devices: tuple[str, ...]


def waves_of(changes: Sequence[Change], rollout: Rollout) -> tuple[Wave, ...]:
    """The waves that have anything to do, in order; each change is in exactly one.

    Args:
        changes: In the order of the plan.
        rollout: As the site declares it.
    """
    last = len(rollout.waves)
    at = {
        change.address: wave_of(rollout, change.name, change.previous_name)
        for change in changes
        if change.type == "device"
    }
    needs = needs_of(changes)
    at |= _acting(changes, at, needs)
    _delay(at, needs)
    for change in changes:
        if change.address not in at:
            at[change.address] = _wave_of_other(change, at, needs, last=last)
    names = [(wave.name, wave.soak) for wave in rollout.waves] + [(REST, 0)]
    found = []
    for number, (name, soak_ms) in enumerate(names):
        mine = [change for change in changes if at[change.address] == number]
        if mine:
            devices = sorted(change.name for change in mine if change.type == "device")
            addresses = tuple(change.address for change in mine)
            found.append(Wave(name=name, soak_ms=soak_ms, addresses=addresses, devices=tuple(devices)))
    return tuple(found)


def wave_of(rollout: Rollout, *paths: str) -> int:
    """Position of the first wave that names one of the paths of a device; that of the rest when none does."""
    for number, wave in enumerate(rollout.waves):
        if any(reaches(as_path(glob), path) for glob in wave.devices for path in paths):
            return number
    return len(rollout.waves)


def _acting(changes: Sequence[Change], at: Mapping[str, int], needs: Iterable[Need]) -> dict[str, int]:
    """Sequences that devices of these waves need, with the first of them, and the messages that those publish."""
    found: dict[str, int] = {}
    for kind in ("sequence", "message"):
        for change in changes:
            if change.type != kind or change.action is Action.FORGET:
                continue
            users = [need.address for need in needs if need.needs == change.address]
            waves = [{**at, **found}[each] for each in users if each in at or each in found]
            if waves:
                found[change.address] = min(waves)
    return found


def _delay(at: dict[str, int], needs: Iterable[Need]) -> None:
    """Nothing goes out before what it needs; what needs each other goes out together, with the later one."""
    firm = [need for need in needs if need.firm and need.address in at and need.needs in at]
    moved = True
    while moved:
        moved = False
        for need in firm:
            if at[need.needs] > at[need.address]:
                at[need.address] = at[need.needs]
                moved = True


def _wave_of_other(change: Change, at: Mapping[str, int], needs: Iterable[Need], *, last: int) -> int:
    """Of what is no device; devices have their wave by now."""
    if change.type in BASES and change.action is not Action.FORGET:
        return min(
            (at[need.address] for need in needs if need.needs == change.address and need.address in at), default=last
        )
    if change.type == "alert":
        watched = {
            path.rpartition("/")[0]
            for path in {*paths_of(dict(change.before or {})), *paths_of(dict(change.after or {}))}
        }
        waves = [at[address] for address in (f"device.{path}" for path in watched) if address in at]
        return (min if change.action is Action.FORGET else max)(waves, default=last)
    return last
