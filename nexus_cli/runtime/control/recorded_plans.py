"""Plans of deployments on record, as `nexus plan` showed them: for the page and for `nexus show --deployment`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec

from nexus_cli.apply.run import Work
from nexus_cli.database import deployments as db
from nexus_cli.database import past_state
from nexus_cli.database.connect import Pool, plain_errors
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.snapshot import Attributes
from nexus_cli.plan.document import PlanDocument, plan_document
from nexus_cli.plan.mass_change import SITE, counts_tags
from nexus_cli.plan.recorded import Made, plan_again
from nexus_cli.plan.requests import request_count
from nexus_cli.plan.rights import may_change_rights
from nexus_cli.plan.text import plan_text
from nexus_cli.settings import Settings
from nexus_cli.wire.control_plans import DeploymentPlan

MOST_BYTES = 32 * 2**20
"""Plans of later deployments are read up to this size; beyond it the plan is shown without its surroundings."""
FORGOTTEN = (
    "Rights, and impact that depends on the rest of the site, are left out: so much was deployed since that the state "
    "before is not computed again."
)


class RecordedPlans:
    """Computes them, one at a time: that of a large site takes seconds."""

    def __init__(self, *, pool: Pool, settings: Settings) -> None:
        """For the site of the settings; the pool is for reading."""
        self._pool, self._settings, self._site = pool, settings, settings.site
        self._one = asyncio.Lock()

    async def plan(self, number: int, *, document: bool) -> DeploymentPlan:
        """The plan of a deployment as text, and as JSON where that is asked for.

        Raises:
            NexusError: NX5006, there is no such deployment; NX62xx, the database is away.
        """
        async with self._one:
            made, allow, kept = await self._read(number)
            note = FORGOTTEN if kept is None else ""
            found = await asyncio.to_thread(_document, made, kept or {}, allow)
            text = await asyncio.to_thread(plan_text, found, style=_unstyled)
        return DeploymentPlan(number=number, text=text, note=note, plan=dict(found) if document else None)

    async def _read(self, number: int) -> tuple[Made, list[str], dict[str, Attributes] | None]:
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                row = await db.deployment(conn, self._site, number)
                text = await past_state.plan_of(conn, self._site, number)
                if row is None or text is None:
                    raise NexusError(f"There is no deployment {number}.", code="NX5006")
                try:
                    work = await asyncio.to_thread(Work.stored, text)
                except msgspec.ValidationError as error:
                    cause = f"it was recorded in another form: {error}"
                    raise NexusError(
                        f"The plan of deployment {number} is not known.", code="NX5006", cause=cause
                    ) from None
                since = await past_state.since(conn, self._site, number)
                kept: dict[str, Attributes] | None = None
                if since.size_bytes <= MOST_BYTES:
                    recorded = await db.recorded(conn, self._site)
                    addresses = {*recorded.digests, *work.plan.changed, *work.plan.before}
                    place = (await db.attributes(conn, self._site, [SITE])).get(SITE)
                    whole = may_change_rights(work.changes, addresses) or counts_tags(place)
                    kept = await past_state.state_now(conn, self._site, whole=whole)
                    for later in since.later:
                        if (plan := await past_state.plan_of(conn, self._site, later)) is not None:
                            await asyncio.to_thread(past_state.without, kept, plan)
        made = Made(
            site=self._site,
            base=since.base,
            base_digest=row.base_digest,
            desired_digest=row.desired_digest,
            changed=work.plan.changed,
            before=work.plan.before,
            moved=work.plan.moved,
            reach=work.plan.reach,
        )
        return made, work.plan.allow, kept


def _document(made: Made, kept: Mapping[str, Attributes], allow: list[str]) -> PlanDocument:
    return plan_document(plan_again(made, kept, cost=request_count), allow=allow)


def _unstyled(text: str, _: str) -> str:
    return text
