"""The route of the API that shows the plan of a deployment on record."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Path, Query, Response

from nexus_cli.runtime.api.bodies import answer
from nexus_cli.runtime.control.recorded_plans import RecordedPlans


def add_plan_route(app: FastAPI, *, base: str, plans: RecordedPlans) -> None:
    """Add it."""

    @app.get(base + "/deployments/{number}/plan")
    async def plan(
        number: Annotated[int, Path(ge=0, lt=2**31)], document: Annotated[bool, Query()] = False
    ) -> Response:
        return answer(await plans.plan(number, document=document))
