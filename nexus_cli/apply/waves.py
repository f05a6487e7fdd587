"""What control checks of a rollout, and what each of its waves records. Pure.

A wave is an ordinary deployment of a part of the plan: it has a journal, a table and an outcome of its own, and what is
recorded is at any moment what gateways are to run.

See docs/decisions/0104.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from nexus_cli.apply.request import DeploymentRequest, changes_between
from nexus_cli.apply.run import StoredPlan, Work
from nexus_cli.database.deployments import Recorded
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.snapshot import Attributes, Changed, site_digest
from nexus_cli.model.window_config import Windows, local_text, window_text
from nexus_cli.plan.change import Change
from nexus_cli.plan.diff import tag_paths
from nexus_cli.plan.reversal import Made, reversed_renames
from nexus_cli.plan.windows import held_paths
from nexus_cli.wire.rollout import WaveRequest

ALL = "all"
"""Name of the only wave of a deployment that has none."""


def with_old_addresses(waves: Sequence[WaveRequest], changes: Sequence[Change]) -> list[WaveRequest]:
    """The waves with every address that they write or remove: of what moves the old one, too.

    Raises:
        NexusError: NX5034, they do not have each change exactly once.
    """
    old = {change.address: change.previous_address for change in changes}
    counted = Counter(address for wave in waves for address in wave.addresses)
    twice = [address for address, count in counted.items() if count > 1]
    strange = [address for address in counted if address not in old]
    missing = [address for address in old if address not in counted]
    for words, found in (("in two waves", twice), ("no change of the plan", strange), ("in no wave", missing)):
        if found:
            raise NexusError(f"{sorted(found)[0]} is {words}; nothing changed.", code="NX5034")
    return [
        WaveRequest(
            name=wave.name,
            soak_ms=wave.soak_ms,
            addresses=[each for address in wave.addresses for each in (old[address], address) if each is not None],
        )
        for wave in waves
    ]


def one_wave(changes: Sequence[Change]) -> list[WaveRequest]:
    """Everything at once, as a wave."""
    return [WaveRequest(name=ALL, addresses=[change.address for change in changes])]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What maintenance windows say of changes at a moment.

    Attributes:
        names: Of the windows that hold a change, sorted.
        open: Whether all of them are open.
        opens: When they are next open together; None when they are not within `model.window_config.AHEAD`.
        paths: Paths of what is held, by window.
    """

    names: tuple[str, ...]
    open: bool
    opens: datetime | None
    paths: Mapping[str, Sequence[str]]


def held_by(windows: Windows, changes: Sequence[Change], moment: datetime) -> Held:
    """Which windows hold these changes, by what is recorded."""
    paths = windows.held(path for change in changes for path in held_paths(change))
    names = tuple(paths)
    opens = windows.next_open(names, moment)
    return Held(names=names, open=opens == moment, opens=opens, paths=paths)


def refuse_outside(windows: Windows, changes: Sequence[Change], moment: datetime) -> None:
    """Raises NexusError NX5035 (exit code 3) when a window that holds a change is shut, with when it opens."""
    held = held_by(windows, changes, moment)
    if held.open:
        return
    shut = next((name for name in held.names if not windows.open([name], moment)), held.names[0])
    window = windows.windows[shut]
    opens = f"opens {local_text(held.opens, window.zone)}" if held.opens else "never opens together with the others"
    more = f" and {len(held.paths[shut]) - 1} more" if len(held.paths[shut]) > 1 else ""
    place = held.paths[shut][0] or "the site"
    raise NexusError(
        f"The maintenance window '{shut}' ({window_text(window)}) of {place}{more} is shut; it {opens}. Nothing changed.",
        code="NX5035",
    )


def refuse_never(windows: Windows, waves: Sequence[Sequence[Change]], moment: datetime) -> None:
    """Raises NexusError NX5036 when the windows of some wave are never open together."""
    for changes in waves:
        held = held_by(windows, changes, moment)
        if held.opens is None:
            raise NexusError(
                f"The maintenance windows {', '.join(held.names)} are never open at the same time; nothing changed.",
                code="NX5036",
            )


def part_of(plan: StoredPlan, addresses: Collection[str]) -> StoredPlan:
    """The part of a plan that a wave does."""
    wanted = set(addresses)
    return msgspec.structs.replace(
        plan,
        changed={address: value for address, value in plan.changed.items() if address in wanted},
        before={address: value for address, value in plan.before.items() if address in wanted},
        digests={address: value for address, value in plan.digests.items() if address in wanted},
        summary={},
        reach=plan.reach if wanted.issuperset(plan.changed) else None,
    )


def undone(plan: StoredPlan, digests_before: Mapping[str, str]) -> StoredPlan:
    """The plan that takes another one back."""
    changed: Changed = {address: plan.before.get(address) for address in plan.changed}
    before: dict[str, Attributes] = {address: value for address, value in plan.changed.items() if value is not None}
    return msgspec.structs.replace(
        plan,
        changed=changed,
        before=before,
        digests={address: digests_before[address] for address, value in changed.items() if value is not None},
        moved=reversed_renames([Made(moved=plan.moved, before=tag_paths(plan.before), after=tag_paths(plan.changed))]),
        summary={},
        reach=None,
    )


def work_of(plan: StoredPlan) -> Work:
    """The work of a part of a plan, or of what takes it back; its counts are those of `plan.plan.Plan.counts`."""
    changes = changes_between(plan.changed, plan.before, moved=plan.moved, digests=plan.digests)
    resources = Counter(change.action.value for change in changes)
    tags = Counter(f"tags_{tag.action.value}" for change in changes for tag in change.tags)
    return Work(plan=msgspec.structs.replace(plan, summary={**resources, **tags}), changes=changes)


def digest_after(recorded: Recorded, plan: StoredPlan) -> str:
    """Digest of the state that a part of a plan makes of what is recorded."""
    left = {address: value for address, value in recorded.digests.items() if address not in plan.changed}
    return site_digest(recorded.enterprise, recorded.site, {**left, **plan.digests})


def changes_of(request: DeploymentRequest, changes: Sequence[Change]) -> list[list[Change]]:
    """The changes of a request by wave; all of them where it has no waves."""
    waves = request.rollout.waves if request.rollout is not None else []
    if not waves:
        return [list(changes)]
    by_address = {change.address: change for change in changes}
    return [[by_address[address] for address in wave.addresses if address in by_address] for wave in waves]
