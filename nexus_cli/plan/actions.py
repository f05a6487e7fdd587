"""Sequences that a deployment runs because a device changes that is bound to them (`on_change:`). Pure.

What runs before a change is what is on record: the device and the sequence as they are while the old state still holds.
What runs after it is what is declared. So a binding counts from the deployment after the one that brings it, and ends with
the one that removes it; a new device has nothing to be stopped, and nothing that was stopped.

See docs/decisions/0110.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from nexus_cli.diagnostics.wording import counted
from nexus_cli.model.actions import AFTER, BEFORE
from nexus_cli.model.procedure_config import SequenceConfig
from nexus_cli.model.snapshot import Attributes as Resource
from nexus_cli.plan.change import Attributes, Change
from nexus_cli.plan.hazards import Hazard

RUNS_SEQUENCE = "runs-sequence"
DEVICE = "device"
SAID_OF_DEVICE = frozenset({"tags", "description", "labels", "owner", "pii", "classification", "on_change"})
"""Keys of a device whose change moves nothing in the plant."""
SAID_OF_TAG = frozenset({"description", "labels", "owner", "pii", "classification", "retention", "keep_always"})
MOST_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A sequence that runs in a deployment, once, however many devices are bound to it.

    Attributes:
        sequence: Its name.
        when: `before` or `after`.
        because: Devices whose change it runs for, sorted, by their new path.
    """

    sequence: str
    when: str
    because: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedAction:
    """What a plan shows of a sequence that runs.

    Attributes:
        bound: Which sequence, when and why.
        steps: Each step in one line; empty where the sequence can't be read.
        writes: Paths of the tags that it writes, the abort branch included, sorted.
    """

    bound: Bound
    steps: tuple[str, ...]
    writes: tuple[str, ...]


def bound_sequences(changes: Iterable[Change]) -> tuple[Bound, ...]:
    """The sequences that these changes run: all `before` first, each by name."""
    found: dict[tuple[str, str], set[str]] = {}
    for change in changes:
        if not _disturbs(change):
            continue
        for when, attributes in ((BEFORE, change.before), (AFTER, change.after)):
            name = str(((attributes or {}).get("on_change") or {}).get(when) or "")
            if name:
                found.setdefault((when, name), set()).add(change.name)
    order = sorted(found, key=lambda key: (key[0] != BEFORE, key[1]))
    return tuple(Bound(sequence=name, when=when, because=tuple(sorted(found[when, name]))) for when, name in order)


def _disturbs(change: Change) -> bool:
    """Whether a change of a device that is on record alters what its gateway does with it."""
    if change.type != DEVICE or change.before is None:
        return False
    if change.after is None or change.previous_address is not None or not SAID_OF_DEVICE.issuperset(change.keys):
        return True
    return any(
        tag.before is None or tag.after is None or tag.previous_path is not None or not SAID_OF_TAG.issuperset(tag.keys)
        for tag in change.tags
    )


def planned_actions(
    changes: Sequence[Change], *, before: Mapping[str, Resource], after: Mapping[str, Resource]
) -> tuple[PlannedAction, ...]:
    """The sequences of a plan with their steps.

    Args:
        changes: The plan's.
        before, after: Attributes of sequences on record and as declared, by address.
    """
    return tuple(_planned(bound, before if bound.when == BEFORE else after) for bound in bound_sequences(changes))


def _planned(bound: Bound, resources: Mapping[str, Resource]) -> PlannedAction:
    try:
        config = msgspec.convert(dict(resources.get(f"sequence.{bound.sequence}") or {}), SequenceConfig)
    except msgspec.ValidationError:
        config = SequenceConfig()
    return PlannedAction(
        bound=bound,
        steps=tuple(step.text for step in config.steps),
        writes=tuple(sorted(config.written())),
    )


def hazards_of_actions(changes: Sequence[Change]) -> tuple[Hazard, ...]:
    """One hazard for each sequence that the changes run, whatever the number of its runs."""
    return tuple(
        Hazard(
            name=RUNS_SEQUENCE,
            scope=bound.sequence,
            address=f"sequence.{bound.sequence}",
            message=action_sentence(bound),
        )
        for bound in bound_sequences(changes)
    )


def action_sentence(bound: Bound) -> str:
    """`sequence 'stop' runs before packaging/line-1/filler changes`."""
    return f"sequence '{bound.sequence}' runs {occasion(bound)}"


def occasion(bound: Bound) -> str:
    """`before packaging/line-1/filler changes`, `after packaging/line-1/filler has changed`."""
    named = ", ".join(bound.because[:MOST_NAMED])
    more = len(bound.because) - MOST_NAMED
    if more > 0:
        named += f" and {counted(more, 'other device')}"
    verb = "changes" if len(bound.because) == 1 else "change"
    ending = verb if bound.when == BEFORE else f"{'has' if len(bound.because) == 1 else 'have'} changed"
    return f"{bound.when} {named} {ending}"


def sequence_names(changed: Mapping[str, Attributes | None], before: Mapping[str, Attributes]) -> Iterator[str]:
    """Names of all sequences that a request might run, for who has to be allowed to run them."""
    for address in changed:
        if address.startswith(f"{DEVICE}."):
            for when, side in ((BEFORE, before.get(address)), (AFTER, changed[address])):
                if name := str(((side or {}).get("on_change") or {}).get(when) or ""):
                    yield name
