"""`mass-change`: more devices, tags, series or principals than the site's `limits` let one deployment change. Pure.

Each is counted against what was recorded before: what is new is no change of anything. Shares are compared as fractions, so
that 20 of 100 is not more than 20 %. See docs/decisions/0112.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from nexus_cli.diagnostics.wording import counted
from nexus_cli.model.limits import DEVICES, KINDS, RIGHTS, SERIES, TAGS
from nexus_cli.plan.change import Action, Attributes, Change, TagChange, series_type, series_unit
from nexus_cli.plan.hazards import Hazard

SITE = "site"
DEFAULT_CLASS = "default"
KEPT_BY = frozenset({"keep_ms", "archive_after_ms", "archive_keep_ms"})
"""Keys of a class that say how long samples are kept, and where."""
_SCOPE = {DEVICES: SITE, TAGS: f"{SITE}/tags", SERIES: f"{SITE}/series", RIGHTS: f"{SITE}/rights"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What was recorded before a change.

    Attributes:
        devices: How many; 0 is a first plan.
        tags: Tags by retention class; None where they were not counted: then tags and series are not weighed.
        principals: Users, and groups of the login provider.
        touched: Principals that gain or lose a right.
    """

    devices: int = 0
    tags: Mapping[str, int] | None = None
    principals: frozenset[str] = frozenset()
    touched: frozenset[str] = frozenset()


def limits_of(site: Attributes | None) -> dict[str, Fraction]:
    """The limits that a site has on record, by kind; a single share holds for each kind."""
    found = (site or {}).get("mass_change")
    if isinstance(found, int | float):
        return dict.fromkeys(KINDS, _exact(found))
    if not isinstance(found, Mapping):
        return {}
    return {kind: _exact(found[kind]) for kind in KINDS if isinstance(found.get(kind), int | float)}


def counts_tags(site: Attributes | None) -> bool:
    """Whether the limits of a site ask for the number of its tags."""
    return bool({TAGS, SERIES} & limits_of(site).keys())


def tags_by_class(devices: Iterable[Attributes]) -> dict[str, int]:
    """How many tags each retention class has."""
    found: dict[str, int] = {}
    for device in devices:
        for tag in (device.get("tags") or {}).values():
            name = _class(tag)
            found[name] = found.get(name, 0) + 1
    return found


def mass_hazards(changes: Sequence[Change], site: Attributes | None, standing: Standing) -> Iterator[Hazard]:
    """One for each kind that is beyond its limit, devices first.

    Args:
        changes: The plan's.
        site: As it is recorded: a plan can't lift the limit that it goes beyond.
        standing: What was recorded.
    """
    limits = limits_of(site)
    if not limits:
        return
    for kind, touched, whole in _counts(changes, standing):
        if kind in limits and whole and Fraction(touched, whole) > limits[kind]:
            yield Hazard(
                name="mass-change",
                scope=_SCOPE[kind],
                address=SITE,
                message=f"{_words(kind, touched, whole)} ({_percent(touched / whole)}); "
                f"the site allows {_percent(float(limits[kind]))} at once",
            )


def _counts(changes: Sequence[Change], standing: Standing) -> Iterator[tuple[str, int, int]]:
    """Kind, how many of it change, and how many were recorded."""
    devices = sum(change.type == "device" and change.action is not Action.CREATE for change in changes)
    yield DEVICES, devices, standing.devices
    if standing.tags is not None:
        whole = sum(standing.tags.values())
        tags = [tag for change in changes for tag in change.tags if tag.action is not Action.CREATE]
        yield TAGS, len(tags), whole
        yield SERIES, _series(changes, tags, standing.tags), whole
    yield RIGHTS, len(standing.touched & standing.principals), len(standing.principals)


def _series(changes: Iterable[Change], tags: Iterable[TagChange], recorded: Mapping[str, int]) -> int:
    """Series that end, get another name, begin a segment or are kept otherwise; those of a changed class all of them."""
    classes = {change.name for change in changes if change.type == "retention" and _keeps_otherwise(change)}
    alone = sum(_class(tag.before or {}) not in classes and _touched(tag) for tag in tags)
    return alone + sum(recorded.get(name, 0) for name in classes)


def _keeps_otherwise(change: Change) -> bool:
    return change.action is Action.FORGET or (change.action is Action.UPDATE and bool(KEPT_BY & set(change.keys)))


def _touched(tag: TagChange) -> bool:
    if tag.action in (Action.FORGET, Action.MOVE):
        return True
    before, after = tag.before or {}, tag.after or {}
    return (
        series_type(before) != series_type(after)
        or series_unit(before) != series_unit(after)
        or _class(before) != _class(after)
    )


def _class(tag: Attributes) -> str:
    return str(tag.get("retention") or DEFAULT_CLASS)


def _words(kind: str, touched: int, whole: int) -> str:
    if kind == SERIES:
        return f"{touched:,} of {whole:,} series end, break, move or are kept otherwise"
    if kind == RIGHTS:
        return (
            f"{touched:,} of {counted(whole, 'principal')} {'gains or loses' if whole == 1 else 'gain or lose'} rights"
        )
    return f"{touched:,} of {counted(whole, kind.removesuffix('s'))} {'changes' if whole == 1 else 'change'}"


def _exact(limit: float) -> Fraction:
    return Fraction(str(limit))  # 0.3 as it is written, not as its float is


def _percent(share: float) -> str:
    """With as many digits as a share and the limit beside it need to differ: `33.4%`, `20%`."""
    return f"{share * 100:.4g}%"
