"""The route of the API that gives a plan what the runtime measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from fastapi import Depends, FastAPI, Response

from nexus_cli.apply.observation import Observations
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.api.bodies import answer, documented, reader
from nexus_cli.runtime.control.plan_facts import PlanFacts
from nexus_cli.wire.control_facts import FactsQuestion


class Leading(Protocol):
    """The part of a control that leads which has the reports of the gateways, and the connection to the broker."""

    seen: Observations

    def cut_off(self) -> str:
        """Why there is no connection to the broker; "" while there is one."""
        ...


def add_facts_route(app: FastAPI, *, base: str, facts: PlanFacts, acting: Callable[[], Leading]) -> None:
    """Add it. A control that does not lead answers, too: without links."""
    question = Depends(reader(FactsQuestion))

    @app.post(base + "/plan/facts", openapi_extra=documented(FactsQuestion))
    async def plan_facts(body: FactsQuestion = question) -> Response:
        try:
            leading = acting()
        except NexusError:  # a standby
            return answer(await facts.answer(body, reports=None))
        return answer(await facts.answer(body, reports=leading.seen, broker=leading.cut_off()))
