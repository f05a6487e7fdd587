"""The plan: every change in order, what it does, what needs consent, and the digests of both sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from nexus_cli.access.gains import Gain
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic
from nexus_cli.diagnostics.outcome import Outcome, has_errors
from nexus_cli.model.policy_config import POLICY
from nexus_cli.model.snapshot import Attributes, Changed, Snapshot
from nexus_cli.plan.actions import PlannedAction, hazards_of_actions, planned_actions
from nexus_cli.plan.approvals import ApprovalsEntry, approvals_needed
from nexus_cli.plan.change import Action, Change, where_of
from nexus_cli.plan.defaults import DefaultsReach, GiverOf, defaults_reach
from nexus_cli.plan.diff import DEVICE, diff, differing
from nexus_cli.plan.effect import effect_digest
from nexus_cli.plan.hazards import Hazard, hazards_of
from nexus_cli.plan.impact import Cost, Impact, Surroundings, impacts_of, written_before
from nexus_cli.plan.link_sessions import LinkSessions, sessions_of
from nexus_cli.plan.load import NO_FACTS, LinkLoad, Memory, link_loads
from nexus_cli.plan.load_facts import LinkFacts
from nexus_cli.plan.masking import plain_secrets
from nexus_cli.plan.mass_change import SITE, Standing, counts_tags, tags_by_class
from nexus_cli.plan.moved import Rename
from nexus_cli.plan.moved_findings import findings_of_moves
from nexus_cli.plan.moved_roles import findings_of_roles
from nexus_cli.plan.order import ordered
from nexus_cli.plan.policies import Violation, judge, moment_of, override_hazards, rules_in_force
from nexus_cli.plan.readers import Reader, readers_of
from nexus_cli.plan.renames import ambiguous_findings, likely_renames
from nexus_cli.plan.rights import NO_CHANGE, PEOPLE, Rights, holdings, may_change_rights, rights_of, whole_base
from nexus_cli.plan.running import hazards_of_runs
from nexus_cli.plan.stages import cleared_paths
from nexus_cli.plan.stale_sessions import Stale, stale_sessions
from nexus_cli.plan.templates import TemplateReach, template_reach
from nexus_cli.plan.weighed import weighed_hazards
from nexus_cli.wire.control import Running

NO_TEMPLATES: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The recorded state, as far as a comparison needs it.

    Attributes:
        deployment: Number of the deployment that recorded it; 0 is none.
        digest: Over the whole state.
        digests: By address, complete.
        resources: Attributes of those that differ from what is declared.
        running: Sequences on their way.
        broker: Kind of the site's broker where it is known, as of `stale_sessions`.
    """

    deployment: int
    digest: str
    digests: Mapping[str, str]
    resources: Mapping[str, Attributes]
    running: Sequence[Running] = ()
    broker: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All changes between recorded and declared.

    Attributes:
        base_deployment: Number of the deployment that recorded the base.
        base_digest, desired_digest: Both sides; a saved plan is refused when either moved.
        changes: In the order in which they are shown and done.
        desired: Attributes to record by address; None removes.
        rights: Who may do what that they could not before, and the reverse; nothing when nothing was recorded.
        sessions: What becomes of live sessions of those who lose a right.
        moved: The renames that were taken into account.
        renames: Renames that are not declared and would keep the history of tags that seem to be renamed.
        loads: Of the links that the changes touch, before and after.
        readers: Who reads what is removed, moved or changed.
        actions: Sequences that run because devices change.
        templates: What happens to the devices of each template.
        defaults: What happens to the devices that inherit what changes.
        violations: Policies that it violates.
        approvals: Who has to sign it; None where no approval is needed.
        effect: What it does, as a digest (`plan.effect`).
        errored: True when a finding forbids applying it.
    """

    enterprise: str
    site: str
    base_deployment: int
    base_digest: str
    desired_digest: str
    changes: tuple[Change, ...] = ()
    impacts: tuple[Impact, ...] = ()
    hazards: tuple[Hazard, ...] = ()
    rights: tuple[Gain, ...] = ()
    sessions: tuple[Stale, ...] = ()
    moved: tuple[Rename, ...] = ()
    renames: tuple[Rename, ...] = ()
    loads: tuple[LinkLoad, ...] = ()
    readers: tuple[Reader, ...] = ()
    actions: tuple[PlannedAction, ...] = ()
    templates: tuple[TemplateReach, ...] = ()
    defaults: tuple[DefaultsReach, ...] = ()
    violations: tuple[Violation, ...] = ()
    approvals: ApprovalsEntry | None = None
    effect: str = ""
    errored: bool = False

    @property
    def empty(self) -> bool:
        """True when recorded and declared are the same."""
        return not self.changes

    @property
    def applyable(self) -> bool:
        """True when there is something to do and nothing forbids it."""
        return bool(self.changes) and not self.errored and not any(one.blocking for one in self.violations)

    @property
    def desired(self) -> Changed:
        """The changes for control to record: attributes by address, None removes."""
        wanted: Changed = {}
        for change in self.changes:
            if change.previous_address is not None:
                wanted[change.previous_address] = None
            if change.after is None:
                wanted[change.address] = None
        for change in self.changes:
            if change.after is not None:
                wanted[change.address] = dict(change.after)
        return wanted

    def counts(self) -> dict[str, int]:
        """How many resources are created, updated, moved, forgotten; and the same of tags under `tags_…`."""
        resources = Counter(change.action for change in self.changes)
        tags = Counter(tag.action for change in self.changes for tag in change.tags)
        return {
            **{action.value: resources[action] for action in Action},
            **{f"tags_{action.value}": tags[action] for action in Action},
        }


def make_plan(
    base: Base,
    desired: Snapshot,
    *,
    moved: Sequence[Rename] = (),
    cost: Cost = lambda _: None,
    facts: Mapping[str, LinkFacts] = NO_FACTS,
    template_of: Mapping[str, str] = NO_TEMPLATES,
    giver_of: GiverOf | None = None,
    at: datetime | None = None,
    reason: str = "",
) -> Outcome[Plan]:
    """Compare, order, weigh. Pure.

    Args:
        base: What control recorded.
        desired: What the files declare.
        moved: The site's renames.
        cost: Requests per device, where a driver can compute them.
        facts: What a runtime measured, by link.
        template_of: Template by path of the declared devices that have one.
        giver_of: Who gives the declared devices their values; None where that is not known.
        at: When it is judged by the policies; None judges nothing.
        reason: For policies that ask for one.
    """
    recorded = Snapshot(desired.enterprise, desired.site, base.resources, base.digests)
    changes = ordered(diff(recorded, plain_json(desired, base.digests), moved=moved))
    rights = _rights(changes, base, desired)
    listed = _listed(changes, base, desired)
    devices = {address: value for address, value in desired.resources.items() if address.startswith(DEVICE)}
    first = not base.digests
    sessions = sessions_of(changes, devices)
    memory: Memory = {}
    loads = link_loads(changes, desired.resources, facts=facts, memory=memory)
    findings = [
        *_secrets(devices),
        *findings_of_moves(changes, moved, recorded=base.digests, devices=devices),
        *ambiguous_findings(changes),
        *findings_of_roles(changes, moved, desired),
    ]
    hazards = (
        *hazards_of(changes, devices_left=len(devices), first=first, widened=rights.widened),
        *weighed_hazards(
            changes,
            before={**_kept(desired, base), **base.resources},
            after=desired.resources,
            standing=_standing(base, desired, rights),
            # As control weighs it, without measures; and where only the measures say that a link is too slow.
            loads=(*link_loads(changes, desired.resources), *loads) if facts else loads,
        ),
        *hazards_of_runs(changes, base.running),
        *hazards_of_actions(changes),
    )
    violations = _violations(changes, hazards, base, desired, at=at, reason=reason)
    plan = Plan(
        enterprise=desired.enterprise,
        site=desired.site,
        base_deployment=base.deployment,
        base_digest=base.digest,
        desired_digest=desired.digest,
        changes=changes,
        impacts=impacts_of(
            changes,
            around=Surroundings(
                sessions=sessions,
                cost=lambda device: known.requests if (known := memory.get(id(device))) is not None else cost(device),
                roles={name: role for name, role in desired.of_kind("role") if f"role.{name}" not in listed},
                listed=listed,
                written=written_before(changes, desired.resources),
                cleared=frozenset(cleared_paths(changes)),
                facts=facts,
            ),
        ),
        hazards=(*hazards, *override_hazards(violations)),
        rights=rights.gains,
        sessions=stale_sessions(rights.gains, broker=base.broker),
        moved=tuple(moved),
        renames=likely_renames(changes, declared={address.removeprefix(DEVICE) for address in devices}),
        loads=loads,
        readers=() if first else readers_of(changes, desired.resources),
        actions=planned_actions(changes, before=_sequences_before(base, desired), after=desired.resources),
        templates=template_reach(changes, template_of, sessions),
        defaults=_defaults(changes, giver_of, devices, sessions),
        violations=violations,
        approvals=approvals_needed(base.resources, desired.resources, base.digests, changes, hazards) if at else None,
        effect=effect_digest(f"{desired.enterprise}/{desired.site}", changes, hazards),
        errored=has_errors(findings),
    )
    return Outcome(plan, tuple(findings))


def _defaults(
    changes: Sequence[Change], giver_of: GiverOf | None, devices: Mapping[str, Attributes], sessions: LinkSessions
) -> tuple[DefaultsReach, ...]:
    if giver_of is None:
        return ()
    return defaults_reach(
        changes, giver_of, devices=[address.removeprefix(DEVICE) for address in devices], sessions=sessions
    )


def _sequences_before(base: Base, desired: Snapshot) -> dict[str, Attributes]:
    """Sequences on record: as the base has them, and as they are declared where both are the same."""
    addresses = (address for address in base.digests if address.startswith("sequence."))
    found = {address: base.resources.get(address) or desired.resources.get(address) for address in addresses}
    return {address: value for address, value in found.items() if value is not None}


def _standing(base: Base, desired: Snapshot, rights: Rights) -> Standing:
    """What was recorded; tags are counted where a limit asks for them and every device is whole."""
    site = base.resources.get(SITE) or desired.resources.get(SITE)
    devices = [address for address in base.digests if address.startswith(DEVICE)]
    tags: dict[str, int] | None = None
    if SITE in base.digests and counts_tags(site):
        whole = [base.resources.get(address) or desired.resources.get(address) or {} for address in devices]
        tags = tags_by_class(whole) if all("protocol" in each for each in whole) else None
    return Standing(devices=len(devices), tags=tags, principals=rights.recorded, touched=rights.touched)


def _kept(desired: Snapshot, base: Base) -> dict[str, Attributes]:
    """The site and the classes of retention as they are recorded, where the change leaves them alone."""
    return {
        address: value
        for address, value in desired.resources.items()
        if (address == "site" or address.startswith("retention.")) and address in base.digests
    }


def _violations(
    changes: Sequence[Change],
    hazards: Sequence[Hazard],
    base: Base,
    desired: Snapshot,
    *,
    at: datetime | None,
    reason: str,
) -> tuple[Violation, ...]:
    """What the policies say: those on record are what the base has, and what is declared where both are the same."""
    declared = {address: one for address, one in desired.resources.items() if address.startswith(POLICY)}
    kept = {
        address: base.resources.get(address) or declared[address]
        for address in base.digests
        if address.startswith(POLICY)
    }
    if at is None or not changes or not (declared or kept):
        return ()
    site = base.resources.get("site") or desired.resources.get("site") or {}
    return judge(
        rules_in_force(kept, declared),
        changes=changes,
        hazards=hazards,
        devices=(one for address, one in desired.resources.items() if address.startswith(DEVICE)),
        first=not base.digests,
        moment=moment_of(at, zone=str(site.get("time_zone", "")), reason=reason),
    )


def _rights(changes: Sequence[Change], base: Base, desired: Snapshot) -> Rights:
    """What the changes do to rights; the whole site is looked at only when they can do anything."""
    if not base.digests or not may_change_rights(changes, {*base.digests, *desired.digests}):
        return NO_CHANGE
    before = whole_base(base.digests, base.resources, desired)
    return rights_of(changes, before=before, after=desired)


def _listed(changes: Sequence[Change], base: Base, desired: Snapshot) -> frozenset[str]:
    """Addresses whose rights are listed by principal: users, and roles and groups with a member; none of a first plan."""
    if not base.digests or not any(change.type in (*PEOPLE, "message") for change in changes):
        return frozenset()
    before = whole_base(base.digests, base.resources, desired)
    held, member_of = holdings(before, desired)
    users = (change.address for change in changes if change.type == "user")
    return frozenset((*users, *(f"role.{name}" for name in held), *(f"group.{name}" for name in member_of)))


def plain_json(desired: Snapshot, base: Mapping[str, str]) -> Snapshot:
    """What differs, as it comes back from control: a tuple and the list that it becomes must not look different."""
    addresses = [address for address in differing(base, desired.digests) if address in desired.digests]
    resources = orjson.loads(orjson.dumps({address: desired.resources[address] for address in addresses}))
    return Snapshot(desired.enterprise, desired.site, resources, desired.digests)


def _secrets(devices: Mapping[str, Attributes]) -> list[Diagnostic]:
    return [
        finding(
            "NX4004",
            f"'{'.'.join(place)}' of device '{address.removeprefix(DEVICE)}' is a secret in plain text",
            where=(*where_of(address), *place),
            hint='write a reference: "${env:NAME}" or "${file:PATH}"',
        )
        for address, device in devices.items()
        for place in plain_secrets(device)
    ]
