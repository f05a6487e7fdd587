"""The verbs of change: plan, apply, show."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import msgspec

from nexus_cli.diagnostics import Diagnostic, NexusError, Outcome
from nexus_cli.diagnostics.missing import hint_of_missing
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.json_value import JsonObject
from nexus_cli.local.layout import Home
from nexus_cli.model.collection import collection_paused
from nexus_cli.model.snapshot import Changed
from nexus_cli.model.window_config import Windows
from nexus_cli.plan.consents import useless_consents, without_effect
from nexus_cli.plan.diff import differing
from nexus_cli.plan.document import HazardEntry, PlanDocument, plan_document
from nexus_cli.plan.hazards import Hazard, blocked
from nexus_cli.plan.load_facts import LinkFacts
from nexus_cli.plan.measured_document import with_measures
from nexus_cli.plan.narrow import files_digest, narrowed, plan_during
from nexus_cli.plan.plan import Base, Plan, make_plan
from nexus_cli.plan.planfile import PlanSource, is_planfile, read_planfile, write_planfile
from nexus_cli.plan.policies import OVERRIDE
from nexus_cli.plan.policy_document import PolicyEntry, blocking_policies
from nexus_cli.plan.probed import Tried
from nexus_cli.plan.requests import request_count
from nexus_cli.plan.rollout_document import Way
from nexus_cli.plan.targets import Part, Targets
from nexus_cli.project.measure import measure
from nexus_cli.project.text import LoadedSite, Sourced, load, locate
from nexus_cli.settings import Settings
from nexus_cli.wire.approval import Approval
from nexus_cli.wire.control import (
    Deployment,
    DeploymentProgress,
    DeploymentRequest,
    JournalLine,
    Lock,
    PlanSummary,
    Running,
    State,
)
from nexus_cli.wire.control_aliases import Alias
from nexus_cli.wire.control_plans import DeploymentPlan
from nexus_cli.wire.http import ControlClient
from nexus_cli.wire.rollout import RolloutRequest

FOLLOW_WAIT_S = 20.0
LOST_S = 60.0
"""How long a deployment is followed while control does not answer (it may be restarting)."""

SITE = "site"
EVERYTHING = Targets()
OnEvent = Callable[[JournalLine], None]
"""Called with every line of the journal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Something that can be applied: a fresh plan or a saved one.

    Attributes:
        site: `enterprise/site`.
        document: The plan as JSON (`plan/document.py`).
        changed: Attributes to record by address; None removes.
        source: Which files it was made from.
        saved: It comes from a file: what policies say of the moment, control says alone.
    """

    site: str
    document: PlanDocument
    changed: Changed
    source: PlanSource
    saved: bool = False

    @property
    def errored(self) -> bool:
        """True when a finding forbids applying it."""
        return bool(self.document["errored"])

    @property
    def empty(self) -> bool:
        """True when there is nothing to do."""
        return not self.changed

    def blocking_policies(self) -> list[PolicyEntry]:
        """Violated policies that no consent overrides."""
        return [] if self.saved else blocking_policies(self.document)

    def open_hazards(self, allow: Sequence[str]) -> list[HazardEntry]:
        """Hazards that no consent covers."""
        hazards = self._hazards()
        return [hazards[each] for each in blocked(hazards, allow)]

    def used_consents(self, allow: Sequence[str]) -> list[str]:
        """The consents that cover a hazard of the plan."""
        useless = without_effect(list(self._hazards()), allow)
        return [each for each in allow if each not in useless]

    def useless_consents(self, allow: Sequence[str]) -> list[Diagnostic]:
        """NX4012 for each of the others."""
        return useless_consents(list(self._hazards()), allow)

    def _hazards(self) -> dict[Hazard, HazardEntry]:
        return {
            Hazard(name=each["name"], scope=each["scope"], address=each["address"], message=each["message"]): each
            for each in self.document["hazards"]
            if not (self.saved and each["name"] == OVERRIDE)
        }

    def consented(self, allow: Sequence[str]) -> PlanDocument:
        """The document with its hazards marked by these consents: a saved plan carries those of its own time."""
        open_ = self.open_hazards(allow)
        hazards: list[HazardEntry] = [{**each, "allowed": each not in open_} for each in self.document["hazards"]]
        return {**self.document, "hazards": hazards}


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedState:
    """What is recorded, in the order in which `nexus show` prints it.

    Attributes:
        site: `enterprise/site`.
        deployment, digest, digests, running: As in `wire.control.State`.
        deployments: The newest first.
        lock: Who holds it; None when it is free.
        aliases: Old paths under which values are published for a while.
    """

    site: str
    deployment: int
    digest: str
    digests: dict[str, str]
    running: list[Running]
    deployments: list[Deployment]
    lock: Lock | None
    aliases: list[Alias] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Two states: their plan with what was measured of links, how it goes out, and which part it is; None is the whole."""

    plan: Callable[[Mapping[str, LinkFacts]], Outcome[Plan]]
    way: Way
    part: Part | None


@collection_paused(stays=True)
def plan_site(
    path: str | None,
    *,
    settings: Settings,
    env: str | None = None,
    variables: Mapping[str, str] | None = None,
    allow: Sequence[str] = (),
    targets: Targets = EVERYTHING,
    use_cache: bool = False,
    reason: str = "",
    probe: bool = False,
) -> Sourced[Ready]:
    """Compare a site's files with what control recorded. Writes nothing, anywhere.

    Args:
        path: Site file, folder, or None for the only one.
        settings: Where control is.
        env: Overlay.
        variables: Values over the declared `vars`.
        allow: Consents; the document marks what they cover.
        targets: Only a part of what the files declare.
        use_cache: As of `load`.
        reason: For policies that ask for one.
        probe: Also have the gateways read each new or changed address once.

    Raises:
        NexusError: Control can't be reached, or serves another site; NX5030, NX5031: the part can't be made.
    """
    located = locate(path)
    if located.value is None:
        return Sourced(None, located.findings)
    loaded = load(located.value, env=env, variables=variables, use_cache=use_cache)
    if loaded.value is None:
        return Sourced(None, loaded.findings, loaded.files)
    compared = asyncio.run(_compare(loaded.value, settings, targets, reason=reason))
    planned = compared.plan({})
    plan = planned.unwrap()
    measured = asyncio.run(measure(plan, settings))
    if links := {name: each for name, each in measured.links().items() if each.is_measured}:
        planned = compared.plan(links)
        plan = planned.unwrap()
    found = list(planned.findings)
    tried: Tried | None = None
    if probe and not plan.errored:
        from nexus_cli.project.trial import try_addresses  # noqa: PLC0415 - it loads MQTT, which a plan without it never needs

        tried = asyncio.run(try_addresses(plan, settings))
        found += tried.findings
    # A consent has its place on the command line, not in a file.
    useless = useless_consents(plan.hazards, allow)
    findings = (*loaded.findings, *loaded.value.tree.report_later(found), *useless)
    source: PlanSource = {"path": str(located.value.resolve()), "env": env, "variables": dict(variables or {})}
    ready = Ready(
        site=f"{plan.enterprise}/{plan.site}",
        document=with_measures(
            plan_document(plan, findings=findings, allow=allow, way=compared.way, part=compared.part),
            plan.changes,
            measured,
            probe=None if tried is None else tried.entries,
            unknown=() if tried is None else tried.unknown,
        ),
        changed=plan.desired,
        source=source,
    )
    return Sourced(ready, findings, loaded.files)


def save_plan(ready: Ready, path: str) -> None:
    """Write a plan to a file. Raises NexusError NX4003."""
    write_planfile(Path(path), document=ready.document, changed=ready.changed, source=ready.source)


def is_saved_plan(path: str | None) -> bool:
    """True when the argument of `apply` or `show` names a saved plan."""
    return path is not None and is_planfile(Path(path))


def saved_plan(path: str) -> Ready:
    """Read a saved plan. Raises NexusError NX4003 or NX4006."""
    saved = read_planfile(Path(path))
    return Ready(site=saved.site, document=saved.document, changed=saved.changed, source=saved.source, saved=True)


def refuse_stale_plan(ready: Ready, *, settings: Settings) -> None:
    """See that neither the files nor the recorded state moved since a plan was saved.

    Files that are not here any more (a CI job applies what another one planned) are not compared.

    Raises:
        NexusError: NX5002 (exit code 5), naming the fact that moved.
    """
    source = ready.source
    if Path(source["path"]).exists():
        here = Path(source["path"])
        loaded = load(here, env=source["env"], variables=source["variables"])
        if loaded.value is None or loaded.value.snapshot.digest != files_digest(ready.document):
            raise _stale(f"the files at {here} changed since it was made")
    state = asyncio.run(_state(settings, ready.site))
    base = ready.document["base"]
    if state.digest != base["digest"]:
        raise _stale(f"the recorded state moved: it was deployment {base['deployment']}, it is now {state.deployment}")


def refuse_other_effect(ready: Ready, effect: str) -> None:
    """Raises NexusError NX4033 (exit code 5): a plan does something else than what was approved."""
    found = ready.document.get("effect", "")
    if effect and effect != found:
        raise NexusError(f"The plan does something else than what was approved: its effect is {found}.", code="NX4033")


def apply_ready(
    ready: Ready,
    *,
    settings: Settings,
    allow: Sequence[str] = (),
    reason: str = "",
    effect: str = "",
    approvals: Sequence[Approval] = (),
    confirm_within_s: int = 0,
    undoes: int = 0,
    run_url: str = "",
    on_event: OnEvent,
) -> DeploymentProgress:
    """Send a plan to control and follow it to its end. Ending this process changes nothing about it.

    Args:
        ready: The plan.
        settings: Where control is.
        allow: Consents to hazards.
        reason: For the journal, the lock and the audit trail.
        confirm_within_s: Control takes it back when it is not confirmed so long after its end; 0 is never.
        undoes: The first deployment that it takes back; 0 is none.
        run_url: Page of the CI run that asks for it; "" is none.
        on_event: Called with every line of the journal.

    Returns:
        The deployment as control gives it at its end.

    Raises:
        NexusError: Control refused it (exit code 1, 3, 5), or can't be reached.
    """
    request = request_of(
        ready,
        allow=allow,
        reason=reason,
        effect=effect,
        approvals=approvals,
        confirm_within_s=confirm_within_s,
        undoes=undoes,
        run_url=run_url,
    )
    return asyncio.run(_apply(request, site=ready.site, settings=settings, on_event=on_event))


def request_of(
    ready: Ready,
    *,
    allow: Sequence[str] = (),
    reason: str = "",
    effect: str = "",
    approvals: Sequence[Approval] = (),
    confirm_within_s: int = 0,
    undoes: int = 0,
    run_url: str = "",
    rollout: RolloutRequest | None = None,
) -> DeploymentRequest:
    """What is sent to control; arguments as of `apply_ready`, `rollout` says in which waves it goes out."""
    document = ready.document
    return DeploymentRequest(
        base_digest=document["base"]["digest"],
        desired_digest=document["desired"]["digest"],
        changed=ready.changed,
        plan=PlanSummary(moved=[(old, new) for old, new in document["moved"]], summary=document["summary"]),
        reason=reason,
        allow=list(allow),
        effect=effect or msgspec.UNSET,
        approvals=[msgspec.to_builtins(one) for one in approvals] or msgspec.UNSET,
        confirm_within_s=confirm_within_s or msgspec.UNSET,
        undoes=undoes or msgspec.UNSET,
        run_url=run_url or msgspec.UNSET,
        rollout=rollout or msgspec.UNSET,
    )


def recorded_state(settings: Settings) -> RecordedState:
    """What is recorded. Raises NexusError of control."""
    return asyncio.run(_recorded(settings))


def recorded_resource(settings: Settings, address: str) -> JsonObject:
    """Attributes of one resource; a device or tag may be named by its bare path.

    Raises:
        NexusError: NX6406, it is not recorded, with the nearest that is; NX6400 and others of control.
    """
    return asyncio.run(_resource(settings, address))


def deployment_plan(settings: Settings, number: int) -> tuple[PlanDocument, str]:
    """The plan of a deployment on record, and what of it can't be computed any more ("" when it is whole).

    Raises:
        NexusError: NX5006, there is no such deployment; NX6400 and others of control.
    """
    found = asyncio.run(_deployment_plan(settings, number))
    return cast("PlanDocument", found.plan), found.note


async def _deployment_plan(settings: Settings, number: int) -> DeploymentPlan:
    async with _client(settings) as control:
        return await control.call("GET", f"/deployments/{number}/plan", DeploymentPlan, params={"document": "true"})


async def _compare(loaded: LoadedSite, settings: Settings, targets: Targets, *, reason: str) -> Compared:
    desired = loaded.snapshot
    async with _client(settings, f"{desired.enterprise}/{desired.site}") as control:
        state = await control.state()
        wanted = [address for address in differing(state.digests, desired.digests) if address in state.digests]
        resources = await control.resources([*wanted, *({SITE} & state.digests.keys() - set(wanted))])
    base = Base(
        deployment=state.deployment,
        digest=state.digest,
        digests=state.digests,
        resources=resources,
        running=state.running,
        broker=_broker(settings),
    )
    moved = [(each.from_, each.to) for each in loaded.model.site.moved]
    part = None
    if targets:
        desired, part = narrowed(base, desired, moved=moved, targets=targets)
    now = datetime.now(UTC)
    way = Way(
        rollout=loaded.model.site.rollout,
        windows=Windows.recorded(resources.get(SITE, {})),
        now=now,
        first=not state.digests,
    )

    def plan(facts: Mapping[str, LinkFacts]) -> Outcome[Plan]:
        planned = make_plan(
            base,
            desired,
            moved=moved,
            cost=request_count,
            facts=facts,
            template_of=loaded.tree.template_of,
            at=now,
            reason=reason,
        )
        if state.in_flight:
            return Outcome(planned.value, (*planned.findings, plan_during(state.in_flight)))
        return planned

    return Compared(plan=plan, way=way, part=part)


def _broker(settings: Settings) -> str:
    """Kind of the broker of the runtime that the plan is for; "" where another machine runs it."""
    try:
        runtime = Home(settings.home).read_runtime()
    except NexusError:
        return ""
    return runtime.broker_kind if runtime.control_url == settings.control_url else ""


def _client(settings: Settings, site: str | None = None) -> ControlClient:
    return ControlClient(settings, site=site)


async def _state(settings: Settings, site: str) -> State:
    async with _client(settings, site) as control:
        return await control.state()


async def _apply(request: DeploymentRequest, *, site: str, settings: Settings, on_event: OnEvent) -> DeploymentProgress:
    async with _client(settings, site) as control:
        number = await control.deploy(request)
        return await follow(control, number, on_event=on_event)


async def follow(control: ControlClient, number: int, *, after: int = 0, on_event: OnEvent) -> DeploymentProgress:
    """Follow a deployment to its end, from the line of its journal behind `after` on.

    Raises:
        NexusError: Control refuses, or did not answer for `LOST_S`.
    """
    loop = asyncio.get_running_loop()
    answered_s, away = loop.time(), False
    while True:
        try:
            found = await control.deployment(number, after=after, wait_s=FOLLOW_WAIT_S)
        except NexusError as error:
            if not error.retriable:
                raise
            if loop.time() - answered_s > LOST_S:
                hint = f"deployment {number} may continue all the same: `nexus show` says what is recorded, `nexus status` why"
                raise NexusError(error.message, code=error.code, cause=error.cause, hint=hint, retriable=True) from None
            if not away:
                on_event(JournalLine(id=0, step="away", state="begun", subject=f"{LOST_S:.0f}"))
            away = True
            await asyncio.sleep(0.5)
            continue
        answered_s, away = loop.time(), False
        for line in found.journal:
            after = max(after, line.id)
            on_event(line)
        if found.state == "ended" and not found.journal:
            return found


async def _recorded(settings: Settings) -> RecordedState:
    async with _client(settings) as control:
        state = await control.state()
        return RecordedState(
            site=settings.site,
            deployment=state.deployment,
            digest=state.digest,
            digests=state.digests,
            running=state.running,
            deployments=await control.deployments(),
            lock=await control.lock(),
            aliases=state.aliases,
        )


async def _resource(settings: Settings, address: str) -> JsonObject:
    kind, _, name = address.partition(".")
    if "/" in kind:  # a bare path
        kind, name = ("tag" if address.count("/") == 3 else "device"), address
    async with _client(settings) as control:
        if kind != "tag":
            wanted = f"{kind}.{name}" if name else kind
            found = (await control.resources([wanted])).get(wanted)
            near: Sequence[str] = ()
        else:
            device, _, tag = name.rpartition("/")
            wanted = f"device.{device}"
            tags = (await control.resources([wanted])).get(wanted, {}).get("tags", {})
            found, near = tags.get(tag), [f"{device}/{each}" for each in tags]
        if found is not None:
            return dict(found)
        digests = (await control.state()).digests

    hint = did_you_mean(name, near) if near else did_you_mean(wanted, digests)
    if not hint and Path(address).suffix:  # it may be the path of a saved plan
        hint = hint_of_missing(address)
    raise NexusError(
        f"'{address}' is not recorded.",
        code="NX6406",
        hint=hint or "`nexus show` counts what is; name it KIND.NAME or by its path",
    )


def _stale(fact: str) -> NexusError:
    return NexusError(
        f"The plan is stale: {fact}.",
        code="NX5002",
        hint="plan again: nexus plan SITE --out FILE",
    )
