"""The plan of a deployment that was made: computed again, by the functions of every plan, from what its row holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from nexus_cli.model.config import digest
from nexus_cli.model.snapshot import Attributes, Snapshot
from nexus_cli.plan.document_reach import received
from nexus_cli.plan.impact import Cost
from nexus_cli.plan.moved import Rename
from nexus_cli.plan.plan import Base, Plan, make_plan
from nexus_cli.wire.reach import Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A deployment as it is on record.

    Attributes:
        site: `enterprise/site`.
        base: Number of the deployment that recorded the state before it; 0 is none.
        base_digest, desired_digest: Both sides.
        changed: Attributes that it recorded by address; None removed one.
        before: Attributes of what it changed, before it.
        moved: Its renames.
        reach: What it did to the devices of templates and defaults, as it was said when it was made.
        at: When it began: policies judge that moment, and the reason that was given; None judges nothing.
        reason: As it was given.
    """

    site: str
    base: int
    base_digest: str
    desired_digest: str
    changed: Mapping[str, Attributes | None]
    before: Mapping[str, Attributes]
    moved: Sequence[Rename] = ()
    reach: Reach | None = None
    at: datetime | None = None
    reason: str = ""


def plan_again(made: Made, kept: Mapping[str, Attributes], *, cost: Cost = lambda _: None) -> Plan:
    """Compare, order and weigh both sides of a deployment as for a plan that is to be made. Pure.

    What ran at that time is not known: sequences on their way are left out.

    Args:
        made: The deployment.
        kept: What was recorded beside what it changed; of devices the link is enough where no rights are weighed.
        cost: Requests per device, where a driver can compute them.
    """
    enterprise, _, site = made.site.partition("/")
    same = {address: address for address in kept if address not in made.changed}
    after = {address: value for address, value in made.changed.items() if value is not None}
    desired = Snapshot(
        enterprise,
        site,
        {address: kept[address] for address in same} | after,
        same | {address: digest(value) for address, value in after.items()},
    )
    base = Base(
        deployment=made.base,
        digest=made.base_digest,
        digests=same | {address: digest(value) for address, value in made.before.items()},
        resources=made.before,
    )
    found = make_plan(base, desired, moved=made.moved, cost=cost, at=made.at, reason=made.reason).unwrap()
    templates, defaults = received(made.reach) if made.reach is not None else ((), ())
    return replace(found, desired_digest=made.desired_digest, templates=templates, defaults=defaults)
