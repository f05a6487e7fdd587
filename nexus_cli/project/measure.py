"""Ask control once what it measured of the things that a plan changes. A control that can't say costs a line, no plan."""

from __future__ import annotations

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.plan.change import retained_before
from nexus_cli.plan.facts_question import concerned
from nexus_cli.plan.live_clients import ending_paths
from nexus_cli.plan.measured import Measured
from nexus_cli.plan.plan import Plan
from nexus_cli.plan.stages import cleared_paths
from nexus_cli.plan.stale_sessions import LOCAL
from nexus_cli.plan.unreachable import Unreachable, unreachable
from nexus_cli.project.measure_emqx import ask_emqx
from nexus_cli.settings import Settings
from nexus_cli.wire.control_facts import (
    MOST_CLASSES,
    MOST_GATEWAYS,
    MOST_LINKS,
    MOST_SERIES,
    AskedLink,
    Facts,
    FactsQuestion,
)
from nexus_cli.wire.http import ControlClient

TIMEOUT_S = 15.0


async def measure(plan: Plan, settings: Settings, *, broker: str = "") -> Measured:
    """The facts about a plan's changes; nothing is asked for an empty plan. Never raises for a runtime that can't answer.

    Args:
        plan: What is to be done.
        settings: Where control is.
        broker: Kind of the site's broker, as of `stale_sessions`.
    """
    if plan.empty:
        return Measured()
    asked = concerned(plan.changes)
    question = FactsQuestion(
        series=list(asked.series[:MOST_SERIES]),
        links=[AskedLink(gateway=gateway, link=link) for gateway, link in asked.links[:MOST_LINKS]],
        classes=list(asked.classes[:MOST_CLASSES]),
        gateways=list(asked.gateways[:MOST_GATEWAYS]),
    )
    unknowns = [
        f"{what}: {len(all_) - most:,} more than the {most:,} that one plan asks for"
        for what, all_, most in (
            ("stored samples", asked.series, MOST_SERIES),
            ("links", asked.links, MOST_LINKS),
            ("retention classes", asked.classes, MOST_CLASSES),
            ("gateways", asked.gateways, MOST_GATEWAYS),
        )
        if len(all_) > most
    ]
    facts: Facts | None = None
    try:
        async with ControlClient(settings, site=f"{plan.enterprise}/{plan.site}", timeout_s=TIMEOUT_S) as control:
            facts = await control.call("POST", "/plan/facts", Facts, body=question)
    except NexusError as error:
        why = "control is of a version without these facts" if error.code in ("NX6404", "NX6406", "NX6403") else ""
        unknowns.append(f"what the runtime measured: {why or error.message.rstrip('.')}")
    asked_broker = await ask_emqx(plan, settings, local=broker in LOCAL)
    return Measured(
        facts=facts,
        unknowns=tuple(unknowns),
        retained=_cleared(plan),
        ending=len(ending_paths(plan.changes)),
        live=asked_broker.live,
        silent=asked_broker.why,
        arriving=asked.arriving,
        unreachable=_unreachable(plan, facts),
    )


def _unreachable(plan: Plan, facts: Facts | None) -> tuple[Unreachable, ...]:
    """What control can't reach of what the plan needs; nothing where this control does not know."""
    if facts is None or facts.broker is None:
        return ()
    return unreachable(plan.changes, broker=facts.broker, states=facts.gateways)


def _cleared(plan: Plan) -> int:
    """Retained messages that go, by the recorded state: of what apply clears, those that were retained."""
    cleared = set(cleared_paths(plan.changes))
    kept = {path for change in plan.changes if change.type == "device" for path in retained_before(change)}
    return len(cleared & kept)
