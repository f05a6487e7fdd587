"""Gateways that control can't reach, and what that means for a plan. Pure: the plan shows it, and control asks it before it begins.

A gateway that does not run takes its configuration when it starts, so that a plan may be recorded without it. Two things must
not begin: a deployment of a control that is cut off from the broker, because no gateway would take it up and no
retained message could be cleared; and a sequence that stops a machine for a change whose gateway can't make it.

See docs/decisions/0115.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from nexus_cli.diagnostics.wording import counted
from nexus_cli.model.actions import BEFORE
from nexus_cli.plan.actions import Bound, bound_sequences
from nexus_cli.plan.change import Change
from nexus_cli.plan.stages import cleared_paths, gateways_of

MOST_NAMED = 3
RUNNING = "running"
_WORDS = {"lost": "is lost", "stopping": "was stopped", "": "has never reported"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreachable:
    """What can't be reached.

    Attributes:
        gateways: Names, sorted; empty where only the broker is needed.
        refused: True when control refuses to begin because of it.
        text: What it means, one sentence without its full stop.
    """

    gateways: tuple[str, ...]
    refused: bool
    text: str


class UnreachableEntry(TypedDict):
    """See `Unreachable`."""

    gateways: list[str]
    refused: bool
    text: str


def needed_gateways(changes: Iterable[Change]) -> tuple[str, ...]:
    """Gateways that a deployment of these changes notifies, sorted."""
    return tuple(gateways_of(changes))


def needs_broker(changes: Sequence[Change]) -> bool:
    """Whether a deployment of these changes does anything at the broker: notify, run sequences, clear."""
    return bool(gateways_of(changes) or bound_sequences(changes) or cleared_paths(changes))


def stopped_for(changes: Sequence[Change]) -> dict[str, Bound]:
    """Gateways that have to run before a sequence stops something: those that read its devices afterwards, each with the first
    such sequence. What is forgotten needs none: nothing has to arrive."""
    home = {
        change.name: str((change.after or {}).get("gateway") or "") for change in changes if change.type == "device"
    }
    found: dict[str, Bound] = {}
    for bound in bound_sequences(changes):
        if bound.when == BEFORE:
            for gateway in filter(None, (home.get(path, "") for path in bound.because)):
                found.setdefault(gateway, bound)
    return found


def unreachable(
    changes: Sequence[Change], *, broker: str, states: Mapping[str, str], undoes: bool = False
) -> tuple[Unreachable, ...]:
    """What of a plan can't be reached; those that are refused come first.

    Args:
        changes: The plan's.
        broker: Why control is not connected to the broker; "" when it is.
        states: State of each gateway as it reported it last, by name; one that has never reported is missing or "".
        undoes: True for what takes something back: that is not held because a gateway does not run.
    """
    if broker:
        return tuple(_cut_off(changes, broker))
    stopped = {} if undoes else stopped_for(changes)
    found = [
        Unreachable(
            gateways=(gateway,),
            refused=True,
            text=f"gateway {gateway} {_word(states.get(gateway, ''))}: sequence '{bound.sequence}' would run for a change "
            "that it can't make",
        )
        for gateway, bound in sorted(stopped.items())
        if states.get(gateway, "") != RUNNING
    ]
    refused = {name for each in found for name in each.gateways}
    for gateway in needed_gateways(changes):
        state = states.get(gateway, "")
        if state and state != RUNNING and gateway not in refused:
            text = f"gateway {gateway} {_word(state)}: it takes the change up when it runs again"
            found.append(Unreachable(gateways=(gateway,), refused=False, text=text))
    return tuple(found)


def _cut_off(changes: Sequence[Change], broker: str) -> Iterator[Unreachable]:
    if not needs_broker(changes):
        return
    gateways = needed_gateways(changes)
    named = ", ".join(gateways[:MOST_NAMED])
    more = f" and {len(gateways) - MOST_NAMED:,} more" if len(gateways) > MOST_NAMED else ""
    whom = f"gateway{'s' if len(gateways) > 1 else ''} {named}{more}" if gateways else "any gateway"
    yield Unreachable(
        gateways=gateways,
        refused=True,
        text=f"control is not connected to the broker, so that it can't reach {whom}: {broker.rstrip('.')}",
    )


def _word(state: str) -> str:
    return _WORDS.get(state, f"is {state}")


def unreachable_entries(found: Sequence[Unreachable]) -> list[UnreachableEntry]:
    """The key `unreachable` of a plan document."""
    return [{"gateways": list(each.gateways), "refused": each.refused, "text": each.text} for each in found]


def refusal_words(found: Sequence[Unreachable]) -> str:
    """The sentence of what is refused; "" when nothing is."""
    refused = [each.text for each in found if each.refused]
    if not refused:
        return ""
    more = f" (and {counted(len(refused) - 1, 'other gateway')})" if len(refused) > 1 else ""
    return f"{refused[0][:1].upper()}{refused[0][1:]}{more}: nothing changed."
