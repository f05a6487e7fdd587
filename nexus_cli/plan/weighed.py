"""Hazards that need to see beside the changes what stays: the load of links, the share of a site, classes of retention.

The plan and control call the same function, each with what it knows: the files, or what is recorded. Control reads what
`needed` names and nothing else, so that a small change to a large site stays cheap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from nexus_cli.diagnostics.wording import counted, duration
from nexus_cli.plan.change import Action, Attributes, Change
from nexus_cli.plan.hazards import Hazard
from nexus_cli.plan.load import LinkLoad, links_touched, over_budget

SITE = "site"
DEFAULT_CLASS = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """What is weighed beside the changed resources.

    Attributes:
        addresses: Resources.
        links: Links whose devices count.
    """

    addresses: tuple[str, ...]
    links: tuple[str, ...]


def needed(changes: Sequence[Change]) -> Needed:
    """What `weighed_hazards` has to see of the recorded state, beside the changed resources."""
    classes = {name for old, new in _class_moves(changes).values() for name in (old, new)}
    return Needed(
        addresses=(SITE, *(f"retention.{name}" for name in sorted(classes))),
        links=tuple(sorted(links_touched(changes))),
    )


def weighed_hazards(
    changes: Sequence[Change],
    *,
    before: Mapping[str, Attributes],
    after: Mapping[str, Attributes],
    recorded_devices: int,
    loads: Sequence[LinkLoad],
) -> tuple[Hazard, ...]:
    """`mass-change`, `over-budget` and `data-loss` of tags that go to a class that keeps less; not for a first plan.

    Args:
        changes: The plan's.
        before, after: Both sides by address; what `needed` names is enough.
        recorded_devices: Devices before the change; 0 is a first plan.
        loads: Of the links that the changes touch; of two of one link either is enough.
    """
    if not recorded_devices:
        return ()
    return (*_mass(changes, before, recorded_devices), *_over_budget(loads), *_shorter(changes, before, after))


def _mass(changes: Sequence[Change], before: Mapping[str, Attributes], recorded: int) -> Iterator[Hazard]:
    """By the limit that is recorded: a plan can't lift the limit that it goes beyond."""
    limit = (before.get(SITE) or {}).get("mass_change")
    if not isinstance(limit, int | float):
        return
    touched = sum(change.type == "device" and change.action is not Action.CREATE for change in changes)
    if Fraction(touched, recorded) > Fraction(str(limit)):  # 0.3 as it is written, not as its float is
        yield Hazard(
            name="mass-change",
            scope=SITE,
            address=SITE,
            message=f"{touched:,} of {counted(recorded, 'device')} change ({touched / recorded:.0%}); the site allows {limit:.0%} at once",
        )


def _over_budget(loads: Sequence[LinkLoad]) -> Iterator[Hazard]:
    seen: set[str] = set()
    for path, message in over_budget(loads):
        if path not in seen:
            seen.add(path)
            yield Hazard(name="over-budget", scope=path, address=f"device.{path}", message=message)


def _shorter(
    changes: Sequence[Change], before: Mapping[str, Attributes], after: Mapping[str, Attributes]
) -> Iterator[Hazard]:
    for path, (old, new) in _class_moves(changes).items():
        was, now = _keep_ms(before, old), _keep_ms(after, new)
        if was is not None and now is not None and now < was:
            yield Hazard(
                name="data-loss",
                scope=path,
                address=f"tag.{path}",
                message=f"{path} is kept in class {new} ({duration(now)}) instead of {old} ({duration(was)})",
            )


def _class_moves(changes: Sequence[Change]) -> dict[str, tuple[str, str]]:
    """Old and new class by path of tags that change it."""
    return {
        tag.path: (str(tag.before.get("retention", DEFAULT_CLASS)), str(tag.after.get("retention", DEFAULT_CLASS)))
        for change in changes
        for tag in change.tags
        if tag.before is not None and tag.after is not None and "retention" in tag.keys
    }


def _keep_ms(resources: Mapping[str, Attributes], name: str) -> int | None:
    """What a class keeps, in ms; None of one that is not recorded."""
    keep_ms = (resources.get(f"retention.{name}") or {}).get("keep_ms")
    return None if keep_ms is None else int(keep_ms)
