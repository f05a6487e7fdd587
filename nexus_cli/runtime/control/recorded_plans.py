"""Plans of deployments on record, as `nexus plan` showed them: for the page and for `nexus show --deployment`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from nexus_cli.apply.run import Work
from nexus_cli.database import approvals, past_state, rollouts
from nexus_cli.database import deployments as db
from nexus_cli.database.connect import Connection, Pool, plain_errors
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.policy_config import POLICY
from nexus_cli.model.snapshot import Attributes
from nexus_cli.plan.approvals import approvals_needed
from nexus_cli.plan.document import PlanDocument, plan_document
from nexus_cli.plan.mass_change import SITE, counts_tags
from nexus_cli.plan.plan import Plan
from nexus_cli.plan.recorded import Made, plan_again
from nexus_cli.plan.requests import request_count
from nexus_cli.plan.review import review_of
from nexus_cli.plan.rights import may_change_rights
from nexus_cli.plan.text import plan_text
from nexus_cli.runtime.control.kept_reviews import KeptReview, KeptReviews, ReviewKey, kept_review
from nexus_cli.settings import Settings
from nexus_cli.wire.control_plans import ApprovalUse, DeploymentPlan, DeploymentReview

MOST_BYTES = 32 * 2**20
"""Plans of later deployments are read up to this size; beyond it the plan is shown without its surroundings."""
FORGOTTEN = (
    "Rights, policies, the effect, and impact that depends on the rest of the site, are left out: so much was deployed "
    "since that the state before is not computed again."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Past:
    """A deployment as it is on record.

    Attributes:
        made: Its plan.
        allow: Consents that it had.
        kept: What was recorded beside what it changed; None when that is not computed again.
    """

    made: Made
    allow: list[str]
    kept: dict[str, Attributes] | None

    @property
    def note(self) -> str:
        return FORGOTTEN if self.kept is None else ""

    def weighed(self) -> tuple[Plan, PlanDocument]:
        """Its plan again, as objects and as JSON. The effect covers hazards, so it needs the whole state."""
        try:
            plan = plan_again(self.made, self.kept or {}, cost=request_count)
        except (msgspec.ValidationError, ValueError):  # a policy of another version: what it said then is not known
            plan = plan_again(replace(self.made, at=None), self.kept or {}, cost=request_count)
        document = plan_document(plan, allow=self.allow)
        if self.kept is None:
            del document["effect"]
        return plan, document

    def required(self, plan: Plan) -> int:
        """How many approvals it needed; 0 where that is not known any more."""
        if self.made.at is None:  # what takes back what was agreed to needs none
            return 0
        before, kept = self.made.before, self.kept or {}
        found = approvals_needed(before, kept, {*before, *kept}, plan.changes, plan.hazards)
        return 0 if found is None else found["required"]


class RecordedPlans:
    """Computes them, one at a time: that of a large site takes seconds."""

    def __init__(self, *, pool: Pool, settings: Settings) -> None:
        """For the site of the settings; the pool is for reading."""
        self._pool, self._settings, self._site = pool, settings, settings.site
        self._one = asyncio.Lock()
        self._reviews = KeptReviews()

    async def plan(self, number: int, *, document: bool) -> DeploymentPlan:
        """The plan of a deployment as text, and as JSON where that is asked for.

        Raises:
            NexusError: NX5006, there is no such deployment; NX62xx, the database is away.
        """
        async with self._one:
            past = await self._read(number)
            _, found = await asyncio.to_thread(past.weighed)
            text = await asyncio.to_thread(plan_text, found, style=_unstyled)
        return DeploymentPlan(number=number, text=text, note=past.note, plan=dict(found) if document else None)

    async def review(self, number: int, *, offset: int, limit: int) -> DeploymentReview:
        """What a deployment changes from `offset` on, and what all of it does. Computed once, until more is recorded.

        Raises:
            NexusError: As `plan`.
        """
        key = await self._key(number)
        kept = self._reviews.find(key)
        if kept is None:
            async with self._one:
                key = await self._key(number)
                kept = self._reviews.find(key)  # by who asked before
                if kept is None:
                    past = await self._read(number)
                    kept = await asyncio.to_thread(_reviewed, number, past)
                    if key == await self._key(
                        number
                    ):  # else something was recorded meanwhile: it holds for this answer
                        self._reviews.keep(key, kept)
        page = await asyncio.to_thread(kept.page, offset, limit)
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                row = await db.deployment(conn, self._site, number)
                if row is None:
                    raise _not_there(number)
                rollout, used = await self._approvals(conn, number, begun=row.started)
        return msgspec.structs.replace(page, rollout=rollout, approvals=used)

    async def _key(self, number: int) -> ReviewKey:
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                row = await db.deployment(conn, self._site, number)
                if row is None:
                    raise _not_there(number)
                recorded = await past_state.recorded_numbers(conn, self._site)
        return ReviewKey(number=number, recorded=tuple(recorded), digest=row.desired_digest)

    async def _read(self, number: int) -> _Past:
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                row = await db.deployment(conn, self._site, number)
                text = await past_state.plan_of(conn, self._site, number)
                if row is None or text is None:
                    raise _not_there(number)
                try:
                    work = await asyncio.to_thread(Work.stored, text)
                except msgspec.ValidationError as error:
                    cause = f"it was recorded in another form: {error}"
                    raise NexusError(
                        f"The plan of deployment {number} is not known.", code="NX5006", cause=cause
                    ) from None
                since = await past_state.since(conn, self._site, number)
                kept = await self._kept(conn, work, since) if since.size_bytes <= MOST_BYTES else None
        made = Made(
            site=self._site,
            base=since.base,
            base_digest=row.base_digest,
            desired_digest=row.desired_digest,
            changed=work.plan.changed,
            before=work.plan.before,
            moved=work.plan.moved,
            reach=work.plan.reach,
            # Without the state before there is no telling which policies held; taking back is held up by none.
            at=None if row.undoes or kept is None else row.started,
            reason=row.reason,
        )
        return _Past(made=made, allow=work.plan.allow, kept=kept)

    async def _kept(self, conn: Connection, work: Work, since: past_state.Since) -> dict[str, Attributes]:
        """What was recorded beside what a deployment changed; of devices the link alone where that is enough."""
        recorded = await db.recorded(conn, self._site)
        touched = {*work.plan.changed, *work.plan.before}
        place = (await db.attributes(conn, self._site, [SITE])).get(SITE)
        whole = may_change_rights(work.changes, {*recorded.digests, *touched}) or counts_tags(place)
        whole = whole or any(address.startswith(POLICY) for address in touched)  # a new policy looks at every device
        kept = await past_state.state_now(conn, self._site, whole=whole)
        for later in since.later:
            if (plan := await past_state.plan_of(conn, self._site, later)) is not None:
                await asyncio.to_thread(past_state.without, kept, plan)
        return kept

    async def _approvals(self, conn: Connection, number: int, *, begun: datetime) -> tuple[int, list[ApprovalUse]]:
        """The rollout of a deployment, 0 is none, and the approvals: a wave has those of its rollout."""
        wave = (await rollouts.of_deployments(conn, self._site, [number])).get(number)
        if wave is None:
            return 0, await approvals.uses(conn, self._site, number, begun=begun)
        rollout = await rollouts.one(conn, self._site, wave.number)
        begun = begun if rollout is None else rollout.started
        return wave.number, await approvals.uses(conn, self._site, -wave.number, begun=begun)


def _reviewed(number: int, past: _Past) -> KeptReview:
    plan, document = past.weighed()
    review = DeploymentReview(
        number=number,
        base=past.made.base,
        text=plan_text(document, style=_unstyled),
        note=past.note,
        required=past.required(plan),
    )
    return kept_review(review_of(document, review, limit=len(document["resource_changes"])))


def _not_there(number: int) -> NexusError:
    return NexusError(f"There is no deployment {number}.", code="NX5006")


def _unstyled(text: str, _: str) -> str:
    return text
