"""Hazards that need to see beside the changes what stays: the load of links, the share of a site, classes of retention.

The plan and control call the same function, each with what it knows: the files, or what is recorded. Control reads what
`needed` names and nothing else, so that a small change to a large site stays cheap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from nexus_cli.diagnostics.wording import duration
from nexus_cli.plan.change import Attributes, Change
from nexus_cli.plan.hazards import Hazard
from nexus_cli.plan.load import LinkLoad, links_touched, over_budget
from nexus_cli.plan.mass_change import DEFAULT_CLASS, SITE, Standing, limits_of, mass_hazards
from nexus_cli.plan.raised import LIMITS, raised_of_site


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
    standing: Standing,
    loads: Sequence[LinkLoad],
) -> tuple[Hazard, ...]:
    """`mass-change`, `policy-change` of limits, `over-budget` and `data-loss` of tags that go to a class that keeps less; not for a first plan.

    Args:
        changes: The plan's.
        before, after: Both sides by address; what `needed` names is enough.
        standing: What was recorded before the change.
        loads: Of the links that the changes touch; of two of one link either is enough.
    """
    mass = (*mass_hazards(changes, before.get(SITE), standing), *_raised_limits(changes))
    return (*mass, *_over_budget(loads), *_shorter(changes, before, after)) if standing.devices else mass


def _raised_limits(changes: Sequence[Change]) -> Iterator[Hazard]:
    """Limits of the site that are higher or gone afterwards: the next plan would need no consent."""
    for change in changes:
        if change.before is not None:
            message = raised_of_site(change, was=limits_of(change.before), now=limits_of(change.after))
            if message:
                yield Hazard(name="policy-change", scope=LIMITS, address=change.address, message=message)


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
        was, now = before.get(f"retention.{old}") or {}, after.get(f"retention.{new}") or {}
        lost = list(_lost(was, now)) if "keep_ms" in was and "keep_ms" in now else []
        if lost:
            yield Hazard(
                name="data-loss",
                scope=path,
                address=f"tag.{path}",
                message=f"{path} goes from class {old} to {new}: {'; '.join(lost)}",
            )


def _lost(was: Attributes, now: Attributes) -> Iterator[str]:
    """What one class keeps less than another: samples in the database, days in the archive."""
    if now["keep_ms"] < was["keep_ms"]:
        yield f"samples are kept {duration(int(now['keep_ms']))} instead of {duration(int(was['keep_ms']))}"
    if was.get("archive_after_ms") is not None and _reach_ms(now) < _reach_ms(was):
        if now.get("archive_after_ms") is None:
            yield f"they no longer go to the archive and are dropped after {duration(int(now['keep_ms']))}"
        else:
            kept = was.get("archive_keep_ms")
            instead = f"{duration(int(kept))}" if kept else "without end"
            yield f"the archive keeps them {duration(int(now['archive_keep_ms']))} instead of {instead}"


def _reach_ms(retention: Attributes) -> float:
    """Age at which a sample is nowhere any more, neither in the database nor in the archive; infinite is never."""
    if retention.get("archive_after_ms") is None:
        return float(retention["keep_ms"])
    return float(max(retention["keep_ms"], retention.get("archive_keep_ms") or inf))


def _class_moves(changes: Sequence[Change]) -> dict[str, tuple[str, str]]:
    """Old and new class by path of tags that change it."""
    return {
        tag.path: (str(tag.before.get("retention", DEFAULT_CLASS)), str(tag.after.get("retention", DEFAULT_CLASS)))
        for change in changes
        for tag in change.tags
        if tag.before is not None and tag.after is not None and "retention" in tag.keys
    }
