"""The control role: the HTTP API, and the parts that act while this control leads its site."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from urllib.parse import urlsplit

from starlette.types import ASGIApp

from nexus_cli.apply.timing import Timing
from nexus_cli.database.connect import Pool, open_pool, plain_errors
from nexus_cli.database.leader import LeadLost
from nexus_cli.database.session import require_leader_table
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.calendar import moment_of
from nexus_cli.runtime.clock import Clock, SystemClock
from nexus_cli.runtime.control.alerts.alert_service import AlertService
from nexus_cli.runtime.control.audit_chain import AuditChain
from nexus_cli.runtime.control.database_watch import DatabaseWatch
from nexus_cli.runtime.control.leadership import Leadership
from nexus_cli.runtime.control.plan_facts import PlanFacts
from nexus_cli.runtime.control.recorded_plans import RecordedPlans
from nexus_cli.runtime.control.routes.api import make_api
from nexus_cli.runtime.control.sequences.record import Runs
from nexus_cli.runtime.control.service import Service
from nexus_cli.runtime.control.term import Term
from nexus_cli.runtime.control.undoing import Undoing
from nexus_cli.runtime.health import health_routes, serve_http
from nexus_cli.runtime.identity.identities import Identities
from nexus_cli.runtime.identity.refusals import REASONS
from nexus_cli.runtime.latency import Latencies
from nexus_cli.runtime.lifecycle import stop_on_signals, tasks
from nexus_cli.runtime.logging import event
from nexus_cli.runtime.metrics import Metrics
from nexus_cli.runtime.progress import show
from nexus_cli.settings import Settings
from nexus_cli.wire.control import Alert
from nexus_cli.wire.health import ControlHealth

OPERATIONS = ("api", "write")
"""What its latencies are of."""
POOL_SIZE = 8
DATABASE_RETRY_S = 1.0

_log = logging.getLogger("nexus.control")


async def run_control(settings: Settings, *, timing: Timing | None = None, clock: Clock | None = None) -> None:
    """Run control until SIGTERM or SIGINT.

    Args:
        settings: `site`, database, broker, and `control_url`, whose host and port the API listens on.
        timing: Time limits of deployments.
        clock: Instead of the system's clock.

    Raises:
        NexusError: NX6001 no site, NX6003 the port is taken, NX6201 the schema is not up to date, NX6202 the
            database refused the login. An unreachable database or broker is waited for.
    """
    if settings.site.count("/") != 1:
        raise NexusError("Control does not know its site.", code="NX6001", hint="set NEXUS_SITE to enterprise/site")
    async with stop_on_signals() as stop:
        pool = await _pool(settings, stop)
        if pool is None:
            return
        try:
            control = Control(settings, pool=pool, timing=timing or Timing(), clock=clock or SystemClock())
            await control.run(stop)
        finally:
            pool.terminate()


async def _pool(settings: Settings, stop: asyncio.Event) -> Pool | None:
    """Open a pool, waiting for the database; None when stopped meanwhile."""
    logged = False
    while not stop.is_set():
        try:
            pool = await open_pool(settings, application="nexus-control", size=POOL_SIZE)
            try:
                with plain_errors(settings):
                    await require_leader_table(pool, site=settings.site)
            except BaseException:
                pool.terminate()
                raise
            return pool
        except NexusError as error:
            if not error.retriable:
                raise
            if not logged:
                event(_log, error.message, level=logging.WARNING, cause=error.cause)
            logged = True
            await asyncio.sleep(DATABASE_RETRY_S)
    return None


class Control:
    """The API, the election, and the term while this control leads.

    Attributes:
        term: The parts that act; None in a standby.
        identity: Who calls, who logs in, what was refused.
    """

    def __init__(self, settings: Settings, *, pool: Pool, timing: Timing, clock: Clock) -> None:
        """Join the parts; nothing runs yet."""
        self._settings, self._pool, self._timing, self._clock = settings, pool, timing, clock
        self.metrics = Metrics()
        self._latencies = Latencies(OPERATIONS, clock=clock, metrics=self.metrics)
        self.term: Term | None = None
        self._stopping = False
        self._leadership = Leadership(settings=settings, clock=clock, ttl_s=timing.leader_ttl_s)
        self._database = DatabaseWatch(pool=pool, settings=settings)
        self._service = Service(pool=pool, settings=settings, lease_ttl_s=timing.lease_ttl_s)
        self._undoing = Undoing(self._service, lease_ttl_s=timing.lease_ttl_s)
        self._service.now = lambda: moment_of(clock.now_us())
        self._runs = Runs(settings=settings, pool=pool, clock=clock)
        self._plans = RecordedPlans(pool=pool, settings=settings)
        self._chain = AuditChain(pool=pool, settings=settings)
        self.identity = Identities(settings=settings, pool=pool, clock=clock)
        self.identity.accounts.changed = self._access_changed
        self._watch_metrics()

    def app(self) -> ASGIApp:
        """The HTTP API."""
        return make_api(
            service=self._service,
            runs=self._runs,
            plans=self._plans,
            facts=PlanFacts(pool=self._pool, settings=self._settings),
            undoing=self._undoing,
            chain=self._chain,
            acting=self.acting,
            alerts=self.alerts,
            identity=self.identity,
            health=list(health_routes(self)),
            latency=self._latencies["api"],
            stopping=lambda: self._stopping,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Serve, campaign and lead until stopped."""
        host, port = _listen_on(self._settings)
        async with self._serve(host, port) as bound, tasks("serving") as group:
            scheme = "https" if self._settings.http_cert else "http"
            event(_log, "control is up", site=self._settings.site, url=f"{scheme}://{host}:{bound}")
            group.create_task(self._database.run(stop), name="database")
            group.create_task(self._lead(stop), name="lead")
            group.create_task(self.identity.refusals.run(stop), name="refusals")
            await stop.wait()
            # Waiting requests end first: uvicorn waits for open requests at its shutdown.
            self._stopping = True
            self._service.stop()
            self._runs.stop()

    def _serve(self, host: str, port: int) -> AbstractAsyncContextManager[int]:
        return serve_http(self, host=host, port=port, app=self.app(), settings=self._settings)

    async def _lead(self, stop: asyncio.Event) -> None:
        """Run terms one after another; in between this control is a standby."""
        try:
            while not stop.is_set() and await self._leadership.campaign(stop):
                self.term = self.new_term()
                try:
                    await self.term.run(stop)
                finally:
                    self.term = None
        finally:
            await self._leadership.resign()

    def new_term(self) -> Term:
        """Build the parts for the term that the leadership holds."""
        return Term(
            settings=self._settings,
            pool=self._pool,
            timing=self._timing,
            clock=self._clock,
            leadership=self._leadership,
            service=self._service,
            undoing=self._undoing,
            runs=self._runs,
            status=self.status,
            latency=self._latencies["write"],
        )

    def acting(self) -> Term:
        """The current term, for requests that change something.

        Raises:
            NexusError: NX6408, this control is a standby.
        """
        if self.term is None:
            seen = self._leadership.seen
            url = "" if seen is None else seen.facts.url
            raise LeadLost(
                self._leadership.why_not(),
                hint=f"ask the control that leads, at {url}" if url else "try again in some seconds",
            )
        return self.term

    async def _access_changed(self) -> None:
        """A password or an elevation changed: the broker's rights follow."""
        if self.term is not None:
            await self.term.rights_keeper.changed()

    async def alerts(self) -> list[Alert]:
        """The state of every alert; of a standby what the database knows."""
        return await AlertService(self._service).alerts() if self.term is None else self.term.alerting.listing()

    def ready(self) -> tuple[bool, str]:
        """A leader is ready with database and broker; a standby is not ready. Else why not."""
        if self._database.problem:
            return False, self._database.problem
        problem = self._leadership.why_not() if self.term is None else self.term.problem()
        return not problem, problem

    def status(self) -> ControlHealth:
        """The document of `/status`: leadership, deployments, gateways and alerts."""
        ready, why = self.ready()
        seen = self._leadership.seen
        health = ControlHealth(
            site=self._settings.site,
            ready=ready,
            detail=why,
            leads=self.term is not None,
            term=self._leadership.term,
            instance=self._leadership.instance,
            leader="" if self.term is not None or seen is None else seen.place,
            latencies=self._latencies.health(),
        )
        return health if self.term is None else self.term.status(health)

    def _watch_metrics(self) -> None:
        watch = self.metrics

        def gauge(name: str, text: str, value: Callable[[], float]) -> None:
            watch.watch_gauges(name, text, (), lambda: {(): float(value())})

        def counter(name: str, text: str, value: Callable[[], float]) -> None:
            watch.watch_counters(name, text, (), lambda: {(): float(value())})

        def of(read: Callable[[Term], float]) -> Callable[[], float]:
            return lambda: 0 if self.term is None else read(self.term)

        refused = self.identity.refusals.counts
        watch.watch_counters(
            "nexus_control_refused",
            "Requests refused for want of a right, by reason",
            ("reason",),
            lambda: {(reason,): float(refused[reason]) for reason in REASONS},
        )
        watch.watch_counters(
            "nexus_control_refused_messages",
            "Messages of external devices without a good signature, by reason",
            ("reason",),
            lambda: {} if self.term is None else self.term.live.signed.counts(),
        )
        show(watch, lambda: {} if self.term is None else self.term.progress.stalled)
        gauge("nexus_control_leads", "1 while this control leads its site", lambda: self.term is not None)
        gauge("nexus_control_term", "Term in which this control leads", lambda: self._leadership.term)
        gauge(
            "nexus_control_deployment_running",
            "Number of the running deployment",
            of(lambda term: term.deployer.running),
        )
        watch.watch_gauges(
            "nexus_control_unconfirmed_left_seconds",
            "What is left to confirm the deployment that waits for it; no series when none waits",
            ("deployment",),
            lambda: {} if self.term is None else self.term.confirming.left(),
        )
        gauge("nexus_control_gateways_lost", "Gateways that are lost", of(lambda term: len(term.liveness.lost)))
        gauge(
            "nexus_control_alert_changes_waiting", "Changes of alerts not stored yet", of(lambda term: len(term.record))
        )
        watch.watch_gauges(
            "nexus_drift_findings",
            "Findings of the newest look for drift, by severity",
            ("severity",),
            lambda: {} if self.term is None else self.term.drift.counts(),
        )
        counter("nexus_control_alert_changes", "Changes of state of alerts", of(lambda term: term.alerting.changed))
        counter(
            "nexus_control_alert_changes_dropped",
            "Changes of alerts never stored",
            of(lambda term: term.record.dropped),
        )
        counter(
            "nexus_control_retained_cleared",
            "Retained messages of removed things cleared",
            of(lambda t: t.retained.cleared),
        )
        counter(
            "nexus_control_unreadable_messages",
            "Messages of gateways that can't be read",
            of(lambda t: t.seen.unreadable),
        )


def _listen_on(settings: Settings) -> tuple[str, int]:
    """Host and port of `control_url`; without one, the role's own HTTP address. Behind `nexus up --listen` the host is
    that of every part: the URL names how the machine itself reaches it."""
    if not settings.control_url:
        return settings.http_host, settings.http_port
    try:
        parts = urlsplit(settings.control_url)
        return settings.listen or parts.hostname or settings.http_host, parts.port or 80
    except ValueError:
        raise NexusError(
            "The control URL can't be read.", code="NX6001", hint="write NEXUS_CONTROL_URL as http://HOST:PORT"
        ) from None
