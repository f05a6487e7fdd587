"""The operations of control's API: read recorded state, accept and show deployments, break the lock. No HTTP here."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

import msgspec

from nexus_cli.access.encrypted import refuse_open_broker
from nexus_cli.access.lines import tag_facts
from nexus_cli.apply.consent import weigh
from nexus_cli.apply.engine import Engine
from nexus_cli.apply.request import Checked, DeploymentRequest, read_request, refuse_stale, weighs_rights
from nexus_cli.apply.run import Work, gateway_digest
from nexus_cli.database import confirmations, out_of_service, rollouts
from nexus_cli.database import deployments as db
from nexus_cli.database import lease as leases
from nexus_cli.database.aliases import aliases
from nexus_cli.database.audit import trail
from nexus_cli.database.connect import Connection, Pool, plain_errors
from nexus_cli.database.former_paths import renamed
from nexus_cli.database.recorded_tags import tags_by_class
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.resources import GatewayResource, decode
from nexus_cli.model.snapshot import Attributes, Snapshot
from nexus_cli.model.window_config import Windows
from nexus_cli.plan.mass_change import SITE, counts_tags
from nexus_cli.plan.weighed import needed
from nexus_cli.runtime.control import rollout_intake, unconfirmed
from nexus_cli.runtime.control.deployment_answers import DeviceFacts, header, locked, progress
from nexus_cli.runtime.control.gatekeeping import note_refusal, note_used, read_gate, refuse_used
from nexus_cli.runtime.control.lock_breaking import break_lock
from nexus_cli.runtime.control.sequences.running_sequences import sequences_running
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.settings import Settings
from nexus_cli.wire.approval import Verified
from nexus_cli.wire.confirmation import Confirmation
from nexus_cli.wire.control import (
    DeploymentProgress,
    Deployments,
    Devices,
    GatewayIndex,
    LockBroken,
    LockHeld,
    Resources,
    State,
)
from nexus_cli.wire.control_audit import AuditTrail
from nexus_cli.wire.control_rollouts import in_words
from nexus_cli.wire.control_steering import OutOfService
from nexus_cli.wire.signature import SignatureRules

LONGEST_WAIT_S = 25.0


class LeaderParts(Protocol):
    """The parts that only a leading control has.

    Attributes:
        pool: Refuses writes once the term is over.
        engine: Executes deployments.
        wanted: Set when a deployment is waiting.
    """

    pool: Pool
    engine: Engine
    wanted: asyncio.Event


class Admitted(NamedTuple):
    """A deployment that was checked.

    Attributes:
        checked: What it changes.
        before: What is recorded of the resources that it changes.
        approvals: Those that count.
        outside: Shut windows that it ignores.
    """

    checked: Checked
    before: Mapping[str, Attributes]
    approvals: tuple[Verified, ...]
    outside: str


class Service:
    """The operations of the API for one site.

    Attributes:
        settings: Of control.
        with_force: Adds to a device that is out of service what its gateway says; a control that leads replaces it.
        with_problem: Adds to a confirmation why control can't take its deployment back; a control that leads replaces it.
        now: The time by which maintenance windows open; control sets its own clock here.
    """

    def __init__(self, *, pool: Pool, settings: Settings, lease_ttl_s: float) -> None:
        """Join the parts. `pool` is for reading; writing needs a `LeaderParts`."""
        self._pool, self.settings, self.site = pool, settings, settings.site
        self._lease_ttl_s = lease_ttl_s
        self.with_force: Callable[[OutOfService], OutOfService] = lambda found: found
        self.with_problem: Callable[[Confirmation], Confirmation] = lambda found: found
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self._stopping = False
        self._stepped = asyncio.Event()

    def stop(self) -> None:
        """End all waiting requests: control is stopping."""
        self._stopping = True
        self.stepped()

    def stepped(self) -> None:
        """Wake the waiting requests after a new journal line."""
        self._stepped.set()
        self._stepped = asyncio.Event()

    async def next_step(self, timeout_s: float) -> None:
        """Wait for the next journal line, or change of a rollout, of this control, at most so long."""
        await wait_for(self._stepped, timeout_s=timeout_s)

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for reading."""
        with plain_errors(self.settings):
            async with self._pool.acquire() as conn:
                yield conn

    async def state(self) -> State:
        """The digests of all recorded resources."""
        async with self.connection() as conn:
            state = await db.recorded(conn, self.site)
            running = await sequences_running(conn, self.site)
            old_paths = await aliases(conn, site=self.site)
            rollout = await rollouts.active(conn, self.site)
        return State(
            deployment=state.number,
            digest=state.digest,
            digests=dict(state.digests),
            running=list(running),
            aliases=old_paths,
            in_flight="" if rollout is None else in_words(rollout.public()),
        )

    async def resources(self, addresses: Sequence[str]) -> Resources:
        """The attributes of those that are recorded."""
        async with self.connection() as conn:
            found = await db.attributes(conn, self.site, addresses)
            return Resources(resources=found, renamed=await renamed(conn, site=self.site, asked=addresses, found=found))

    async def deploy(
        self,
        leader: LeaderParts,
        request: DeploymentRequest,
        *,
        who: str,
        summary: Mapping[str, int],
        within: Callable[[Mapping[str, Attributes]], None] = lambda _: None,
    ) -> int:
        """As `_deploy`; what policies, effect and approvals refuse is in the audit trail."""
        try:
            return await self._deploy(leader, request, who=who, summary=summary, within=within)
        except NexusError as error:
            await self.note_refusal(leader, error, who=who)
            raise

    async def note_refusal(self, leader: LeaderParts, error: NexusError, *, who: str) -> None:
        """Write what policies, effect and approvals refuse into the audit trail."""
        with plain_errors(self.settings):
            await note_refusal(leader.pool, self.site, error, who=who)

    async def _deploy(
        self,
        leader: LeaderParts,
        request: DeploymentRequest,
        *,
        who: str,
        summary: Mapping[str, int],
        within: Callable[[Mapping[str, Attributes]], None],
    ) -> int:
        """Accept a deployment: check it, take the lock, record it. Returns its number.

        Raises:
            NexusError: What `admit` and `begin` raise. A sequence that starts afterwards is awaited, or aborted, before
                anything is recorded.
        """
        admitted = await self.admit(request, within=within)
        return await self.begin(leader, request, admitted, who=who, summary=summary)

    async def admit(
        self, request: DeploymentRequest, *, within: Callable[[Mapping[str, Attributes]], None] = lambda _: None
    ) -> Admitted:
        """Check a deployment. That of a large site takes seconds: it runs in a thread, before anything is locked.

        Args:
            request: What is asked for.
            within: Gets what is recorded of the changed resources, and raises for who may not change them.

        Raises:
            NexusError: NX5001 locked, NX5002 stale, NX5011 another one waits to be confirmed, NX5032 a rollout is in flight
                (all exit code 5), NX5035 a maintenance window is shut, NX5039 a rollout stopped before it (3), or what `apply.request` raises.
        """
        async with self.connection() as conn:
            await self._refuse_locked(conn)
            await rollout_intake.refuse_in_flight(conn, self.site)
            await unconfirmed.refuse(conn, self.site, request)
            recorded = await db.recorded(conn, self.site)
            refuse_stale(request, recorded)
            await rollout_intake.refuse_left(conn, self.site, request, recorded)
            before = await db.attributes(conn, self.site, list(request.changed))
            place = (await db.attributes(conn, self.site, [SITE])).get(SITE, {})
            if counts_tags(place):
                recorded = replace(recorded, tags=await tags_by_class(conn, self.site))
            running = await sequences_running(conn, self.site)
            gate = await read_gate(conn, request, recorded)
            windows = Windows.recorded(place)
        await asyncio.to_thread(within, before)
        refuse_open_broker(request.changed, self.settings.broker_url)
        checked = await asyncio.to_thread(read_request, request, recorded, before)
        kept: Mapping[str, Attributes] = {}
        # Only where it has to, the whole state is read; under the lock it must be the same.
        if gate.needs_devices or weighs_rights(checked, recorded):
            async with self.connection() as conn:
                kept = await db.full_state(conn, self.site, without=list(request.changed))
        elif recorded.digests:
            kept = await self._weighed(checked, without=list(request.changed))
        weighed = await asyncio.to_thread(weigh, gate, request, recorded, before, checked, kept=kept, running=running)
        outside = await rollout_intake.refuse_shut(windows, request, checked, recorded, now=self.now())
        return Admitted(checked, before, weighed.approvals, outside)

    async def begin(
        self,
        leader: LeaderParts,
        request: DeploymentRequest,
        admitted: Admitted,
        *,
        who: str,
        summary: Mapping[str, int],
    ) -> int:
        """Take the lock for a deployment that was checked, and record it as running. Returns its number.

        Raises:
            NexusError: NX5001, NX5002, NX5011, NX5032: that came meanwhile; NX4035, an approval was used meanwhile; NX5040.
        """
        await leader.engine.assert_reached(admitted.checked.changes, undoes=bool(request.undoes))
        work = Work.accepted(request, admitted.checked, before=admitted.before, summary=summary)
        token = secrets.token_hex(16)
        with plain_errors(self.settings):
            async with leader.pool.acquire() as conn:
                # The lock and its deployment are written in one transaction, so neither ever exists alone.
                await self._take_lease(conn, who=who, reason=request.reason, token=token)
                await rollout_intake.refuse_in_flight(conn, self.site)
                refuse_stale(request, await db.recorded(conn, self.site))
                await refuse_used(conn, self.site, admitted.approvals)
                deployment_id, number = await db.begin_deployment(
                    conn,
                    self.site,
                    who=who,
                    reason=request.reason,
                    base=request.base_digest,
                    desired=request.desired_digest,
                    plan=work.document(),
                    run_url=request.run_url,
                    undoes=request.undoes,
                )
                await note_used(conn, self.site, admitted.approvals, deployment=number, who=who)
                await leases.assign(conn, self.site, token=token, deployment_id=deployment_id)
                await unconfirmed.follow(conn, self.site, request, deployment_id=deployment_id, who=who)
                about = {"subject": f"deployment {number}", "reason": request.reason}
                await rollout_intake.note_outside(conn, self.site, who=who, windows=admitted.outside, **about)
        leader.engine.adopt(deployment_id, token=token, work=work)
        leader.wanted.set()
        return number

    async def _weighed(self, checked: Checked, *, without: Sequence[str]) -> dict[str, Attributes]:
        """What hazards are weighed by beside what changes."""
        wanted = needed(checked.changes)
        async with self.connection() as conn:
            named = await db.attributes(conn, self.site, [each for each in wanted.addresses if each not in without])
            return named | await db.attributes_of_links(conn, self.site, wanted.links, without=without)

    async def _refuse_locked(self, conn: Connection) -> None:
        held = await leases.current(conn, self.site)
        if held is not None and not held.expired:
            raise locked(held)

    async def _take_lease(self, conn: Connection, *, who: str, reason: str, token: str) -> None:
        if not await leases.acquire(conn, self.site, owner=who, reason=reason, token=token, ttl_s=self._lease_ttl_s):
            raise locked(await leases.current(conn, self.site))

    async def deployment(self, number: int, *, after: int, wait_s: float) -> DeploymentProgress:
        """One deployment: its state, and what the journal says beyond line `after`."""
        deadline = asyncio.get_running_loop().time() + min(max(wait_s, 0.0), LONGEST_WAIT_S)
        while True:
            stepped = self._stepped
            async with self.connection() as conn:
                found = await db.deployment(conn, self.site, number)
                lines = [] if found is None else await db.journal(conn, found.id, after=after)
                waits = await self._waits(conn, [number])
                waves = await rollouts.of_deployments(conn, self.site, [number])
            if found is None:
                raise NexusError(f"There is no deployment {number}.", code="NX5006")
            left = deadline - asyncio.get_running_loop().time()
            if lines or found.outcome != "running" or left <= 0 or self._stopping:
                return progress(found, lines, waits.get(number), waves.get(number))
            try:
                async with asyncio.timeout(min(left, 1.0)):  # another control may have written a line
                    await stepped.wait()
            except TimeoutError:
                continue

    async def deployments(self, **wanted: Any) -> Deployments:
        """The deployments, newest first; arguments as of `database.deployments.deployments`."""
        async with self.connection() as conn:
            found = await db.deployments(conn, self.site, **wanted)
            numbers = [each.number for each in found]
            waits = await self._waits(conn, numbers)
            waves = await rollouts.of_deployments(conn, self.site, numbers)
        return Deployments(deployments=[header(each, waits.get(each.number), waves.get(each.number)) for each in found])

    async def _waits(self, conn: Connection, numbers: list[int]) -> dict[int, Confirmation]:
        found = await confirmations.of_deployments(conn, self.site, numbers)
        return {number: self.with_problem(each) for number, each in found.items()}

    async def gateway_index(self, gateway: str) -> GatewayIndex:
        """The digests of a gateway's devices, and how it sends the record."""
        async with self.connection() as conn:
            number, devices = await db.gateway_index(conn, self.site, gateway)
            resources = await db.attributes_of_kind(conn, self.site, "gateway")
            place = (await db.attributes(conn, self.site, ["site"])).get("site", {})
            paused = await out_of_service.pauses(conn, self.site, devices)
            old_paths = await aliases(conn, site=self.site)
        sends = decode(resources.get(gateway, {}), GatewayResource)
        return GatewayIndex(
            deployment=number,
            digest=gateway_digest(devices),
            devices=devices,
            frames=sends.frames,
            compress=sends.compress,
            out_of_service=paused,
            signatures=msgspec.convert(place.get("signatures") or {}, SignatureRules),
            aliases=[each for each in old_paths if each.left_us and gateway in each.gateways],
        )

    async def out_of_service(self) -> list[OutOfService]:
        """The devices that are out of service, by path, with what their gateways say, where this control leads."""
        async with self.connection() as conn:
            found = await out_of_service.current(conn, self.site)
        return [self.with_force(each) for each in found]

    async def device_facts(self, path: str) -> DeviceFacts | None:
        """What rights ask of a device's tags; None when it is not recorded."""
        async with self.connection() as conn:
            resources = await db.attributes(conn, self.site, ["site", f"device.{path}"])
        device = resources.get(f"device.{path}")
        if device is None:
            return None
        enterprise, _, site = self.site.partition("/")
        facts = tag_facts(Snapshot(enterprise, site, resources, {}))
        return DeviceFacts(str(device.get("gateway", "")), tuple(facts.values()))

    async def gateway_devices(self, gateway: str, paths: Sequence[str]) -> Devices:
        """The configurations of a gateway's devices."""
        async with self.connection() as conn:
            return Devices(devices=dict(await db.attributes_of_gateway(conn, self.site, gateway, paths)))

    async def lock(self) -> LockHeld:
        """The holder of the lock."""
        async with self.connection() as conn:
            held = await leases.current(conn, self.site)
        return LockHeld(lock=None if held is None else held.public())

    async def audit(self, **wanted: Any) -> AuditTrail:
        """The newest lines of the audit trail; arguments as of `database.audit.trail`."""
        async with self.connection() as conn:
            return await trail(conn, self.site, **wanted)

    async def break_lock(self, leader: LeaderParts, *, who: str, reason: str, acquired: int = 0) -> LockBroken:
        """Break the lock; its deployment stops before the next step, also under another control.

        Raises:
            NexusError: NX4313, the lock that was taken at `acquired` (µs since 1970 UTC) is another's by now.
        """
        with plain_errors(self.settings):
            async with leader.pool.acquire() as conn, conn.transaction():
                found = await break_lock(conn, self.site, who=who, reason=reason, acquired=acquired)
        self.stepped()
        return found
