"""The routes of the API that show the plan of a deployment on record."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Path, Query, Response

from nexus_cli.plan.review import MOST_LISTED
from nexus_cli.runtime.api.bodies import answer
from nexus_cli.runtime.control.recorded_plans import RecordedPlans


def add_plan_route(app: FastAPI, *, base: str, plans: RecordedPlans) -> None:
    """Add them."""

    @app.get(base + "/deployments/{number}/plan")
    async def plan(
        number: Annotated[int, Path(ge=0, lt=2**31)], document: Annotated[bool, Query()] = False
    ) -> Response:
        return answer(await plans.plan(number, document=document))

    @app.get(base + "/deployments/{number}/review")
    async def review(
        number: Annotated[int, Path(ge=0, lt=2**31)],
        offset: Annotated[int, Query(ge=0, lt=2**31)] = 0,
        limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 50,
    ) -> Response:
        """The same for who signs it: what it changes, page by page, and what that does."""
        return answer(await plans.review(number, offset=offset, limit=limit))
