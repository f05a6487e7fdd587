"""The effect digest: names what a plan does, whatever the files look like that it was made from.

It covers each change with both its sides, the renames that take place, and which hazards the plan has. It does not cover
the number of the deployment before, counts, times, findings, nor anything that changes by itself: what runs at the moment,
and what a policy says of today. Attributes go in as digests, so that no preimage shows a value.

See docs/decisions/0102.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nexus_cli.model.config import digest
from nexus_cli.plan.change import Attributes, Change
from nexus_cli.plan.hazards import Hazard

VERSION = "nexus-effect/1"
OF_THE_MOMENT = frozenset({"policy", "running-sequence", "over-budget"})
"""Hazards that come and go without a change of the plan."""


def effect_digest(
    site: str, changes: Iterable[Change], hazards: Iterable[Hazard], *, actions: Sequence[str] = ()
) -> str:
    """`sha256:…` over what a plan does.

    Args:
        site: `enterprise/site`.
        changes: In any order.
        hazards: In any order; those of the moment are left out.
        actions: What else it does, beside the changes, in the order in which it happens.
    """
    listed = list(changes)
    return digest(
        [
            VERSION,
            site,
            sorted(_change(one) for one in listed),
            sorted({f"{one.name}={one.scope}" for one in hazards if one.name not in OF_THE_MOMENT}),
            list(actions),
        ]
    )


def _change(change: Change) -> list[str]:
    moved = sorted(f"{tag.previous_path}>{tag.path}" for tag in change.tags if tag.previous_path is not None)
    return [
        change.address,
        change.action.value,
        change.previous_address or "",
        _side(change.before),
        _side(change.after),
        *moved,
    ]


def _side(attributes: Attributes | None) -> str:
    return "" if attributes is None else digest(attributes)
