"""Checks of control before it records anything: the request makes the state it promises, and nothing forbids it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import orjson

from nexus_cli.accounts import is_user_name
from nexus_cli.apply.shapes import KINDS, problem_of
from nexus_cli.database.deployments import Recorded
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic
from nexus_cli.diagnostics.errors import FindingsError, NexusError
from nexus_cli.drivers.registry import kinds
from nexus_cli.model.alias_config import is_old_path
from nexus_cli.model.collection import collection_paused
from nexus_cli.model.config import device_from_json, digest
from nexus_cli.model.snapshot import Attributes, Snapshot
from nexus_cli.plan.actions import hazards_of_actions
from nexus_cli.plan.change import Change
from nexus_cli.plan.consents import consents_to
from nexus_cli.plan.diff import diff
from nexus_cli.plan.hazards import Hazard, blocked, hazards_of
from nexus_cli.plan.load import link_loads
from nexus_cli.plan.masking import plain_secrets
from nexus_cli.plan.mass_change import Standing
from nexus_cli.plan.moved import Rename
from nexus_cli.plan.order import ordered
from nexus_cli.plan.rights import NO_CHANGE, Rights, may_change_rights, rights_of
from nexus_cli.plan.running import hazards_of_runs, touched_runs
from nexus_cli.plan.weighed import weighed_hazards
from nexus_cli.wire.approval import Approval
from nexus_cli.wire.control import Running
from nexus_cli.wire.reach import Reach
from nexus_cli.wire.rollout import RolloutRequest
from nexus_cli.wire.topic import is_slug

EXTERNAL = "external"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentRequest:
    """A deployment as it was asked for.

    Attributes:
        base_digest, desired_digest: Both sides of the plan.
        changed: Attributes to record by address; None removes.
        moved: Renames of tags, devices or whole lines.
        allow: Consents to hazards.
        reason: Why, for the journal, the lock and policies that ask for it.
        effect: The effect that it must have (`plan.effect`); "" is any.
        approvals: Signed approvals of that effect.
        confirm_within_s: How long after its end it waits to be confirmed; 0 is not at all.
        undoes: The first deployment that it takes back; 0 is none.
        run_url: Page of the CI run that asks for it.
        agreed: True when its hazards were agreed to before: it takes back what was not confirmed.
        rollout: In which waves it goes out, and what is done outside a maintenance window; None is all at once, and refuse.
        reach: What it does to the devices of templates and defaults, as its plan says; for reading alone.
    """

    base_digest: str
    desired_digest: str
    changed: Mapping[str, Attributes | None]
    moved: Sequence[Rename] = ()
    allow: Sequence[str] = ()
    reason: str = ""
    effect: str = ""
    approvals: Sequence[Approval] = ()
    confirm_within_s: int = 0
    undoes: int = 0
    run_url: str = ""
    agreed: bool = False
    rollout: RolloutRequest | None = None
    reach: Reach | None = None


def refuse_stale(request: DeploymentRequest, recorded: Recorded) -> None:
    """Raises NexusError NX5002 (exit code 5) when the recorded state is not the one the plan was made against."""
    if request.base_digest != recorded.digest:
        raise NexusError(
            f"The plan is stale: the recorded state moved, it is now deployment {recorded.number}.",
            code="NX5002",
            hint="plan again and look at what would happen now",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A request that may be carried out.

    Attributes:
        digests: Digest of each resource that it writes, by address.
        changes: What it changes, in order.
        devices_left: Devices declared after it.
    """

    digests: Mapping[str, str]
    changes: tuple[Change, ...]
    devices_left: int = 0


def changes_between(
    changed: Mapping[str, Attributes | None],
    before: Mapping[str, Attributes],
    *,
    moved: Sequence[Rename] = (),
    digests: Mapping[str, str] | None = None,
    digests_before: Mapping[str, str] | None = None,
) -> tuple[Change, ...]:
    """The changes in order, from the recorded and the wanted attributes of what differs; not taken from the client.

    Args:
        changed: Attributes by address; None removes.
        before: Recorded attributes by address.
        moved: Renames.
        digests: Of what is written, as far as they are known; others are computed.
        digests_before: The same of what is recorded.
    """
    after = {address: value for address, value in changed.items() if value is not None}
    base = {address: value for address, value in before.items() if address in changed}
    return ordered(diff(_snapshot(base, digests_before), _snapshot(after, digests), moved=moved))


def _snapshot(resources: Mapping[str, Attributes], digests: Mapping[str, str] | None) -> Snapshot:
    known = digests or {}
    return Snapshot("", "", resources, {each: known.get(each) or digest(value) for each, value in resources.items()})


def check_request(
    request: DeploymentRequest,
    recorded: Recorded,
    before: Mapping[str, Attributes],
    *,
    kept: Mapping[str, Attributes] | None = None,
    running: Sequence[Running] = (),
) -> Checked:
    """See that a request may be carried out; gives what it changes: `read_request`, then `refuse_hazards`."""
    checked = read_request(request, recorded, before)
    refuse_hazards(request, recorded, before, checked, kept=kept or {}, running=running)
    return checked


def read_request(request: DeploymentRequest, recorded: Recorded, before: Mapping[str, Attributes]) -> Checked:
    """What a request changes.

    Args:
        before: Recorded attributes of the changed addresses.

    Raises:
        FindingsError: NX5000, a resource that can't be one; NX4001, NX4004.
        NexusError: NX5007, the digests do not fit.
    """
    with collection_paused():
        problems = [found for address, value in request.changed.items() for found in _problems(address, value)]
        if problems:
            raise FindingsError("Control refused the deployment; nothing changed.", tuple(problems[:50]))
        written = {address: digest(value) for address, value in request.changed.items() if value is not None}
        left = {address: value for address, value in recorded.digests.items() if address not in request.changed}
        desired = Snapshot(recorded.enterprise, recorded.site, {}, {**left, **written})
        if desired.digest != request.desired_digest:
            raise NexusError(
                "What was sent does not make the state that the plan promised; nothing changed.",
                code="NX5007",
            )
        changes = changes_between(
            request.changed, before, moved=request.moved, digests=written, digests_before=recorded.digests
        )
    devices_left = sum(address.startswith("device.") for address in desired.digests)
    return Checked(digests=written, changes=changes, devices_left=devices_left)


def weighs_rights(checked: Checked, recorded: Recorded) -> bool:
    """True when a request can change the rights of a user: then `refuse_hazards` has to see the whole state."""
    addresses = {*recorded.digests, *checked.digests}
    return bool(recorded.digests) and may_change_rights(checked.changes, addresses)


def refuse_hazards(
    request: DeploymentRequest,
    recorded: Recorded,
    before: Mapping[str, Attributes],
    checked: Checked,
    *,
    kept: Mapping[str, Attributes],
    running: Sequence[Running] = (),
) -> None:
    """Refuse what has a hazard without consent: by what is recorded, not by what the client says.

    Args:
        before: Recorded attributes of the changed addresses.
        checked: What is changed.
        kept: Recorded attributes of all other addresses, where `weighs_rights` asks for them; else what
            `plan.weighed.needed` names.
        running: Sequences on their way.

    Raises:
        NexusError: NX4002 (exit code 3), a hazard without consent; NX5010 (exit code 5), a run that wants no
            deployment touches what changes.
    """
    with collection_paused():
        if not request.agreed:
            refuse_open(request_hazards(request, recorded, before, checked, kept=kept, running=running), request)
        refuse_while_running(checked.changes, running)


def request_hazards(
    request: DeploymentRequest,
    recorded: Recorded,
    before: Mapping[str, Attributes],
    checked: Checked,
    *,
    kept: Mapping[str, Attributes],
    running: Sequence[Running] = (),
) -> tuple[Hazard, ...]:
    """The hazards of a request, by what is recorded; arguments as for `refuse_hazards`."""
    rights = _rights(request, recorded, before, kept, checked=checked)
    first = not recorded.digests
    hazards = hazards_of(checked.changes, devices_left=checked.devices_left, first=first, widened=rights.widened)
    weighed = _weighed(request, recorded, before, kept, checked=checked, rights=rights)
    return (*hazards, *weighed, *hazards_of_runs(checked.changes, running), *hazards_of_actions(checked.changes))


def _weighed(
    request: DeploymentRequest,
    recorded: Recorded,
    before: Mapping[str, Attributes],
    kept: Mapping[str, Attributes],
    *,
    checked: Checked,
    rights: Rights,
) -> tuple[Hazard, ...]:
    """Load, share and retention: by the functions of the plan, from what is recorded."""
    written = {address: value for address, value in request.changed.items() if value is not None}
    return weighed_hazards(
        checked.changes,
        before={**kept, **before},
        after={**kept, **written},
        standing=Standing(
            devices=sum(address.startswith("device.") for address in recorded.digests),
            tags=recorded.tags,
            principals=rights.recorded,
            touched=rights.touched,
        ),
        loads=link_loads(checked.changes, kept) if recorded.digests else (),
    )


def _rights(
    request: DeploymentRequest,
    recorded: Recorded,
    before: Mapping[str, Attributes],
    kept: Mapping[str, Attributes],
    *,
    checked: Checked,
) -> Rights:
    if not weighs_rights(checked, recorded):
        return NO_CHANGE
    written = {address: value for address, value in request.changed.items() if value is not None}
    sides = (
        Snapshot(recorded.enterprise, recorded.site, dict(side), {})
        for side in ({**kept, **before}, {**kept, **written})
    )
    return rights_of(checked.changes, before=next(sides), after=next(sides))


def refuse_while_running(changes: Sequence[Change], running: Sequence[Running]) -> None:
    """Raises NexusError NX5010 (exit code 5) when a run that says `on_change: refuse` uses what changes."""
    for one, paths in touched_runs(changes, running):
        if one.on_change == "refuse":
            raise NexusError(
                f"Sequence '{one.name}' is running (run {one.run}) and uses {paths[0]}; nothing changed.",
                code="NX5010",
                hint=f"wait for its end, or `nexus sequence abort {one.run}`",
            )


def refuse_open(hazards: Sequence[Hazard], request: DeploymentRequest) -> None:
    """Raises NexusError NX4002 (exit code 3) when a hazard has no consent."""
    open_ = blocked(hazards, request.allow)
    if open_:
        names = " ".join(f"--allow {consent}" for consent in consents_to(open_))
        raise NexusError(
            f"Blocked: {open_[0].message}" + (f", and {len(open_) - 1} more." if len(open_) > 1 else "."),
            code="NX4002",
            hint=f"if this is intended: {names}",
        )


def _problems(address: str, value: Attributes | None) -> list[Diagnostic]:
    kind, _, name = address.partition(".")
    if not _known_address(kind, name):
        return [finding("NX5000", f"'{address[:200]}' is not an address")]
    if value is None:
        return []
    try:
        data = orjson.dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        return [finding("NX5000", f"{address} is not plain JSON: {error}")]
    if b"\\u0000" in data:
        return [finding("NX5000", f"{address} holds a NUL character, which PostgreSQL can't store")]
    if kind == "device":
        return _device_problems(address, name, value)
    wrong = problem_of(kind, value)
    return [finding("NX5000", f"{address} has not the shape of a {kind}: {wrong}")] if wrong else []


def _known_address(kind: str, name: str) -> bool:
    if kind == "device":
        levels = name.split("/")
        return len(levels) == 3 and all(map(is_slug, levels))
    if kind == "site":
        return not name
    if kind == "user":
        return is_user_name(name)
    if kind == "alias":
        return is_old_path(name)
    return kind in KINDS and is_slug(name)


def _device_problems(address: str, path: str, value: Attributes) -> list[Diagnostic]:
    try:
        device = device_from_json(value)
    except (msgspec.ValidationError, RecursionError) as error:
        return [finding("NX5000", f"{address} is not a device: {error}")]
    found = [
        finding("NX4004", f"{address} holds a secret in plain text at {'.'.join(place)}")
        for place in plain_secrets(value)
    ]
    if device.path != path:
        found.append(finding("NX5000", f"{address} has the path '{device.path}'"))
    if device.protocol == EXTERNAL:
        return found
    kind = kinds().get(device.protocol)
    if kind is None:
        known = ", ".join(sorted(kinds()))
        found.append(finding("NX4001", f"{address} uses '{device.protocol}'; control has drivers for {known}"))
    if not is_slug(device.gateway):
        found.append(finding("NX5000", f"{address} belongs to no gateway"))
    found += [finding("NX5000", f"'{tag}' is not the name of a tag") for tag in device.tags if not is_slug(tag)]
    return found
