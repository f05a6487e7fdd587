"""Impacts that need consent, by name and scope: `--allow data-loss=packaging/**`."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from nexus_cli.access.gain_words import NOW, gain_sentence
from nexus_cli.access.gains import Gain
from nexus_cli.diagnostics.wording import duration
from nexus_cli.model.policy_config import is_rule
from nexus_cli.plan.change import Action, Attributes, Change, series_type, series_unit
from nexus_cli.plan.raised import raised_of_device
from nexus_cli.plan.representatives import LOGIN, OIDC

NAMES: dict[str, str] = {
    "data-loss": "NX4101",
    "acl-widen": "NX4102",
    "write-enable": "NX4103",
    "series-break": "NX4104",
    "empty-target": "NX4105",
    "running-sequence": "NX4106",
    "over-budget": "NX4010",
    "mass-change": "NX4011",
    "policy-change": "NX4030",
    "policy": "NX4031",
    "runs-sequence": "NX4150",
}
"""Code by name of hazard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hazard:
    """Something that needs a yes.

    Attributes:
        name: A key of `NAMES`.
        scope: What a consent's glob must cover: a path, or the name of a user or class.
        address: The resource whose change brings it.
        message: What would happen, one sentence.
    """

    name: str
    scope: str
    address: str
    message: str

    @property
    def code(self) -> str:
        """Its code in the catalogue."""
        return NAMES[self.name]


def hazards_of(
    changes: Sequence[Change], *, devices_left: int, first: bool, widened: Sequence[Gain] = ()
) -> tuple[Hazard, ...]:
    """Every hazard of the changes, in their order; who may do more comes last, by name.

    Args:
        changes: The plan's.
        devices_left: Devices declared after the change.
        first: True when nothing was recorded before; then there is nothing to lose or to widen.
        widened: Rights that principals gain (`plan.rights.Rights.widened`).
    """
    if first:
        return ()
    found = list(_empty_target(changes, devices_left=devices_left))
    for change in changes:
        found += _of_device(change) if change.type == "device" else _of_other(change)
        found += _of_rule(change)
        found += _raised(change)
    return (*found, *_widened(widened))


def blocked(hazards: Iterable[Hazard], allow: Sequence[str]) -> tuple[Hazard, ...]:
    """The hazards that no consent covers.

    Args:
        allow: `NAME` or `NAME=GLOB` (`*` within one level, `**` any levels).
    """
    consents = [consent.partition("=") for consent in allow]
    return tuple(
        hazard
        for hazard in hazards
        if not any(name == hazard.name and (not eq or covers(glob, hazard.scope)) for name, eq, glob in consents)
    )


def unknown_names(allow: Iterable[str]) -> list[str]:
    """Names in consents that are no hazard."""
    return [name for name in (consent.partition("=")[0] for consent in allow) if name not in NAMES]


def covers(glob: str, path: str) -> bool:
    """True when a glob (`*` within one level, `**` any number of levels) covers a path."""
    return _covers(glob.split("/"), path.split("/"))


def _covers(glob: list[str], path: list[str]) -> bool:
    if not glob:
        return not path
    if glob[0] == "**":
        return any(_covers(glob[1:], path[start:]) for start in range(len(path) + 1))
    return bool(path) and fnmatch.fnmatchcase(path[0], glob[0]) and _covers(glob[1:], path[1:])


def _empty_target(changes: Sequence[Change], *, devices_left: int) -> Iterator[Hazard]:
    gone = sum(change.type == "device" and change.action is Action.FORGET for change in changes)
    if gone and not devices_left:
        yield Hazard(
            name="empty-target",
            scope="site",
            address="site",
            message=f"every device goes: {gone} forgotten, none left",
        )


def _of_device(change: Change) -> Iterator[Hazard]:
    yield from _write_enable(change)
    for tag in change.tags:
        address = f"tag.{tag.path}"
        if tag.action is Action.FORGET:
            yield Hazard(
                name="data-loss",
                scope=tag.path,
                address=address,
                message=f"{tag.path} is forgotten: its samples stay, no new ones are stored",
            )
        if tag.before is None or tag.after is None:
            continue
        broken = _series_break(tag.before, tag.after)
        if broken:
            yield Hazard(
                name="series-break",
                scope=tag.path,
                address=address,
                message=f"{tag.path} changes {broken}: its series starts a new segment, samples stored so far stay as they are",
            )


def _write_enable(change: Change) -> Iterator[Hazard]:
    """Tags that take commands from now on: writable, and neither they nor their device out of service.

    Of a new device they are no surprise; on a device that is recorded a new writable tag is one.
    """
    before, after = change.before or {}, change.after or {}
    comes_back = bool(before) and not before.get("enabled", True) and bool(after.get("enabled", True))
    for tag in change.tags:
        if tag.before is not None and tag.after is not None:
            if _takes_commands(tag.after) and not _takes_commands(tag.before):
                yield _writable(tag.path, "becomes writable")
        elif tag.action is Action.CREATE and before and _takes_commands(tag.after):
            yield _writable(tag.path, f"is new on {change.name} and writable")
    if comes_back:
        touched = {tag.path for tag in change.tags}
        for name, attributes in (after.get("tags") or {}).items():
            path = f"{change.name}/{name}"
            if path not in touched and _takes_commands(attributes):
                yield _writable(path, "becomes writable: its device comes into service")


def _takes_commands(tag: Attributes | None) -> bool:
    return tag is not None and bool(tag.get("writable")) and bool(tag.get("enabled", True))


def _writable(path: str, what: str) -> Hazard:
    return Hazard(name="write-enable", scope=path, address=f"tag.{path}", message=f"{path} {what}")


def _series_break(before: Attributes, after: Attributes) -> str:
    parts = []
    if series_type(before) != series_type(after):
        parts.append(f"type {series_type(before)} -> {series_type(after)}")
    if series_unit(before) != series_unit(after):
        parts.append(f"unit {series_unit(before) or 'none'} -> {series_unit(after) or 'none'}")
    return " and ".join(parts)


def _of_other(change: Change) -> Iterator[Hazard]:
    before, after = change.before, change.after
    if before is None or after is None:
        return
    if change.type == "retention":
        old, new = int(before.get("keep_ms", 0)), int(after.get("keep_ms", 0))
        if new < old:
            yield Hazard(
                name="data-loss",
                scope=change.name,
                address=change.address,
                message=f"class {change.name} keeps {duration(new)} instead of {duration(old)}: older samples are dropped",
            )
        archive, shorter = after.get("archive_keep_ms"), before.get("archive_keep_ms")
        if before.get("archive_after_ms") is not None and archive and (not shorter or int(archive) < int(shorter)):
            yield Hazard(
                name="data-loss",
                scope=change.name,
                address=change.address,
                message=f"the archive keeps days of class {change.name} for {duration(int(archive))}: older ones are removed from it",
            )
        if before.get("archive_after_ms") is not None and after.get("archive_after_ms") is None:
            yield Hazard(
                name="data-loss",
                scope=change.name,
                address=change.address,
                message=f"class {change.name} is no longer archived: samples that are not in the archive are dropped after {duration(new)}",
            )


def _of_rule(change: Change) -> Iterator[Hazard]:
    """A policy, or who approves, that was on record and is another one afterwards."""
    if is_rule(change.address) and change.before is not None:
        what = f"policy {change.name}" if change.type == "policy" else "who has to approve a plan"
        end = "goes: what it forbids is allowed from then on" if change.after is None else "changes"
        yield Hazard(name="policy-change", scope=change.name, address=change.address, message=f"{what} {end}")


def _raised(change: Change) -> Iterator[Hazard]:
    """A protection of a device that is less strict afterwards."""
    for path, message in raised_of_device(change):
        yield Hazard(name="over-budget", scope=path, address=change.address, message=message)


def _widened(gains: Sequence[Gain]) -> Iterator[Hazard]:
    """One for each principal, whatever its rights come from."""
    by_name: dict[str, list[Gain]] = {}
    for gain in gains:
        if gain.widens:
            by_name.setdefault(gain.principal, []).append(gain)
    for name, found in sorted(by_name.items()):
        told = [gain_sentence(name, each.action, each.kind, each.gained, NOW) for each in found]
        yield Hazard(
            name="acl-widen",
            scope=name,
            address=LOGIN if name.startswith(OIDC) else f"user.{name}",
            message="; ".join([told[0], *(text.removeprefix(f"{name} ") for text in told[1:])]),
        )
