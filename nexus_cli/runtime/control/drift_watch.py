"""Control looks for drift on the site's schedule: what is recorded against the gateways' reports and the devices.

The time of the newest result is in the database, so that a control that takes over continues the schedule. Devices are asked
through their gateways, one after the other of each gateway, below its polls; nothing is written to them.

See docs/decisions/0106.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

import msgspec

from nexus_cli.apply.observation import Observations
from nexus_cli.apply.run import gateway_digest
from nexus_cli.database import deployments as db
from nexus_cli.database import drift as stored
from nexus_cli.database import out_of_service
from nexus_cli.database.connect import Connection, Pool, plain_errors
from nexus_cli.database.schema_gaps import missing_in
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.discover.check_via import check_gateways
from nexus_cli.drift.database import database_drift
from nexus_cli.drift.kinds import Ignored, found, ignored_of
from nexus_cli.drift.observed import GatewaySeen, observed_drift
from nexus_cli.drift.report import Look, askable
from nexus_cli.model.config import DeviceConfig, readable_device
from nexus_cli.model.drift import DriftConfig
from nexus_cli.model.resources import SiteConfig, decode
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.control.drift_alarm import path_of
from nexus_cli.runtime.control.waiting import first_of
from nexus_cli.runtime.logging import event
from nexus_cli.settings import Settings
from nexus_cli.wire.control_drift import SEVERITIES, DriftFacts, DriftReport
from nexus_cli.wire.health import DriftHealth

LOOK_S = 5.0
"""How often it is seen whether a look is due, in seconds."""
TURNS = 3
"""A look during which a deployment begins or ends is made again, so many times in all."""
RETRY_S = 60.0
"""After a look that failed."""

DATABASE = "NX62"
"""Codes of a database that is away: `database_watch` says that, once."""
_log = logging.getLogger("nexus.control")
Feed = Callable[[str, float], None]
"""Takes the number of findings under the path of an own alarm."""


class DriftWatch:
    """The schedule, and what control knows of drift without asking a device.

    Attributes:
        newest: The newest result; None before the first.
        problem: Why the last look failed; "" when it did not.
        rights_problem: As given.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        pool: Pool,
        clock: Clock,
        seen: Observations,
        feed: Feed,
        changed: Callable[[], None],
        rights_problem: Callable[[], str],
    ) -> None:
        """Join the parts.

        Args:
            settings: Broker and site.
            pool: Of a leader.
            clock: For the schedule.
            seen: What the gateways report.
            feed: Gives the alarms their values.
            changed: Called after each look.
            rights_problem: Why the broker's rights are not as recorded; "" when they are.
        """
        self._settings, self._pool, self._clock, self._seen = settings, pool, clock, seen
        self._feed, self._changed, self.rights_problem = feed, changed, rights_problem
        self.newest: DriftReport | None = None
        self.problem = ""
        self._config: DriftConfig | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Look whenever it is due, until stopped."""
        while not stop.is_set():
            wait_s = LOOK_S
            try:
                with plain_errors(self._settings):
                    async with self._pool.acquire() as conn:
                        self._config = await schedule(conn, self._settings.site)
                        looked = await stored.looked(conn, self._settings.site)
                        if looked != (0 if self.newest is None else self.newest.time):
                            self.newest = next(iter(await stored.newest(conn, self._settings.site)), None)
                    if self._config is not None:
                        self._tell()
                        if self._due(self._config):
                            await self.look(self._config)
                    self.problem = ""
            except NexusError as error:
                if error.message != self.problem and not error.code.startswith(DATABASE):
                    event(_log, "drift is not looked for", level=logging.WARNING, cause=error.message)
                self.problem, wait_s = error.message, RETRY_S
                self._changed()
            await first_of(stop, timeout_s=wait_s)

    def _due(self, config: DriftConfig) -> bool:
        """A clock that was set back by more than a turn does not stop the schedule."""
        if self.newest is None:
            return True
        return abs(self._clock.wall_us() - self.newest.time) >= config.every_ms * 1000

    async def look(self, config: DriftConfig) -> DriftReport:
        """Look once, and store the result. Raises NexusError."""
        site = self._settings.site
        for _ in range(TURNS):
            facts, devices, paused = await self._begun()
            look = await self._looked(facts, devices, paused)
            after, changed, _ = await self._begun()
            if (after.deployment, after.running, changed) == (facts.deployment, facts.running, devices):
                break  # else a deployment began or ended meanwhile: devices may have been asked for what it changed
        if self.newest is not None:
            changing = {address.removeprefix("device.") for address in facts.changing}
            look.keep(self.newest.findings, devices, leave={*paused, *changing})
        report = look.report(
            site=site,
            time_us=self._clock.wall_us(),
            deployment=facts.deployment,
            running=facts.running,
            ignore=[one for text in config.ignore if (one := _readable(text)) is not None],
            least=config.severity,
        )
        links = {path: device.link for path, device in devices.items()}
        fresh = {path: one for path, one in look.identities.items() if path not in facts.identities}
        async with self._pool.acquire() as conn:
            await stored.record_identities(conn, site, fresh, links)
            await stored.store(conn, site, report)
        self.newest = report
        event(_log, "looked for drift", findings=len(report.findings), unknown=len(report.unknown))
        self._tell()
        self._changed()
        return report

    async def _begun(self) -> tuple[DriftFacts, dict[str, DeviceConfig], dict[str, str]]:
        """What is known without asking a device, the recorded devices, and why some are out of service."""
        async with self._pool.acquire() as conn:
            facts = await self._facts(conn)
            devices = await recorded_devices(conn, self._settings.site)
            paused = await out_of_service.current(conn, self._settings.site)
        return facts, devices, {one.device: one.reason for one in paused}

    async def _looked(self, facts: DriftFacts, devices: Mapping[str, DeviceConfig], paused: Mapping[str, str]) -> Look:
        """Have the gateways look."""
        look = Look(
            planes=[*facts.planes[:1], "device", *facts.planes[1:]],
            findings=list(facts.findings),
            unknown=list(facts.unknown),
            notes=list(facts.notes),
        )
        asked, unknown = askable(devices.values(), changing=facts.changing, paused=paused)
        look.unknown += unknown
        paths = {gateway: [one.path for one in each] for gateway, each in asked.items()}
        for examined in await check_gateways(paths, settings=self._settings):
            look.take_device(devices[examined.path], examined, facts.identities)
        return look

    async def facts(self) -> DriftFacts:
        """What is known without asking a device. Raises NexusError."""
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                return await self._facts(conn)

    async def _facts(self, conn: Connection) -> DriftFacts:
        site = self._settings.site
        state = await db.recorded(conn, site)
        number, changing = await stored.running(conn, site)
        config = await schedule(conn, site)
        links = {path: device.link for path, device in (await recorded_devices(conn, site)).items()}
        known = await stored.identities(conn, site, links)
        busy = {state.gateways.get(address, "") for address in changing}
        gateways = [
            GatewaySeen(
                name=name,
                digest=gateway_digest(state.gateway_devices(name)),
                devices=set(state.gateway_devices(name)),
                answer=self._seen.newest(name),
                state=_state(self._seen, name),
            )
            for name in state.every_gateway()
            if name not in busy
        ]
        findings, unknown = observed_drift(gateways)
        problem = self.rights_problem()
        if problem and not number:
            findings.append(
                found(
                    "rights-behind",
                    "broker",
                    "observed",
                    f"the broker's rights are not as recorded: {problem}",
                    recorded="in force",
                    now="not written",
                    hint="nexus drift --revert writes them again",
                )
            )
        planes = ["observed"]
        if not number:
            of_database, not_compared = database_drift(await missing_in(conn, site=site))
            findings, unknown = [*findings, *of_database], [*unknown, *not_compared]
            planes.append("database")
        paused = [
            f"{one.device} is out of service until it is taken in: {one.reason} ({one.who})"
            for one in await out_of_service.current(conn, site)
        ]
        return DriftFacts(
            deployment=state.number,
            running=number,
            changing=changing,
            findings=findings,
            unknown=unknown,
            notes=paused,
            identities=known,
            every_ms=0 if config is None else config.every_ms,
            newest=self.newest,
            planes=planes,
        )

    async def take_identities(self, wanted: Mapping[str, Mapping[str, str]], *, who: str) -> list[str]:
        """Record what devices say of themselves, for a person. Raises NexusError."""
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                devices = await recorded_devices(conn, self._settings.site)
                links = {path: device.link for path, device in devices.items()}
                return await stored.record_identities(conn, self._settings.site, wanted, links, who=who)

    def health(self) -> DriftHealth | msgspec.UnsetType:
        """For control's health; unset without a schedule."""
        if self._config is None:
            return msgspec.UNSET
        newest = self.newest
        return DriftHealth(
            every_ms=self._config.every_ms,
            looked=0 if newest is None else newest.time,
            findings={} if newest is None else dict(newest.counts),
            unknown=0 if newest is None else len(newest.unknown),
            problem=self.problem,
        )

    def counts(self) -> dict[tuple[str, ...], float]:
        """Findings of the newest result by severity, for the metric."""
        counts = {} if self.newest is None or self._config is None else self.newest.counts
        return {(severity,): float(counts.get(severity, 0)) for severity in SEVERITIES} if counts else {}

    def _tell(self) -> None:
        if self.newest is not None:
            for severity in SEVERITIES:
                self._feed(path_of(severity), float(self.newest.counts.get(severity, 0)))


async def schedule(conn: Connection, site: str) -> DriftConfig | None:
    """The recorded schedule; None without one."""
    attributes = (await db.attributes(conn, site, ["site"])).get("site")
    try:
        return None if attributes is None else decode(attributes, SiteConfig).drift
    except msgspec.ValidationError:
        return None


async def recorded_devices(conn: Connection, site: str) -> dict[str, DeviceConfig]:
    """The recorded devices by path; one that can't be read is logged and left out."""
    devices: dict[str, DeviceConfig] = {}
    for path, attributes in (await db.attributes_of_kind(conn, site, "device")).items():
        device = readable_device(attributes, address=f"device.{path}")
        if device is not None:
            devices[path] = device
    return devices


def _state(seen: Observations, gateway: str) -> str:
    health = seen.health(gateway)
    return "" if health is None or not isinstance(health.state, str) else health.state


def _readable(text: str) -> Ignored | None:
    try:
        return ignored_of(text)
    except ValueError:
        return None
