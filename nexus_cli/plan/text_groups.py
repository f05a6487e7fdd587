"""Groups that a large plan shows once instead of a thousand times: devices with equal changes, and hazards of one kind.

One edit of a template changes every device of its kind in the same way, so the lines of such devices are the same but
for the device's name. They become one block with a count; hazards become one line with the narrowest consent.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from nexus_cli.access.gain_words import some
from nexus_cli.plan.consents import narrowest
from nexus_cli.plan.document import ChangeEntry, HazardEntry, ImpactEntry

MOST_PLACES = 6
"""Lines of a plant that a block names; more are counted."""
MOST_GROUPS = 20
SINGLE_HAZARDS = 20
"""Up to so many hazards of one name are shown one by one."""
SAME_IMPACTS = 3
"""Up to so many impacts of one plane are shown one by one."""


def alike(
    changes: Sequence[ChangeEntry], block: Callable[[ChangeEntry], Sequence[str]]
) -> list[tuple[ChangeEntry, list[ChangeEntry]]]:
    """Changed devices in groups that read the same but for their names, in the order of their first one.

    Args:
        changes: Updates of devices.
        block: The lines of one, its heading apart.
    """
    groups: dict[tuple[str, ...], list[ChangeEntry]] = {}
    for change in changes:
        name = change["name"]
        key = tuple(line.replace(name, "…") for line in block(change))
        groups.setdefault(key, []).append(change)
    return [(group[0], group) for group in groups.values()]


def places(names: Iterable[str]) -> str:
    """`packaging/line-1/* (20), packaging/line-2/* (5) and 3 lines more` for paths of devices."""
    by_line = Counter(name.rpartition("/")[0] for name in names)
    shown = [f"{line}/* ({count})" for line, count in sorted(by_line.items())[:MOST_PLACES]]
    more = len(by_line) - len(shown)
    return ", ".join(shown) + (f" and {more} line{'s' * (more > 1)} more" if more else "")


def impact_lines(impacts: Sequence[ImpactEntry], *, name: str = "") -> Iterator[str]:
    """One line an impact; of a plane with many the first ones and a count.

    Args:
        impacts: Of one device.
        name: Its path, left out where the block represents several.
    """
    by_plane: dict[str, list[str]] = defaultdict(list)
    for impact in impacts:
        by_plane[impact["plane"]].append(impact["text"].replace(name, "…") if name else _with_counts(impact))
    for plane, texts in by_plane.items():
        shown = texts if len(texts) <= SAME_IMPACTS + 1 else texts[:SAME_IMPACTS]
        yield from (f"{plane}: {text}" for text in shown)
        if len(texts) > len(shown):
            yield f"{plane}: … and {len(texts) - len(shown):,} more like these"


def _with_counts(impact: ImpactEntry) -> str:
    return f"{impact['text']}: {impact['measured']}" if "measured" in impact else impact["text"]


def hazard_groups(hazards: Sequence[HazardEntry]) -> Iterator[tuple[str, list[HazardEntry]]]:
    """Hazards of one name as `(sentence, hazards)`: one by one when they are few, else by kind and place."""
    if len(hazards) <= SINGLE_HAZARDS:
        for hazard in hazards:
            yield hazard["message"], [hazard]
        return
    kinds: dict[str, list[HazardEntry]] = defaultdict(list)
    for hazard in hazards:
        if hazard["name"] == "acl-widen":  # a name such as `op` is a part of other words, too
            kinds[hazard["message"].removeprefix(hazard["scope"])].append(hazard)
        else:
            kinds[hazard["message"].replace(hazard["scope"], "…")].append(hazard)
    for message, found in kinds.items():
        if found[0]["name"] == "acl-widen":
            yield some([hazard["scope"] for hazard in found]) + message, found
            continue
        for scope, group in _by_place(found):
            if len(group) == 1:
                yield group[0]["message"], group
            else:
                yield f"{scope}, {_many(group)}: {message.removeprefix('… ')}", group


def _by_place(found: Sequence[HazardEntry]) -> Iterator[tuple[str, list[HazardEntry]]]:
    """By tag name, device, line or area: whichever gives few groups first; the name of a group is its narrowest glob."""
    group: dict[str, list[HazardEntry]] = {}
    for levels in (3, 2, 1):
        group = defaultdict(list)
        for hazard in found:
            group["/".join(hazard["scope"].split("/")[:levels])].append(hazard)
        if len(group) <= MOST_PLACES * 2:
            break
    for hazards in group.values():
        yield narrowest(hazard["scope"] for hazard in hazards), hazards


def _many(group: Sequence[HazardEntry]) -> str:
    """`40 tags of 5 devices`, or the devices where they are the scope."""
    if all(hazard["address"].startswith("device.") for hazard in group):
        return f"{len(group):,} devices"
    count = len({hazard["scope"].rpartition("/")[0] for hazard in group})
    return f"{len(group):,} tags" + (f" of {count:,} devices" if count > 1 else "")
