"""What a deployment needs beside consents to hazards: its effect as promised, policies kept, approvals given.

All of it is computed here, from what is recorded and what was sent; nothing is taken from the client's document.

See docs/decisions/0102.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from nexus_cli.apply.request import Checked, DeploymentRequest, refuse_open, refuse_while_running, request_hazards
from nexus_cli.database.deployments import Recorded
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.collection import collection_paused
from nexus_cli.model.policy_config import APPROVALS, POLICY, ApprovalsConfig
from nexus_cli.model.snapshot import Attributes
from nexus_cli.plan.approvals import needs_approval
from nexus_cli.plan.change import Change
from nexus_cli.plan.diff import DEVICE
from nexus_cli.plan.effect import effect_digest
from nexus_cli.plan.hazards import Hazard
from nexus_cli.plan.policies import (
    InForce,
    judge,
    looks_at_whole_site,
    moment_of,
    override_hazards,
    rules_in_force,
    violation_text,
)
from nexus_cli.wire.approval import ApprovalError, Verified, verify
from nexus_cli.wire.control import Running


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The rules on record and those that a request brings, for one request.

    Attributes:
        site: `enterprise/site`.
        at: Control's clock.
        zone: Time zone on record, else the one that is sent; "" is UTC.
        rules: Policies that hold.
        approvals: Who has to approve, on record; None where nothing is.
    """

    site: str
    at: datetime
    zone: str
    rules: tuple[InForce, ...]
    approvals: ApprovalsConfig | None

    @property
    def needs_devices(self) -> bool:
        """Whether the policies look at every device."""
        return looks_at_whole_site(self.rules)


def gate_of(request: DeploymentRequest, recorded: Recorded, rules: Mapping[str, Attributes], *, at: datetime) -> Gate:
    """The gate of a request.

    Args:
        request: What is asked for; its shapes were checked.
        recorded: The recorded state.
        rules: Recorded attributes of `site`, policies and `approvals.rules`, by address.
        at: Control's clock, with its offset.

    Raises:
        NexusError: NX4032, a policy can't be judged: then it forbids.
    """
    kept = {address: one for address, one in rules.items() if address.startswith(POLICY)}
    after = {**kept, **{address: one for address, one in request.changed.items() if address.startswith(POLICY)}}
    place = rules.get("site") or request.changed.get("site") or {}
    try:
        in_force = rules_in_force(kept, {address: one for address, one in after.items() if one is not None})
        approvals = rules.get(APPROVALS)
        config = msgspec.convert(approvals, ApprovalsConfig) if approvals else None
    except (msgspec.ValidationError, ValueError) as error:
        raise NexusError("A policy can't be judged; nothing changed.", code="NX4032", cause=str(error)) from None
    return Gate(
        site=f"{recorded.enterprise}/{recorded.site}",
        at=at,
        zone=str(place.get("time_zone", "")),
        rules=in_force,
        approvals=config,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """A request that may be carried out: its effect, and the approvals that count."""

    effect: str
    approvals: tuple[Verified, ...]


def weigh(
    gate: Gate,
    request: DeploymentRequest,
    recorded: Recorded,
    before: Mapping[str, Attributes],
    checked: Checked,
    *,
    kept: Mapping[str, Attributes],
    running: Sequence[Running] = (),
) -> Weighed:
    """Refuse what does not do what was promised, violates a policy, has a hazard without consent, or lacks an approval.

    Args:
        before: Recorded attributes of the changed addresses.
        checked: What is changed.
        kept: Recorded attributes of all other addresses, where `weighs_rights` or the gate asks for them.
        running: Sequences on their way.

    Raises:
        NexusError: NX4033 and NX5010 (exit code 5), NX4032, NX4002, NX4034 and NX4035 (exit code 3).
    """
    with collection_paused():
        hazards = request_hazards(request, recorded, before, checked, kept=kept, running=running)
        effect = effect_of(gate, request, checked, hazards)
        if request.agreed:  # it takes back what was agreed to: neither a policy nor a missing approval may hold that up
            refuse_while_running(checked.changes, running)
            return Weighed(effect=effect, approvals=())
        written = (one for address, one in request.changed.items() if one is not None and address.startswith(DEVICE))
        left = (one for address, one in kept.items() if address.startswith(DEVICE) and address not in request.changed)
        policies = policy_hazards(
            gate, request, checked, hazards, devices=(*written, *left), first=not recorded.digests
        )
        refuse_open((*hazards, *policies), request)
        refuse_while_running(checked.changes, running)
        return Weighed(effect=effect, approvals=approved(gate, request, checked.changes, hazards, effect=effect))


def effect_of(gate: Gate, request: DeploymentRequest, checked: Checked, hazards: Sequence[Hazard]) -> str:
    """The effect of a request; raises NexusError NX4033 (exit code 5) where another one was promised."""
    effect = effect_digest(gate.site, checked.changes, hazards)
    if request.effect and request.effect != effect:
        raise NexusError(
            f"The plan does something else than what was approved: its effect is {effect}; nothing changed.",
            code="NX4033",
        )
    return effect


def policy_hazards(
    gate: Gate,
    request: DeploymentRequest,
    checked: Checked,
    hazards: Sequence[Hazard],
    *,
    devices: Iterable[Attributes],
    first: bool,
) -> tuple[Hazard, ...]:
    """The violated policies that need a consent.

    Args:
        devices: Every device after the request, where the gate needs them.
        first: Nothing was recorded before.

    Raises:
        NexusError: NX4032 (exit code 3), a policy that no consent overrides is violated.
    """
    violations = judge(
        gate.rules,
        changes=checked.changes,
        hazards=hazards,
        devices=devices,
        first=first,
        moment=moment_of(gate.at, zone=gate.zone, reason=request.reason),
    )
    blocking = [one for one in violations if one.blocking]
    if blocking:
        more = f" And {len(blocking) - 1} more." if len(blocking) > 1 else ""
        raise NexusError(
            f"Blocked by {violation_text(blocking[0])}. Nothing changed.{more}",
            code="NX4032",
            hint=blocking[0].hint,
        )
    return override_hazards(violations)


def approved(
    gate: Gate, request: DeploymentRequest, changes: Sequence[Change], hazards: Sequence[Hazard], *, effect: str
) -> tuple[Verified, ...]:
    """The approvals that count, by the keys on record. One that does not count refuses the request, needed or not.

    Raises:
        NexusError: NX4035, one does not count, and why; NX4034, there are too few. Both exit code 3.
    """
    keys = gate.approvals.keys if gate.approvals is not None else {}
    found: list[Verified] = []
    for one in request.approvals:
        try:
            good = verify(one, keys, site=gate.site, effect=effect, now_us=int(gate.at.timestamp() * 1e6))
        except ApprovalError as error:
            raise refused(str(error)) from None
        if any(good.raw == other.raw for other in found):
            raise refused(f"'{good.key}' signed twice: each signature must be of another key")
        found.append(good)
    required = gate.approvals.required if gate.approvals is not None else 0
    if needs_approval(gate.approvals, changes, hazards) and len(found) < required:
        left = ", ".join(sorted(set(keys) - {one.key for one in found}))
        raise NexusError(
            f"The plan needs {required} approval{'s' * (required > 1)}, and has {len(found)}; nothing changed.",
            code="NX4034",
            hint=f"nexus approve --effect {effect} --key FILE, with a key of {left}; then --approval FILE",
        )
    return tuple(found)


def refused(sentence: str) -> NexusError:
    """NX4035 with its sentence."""
    return NexusError(f"{sentence[:1].upper()}{sentence[1:]}; nothing changed.", code="NX4035")
