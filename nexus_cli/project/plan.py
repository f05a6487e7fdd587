"""`nexus plan`: what the files declare, compared with what is on record. Writes nothing, anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from nexus_cli.diagnostics import NexusError, Outcome
from nexus_cli.local.layout import Home
from nexus_cli.model.bound import Place
from nexus_cli.model.collection import collection_paused
from nexus_cli.model.window_config import Windows
from nexus_cli.plan.consents import useless_consents
from nexus_cli.plan.diff import differing
from nexus_cli.plan.document import plan_document
from nexus_cli.plan.load_facts import LinkFacts
from nexus_cli.plan.measured_document import with_measures
from nexus_cli.plan.narrow import narrowed, plan_during
from nexus_cli.plan.plan import Base, Plan, make_plan
from nexus_cli.plan.planfile import PlanSource
from nexus_cli.plan.probed import Tried
from nexus_cli.plan.requests import request_count
from nexus_cli.plan.rollout_document import Way
from nexus_cli.plan.targets import Part, Targets
from nexus_cli.project.measure import measure
from nexus_cli.project.ready import Ready
from nexus_cli.project.text import LoadedSite, Sourced, load, locate
from nexus_cli.settings import Settings
from nexus_cli.source.inheritance import Inheritance
from nexus_cli.wire.http import ControlClient

EVERYTHING = Targets()
SITE = "site"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Two states: their plan with what was measured of links, how it goes out, and which part it is; None is the whole."""

    plan: Callable[[Mapping[Place, LinkFacts]], Outcome[Plan]]
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
    measured = asyncio.run(measure(plan, settings, broker=_broker(settings)))
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


async def _compare(loaded: LoadedSite, settings: Settings, targets: Targets, *, reason: str) -> Compared:
    desired = loaded.snapshot
    async with ControlClient(settings, site=f"{desired.enterprise}/{desired.site}") as control:
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

    def plan(facts: Mapping[Place, LinkFacts]) -> Outcome[Plan]:
        planned = make_plan(
            base,
            desired,
            moved=moved,
            cost=request_count,
            facts=facts,
            template_of=loaded.tree.template_of,
            giver_of=Inheritance(loaded.tree).giver,
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
