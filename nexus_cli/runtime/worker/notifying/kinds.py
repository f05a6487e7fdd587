"""The kinds of jobs that notify people.

`notify` decides who is notified of a change and puts one job in for each message: `deliver` sends one, `escalate` looks whether
someone answered, `digest` sends what waited in a flood. Each may run twice: keys and rows make that harmless.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from nexus_cli.database import jobs, notices
from nexus_cli.database.connect import Connection, Pool, plain_errors
from nexus_cli.database.job_queue import GiveUpError, Taken
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.worker.kinds import Kind
from nexus_cli.runtime.worker.notifying import messages, routing
from nexus_cli.runtime.worker.notifying.channels import NotSentError, send
from nexus_cli.runtime.worker.notifying.messages import Text
from nexus_cli.runtime.worker.notifying.routing import Configuration
from nexus_cli.setting_values import LIVE
from nexus_cli.settings import Settings

KNOWN_S = 1.0
"""How long what is recorded is taken for current."""
UNANSWERED = ("active", "returned")


def notification_kinds(settings: Settings, *, pool: Pool, clock: Clock) -> dict[str, Kind]:
    """The table of kinds, by name."""
    office = Notifying(settings, pool=pool, clock=clock)
    # Waits add up to some 40 minutes: mail servers are restarted.
    return {
        "notify": Kind(handle=office.notify, tries=12),
        "deliver": Kind(handle=office.deliver, tries=14, concurrency=16),
        "escalate": Kind(handle=office.escalate, tries=12),
        "digest": Kind(handle=office.digest, tries=14, limit_s=600.0),
    }


class Notifying:
    """The handlers."""

    def __init__(self, settings: Settings, *, pool: Pool, clock: Clock) -> None:
        """Ask this database."""
        self._settings, self._pool, self._clock = settings, pool, clock
        self._known: tuple[float, Configuration] | None = None

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                yield conn

    async def _configuration(self, conn: Connection) -> Configuration:
        now_s = self._clock.monotonic_s()
        if self._known is None or now_s - self._known[0] > KNOWN_S:
            self._known = now_s, Configuration.of(await notices.configuration(conn, self._settings.site))
        return self._known[1]

    async def notify(self, job: Taken) -> None:
        """An alarm became active, or its condition is over."""
        if self._settings.environment != LIVE:
            return  # a mock and a replay disturb no one
        alert = _alert_of(job)
        since_us, occurrence = int(alert["since"]), int(alert["occurrence"])
        async with self._connection() as conn:
            known = await self._configuration(conn)
            became_active = alert["state"] == "active"
            # By its own time, not by now: a worker that comes late decides as one in time would have.
            routes = routing.matching(known, alert, at_us=occurrence)
            names = routing.at_once(routes) if became_active else routing.on_return(routes)
            times = await notices.activations(conn, self._settings.site, until_us=since_us)
            flood = routing.in_flood(times, known.digest, at_us=since_us)
            async with conn.transaction():
                await self._tell(conn, known, alert, names, step="active" if became_active else "returned", flood=flood)
                if not became_active:
                    return
                for step in routing.escalations(routes):
                    left_s = (occurrence + step.after_ms * 1000 - self._clock.wall_us()) / 1e6
                    await jobs.enqueue(
                        conn,
                        self._settings.site,
                        "escalate",
                        {"alert": alert, "after_ms": step.after_ms, "to": list(step.to)},
                        priority=notices.PRIORITIES.get(str(alert.get("priority")), 10) + 5,
                        key=f"escalate {alert['name']} {occurrence} {step.after_ms}",
                        after_s=max(0.0, left_s),
                    )

    async def _tell(
        self,
        conn: Connection,
        known: Configuration,
        alert: Mapping[str, Any],
        names: tuple[str, ...],
        *,
        step: str,
        flood: bool,
    ) -> None:
        site, name, occurrence = self._settings.site, str(alert["name"]), int(alert["occurrence"])
        names = tuple(each for each in names if each in known.channels)
        if not names:
            return
        if flood or await notices.was_digested(conn, site, alert=name, occurrence=occurrence):
            about = messages.brief(alert, step)
            for channel in names:
                await notices.wait_for_digest(
                    conn, site, alert=name, occurrence=occurrence, step=step, channel=channel, about=about
                )
            await notices.plan_digest(conn, site, every_ms=known.digest.every_ms)
            return
        for channel in names:
            await jobs.enqueue(
                conn,
                site,
                "deliver",
                {"alert": dict(alert), "step": step, "channel": channel},
                priority=notices.PRIORITIES.get(str(alert.get("priority")), 10),
                key=f"deliver {name} {occurrence} {step} {channel}",
            )

    async def escalate(self, job: Taken) -> None:
        """Some time has passed: notify more people, unless someone answered."""
        alert, step = _alert_of(job), f"escalate-{int(job.payload['after_ms'])}"
        async with self._connection() as conn:
            stored = await notices.alert_now(conn, self._settings.site, str(alert["name"]))
            if not _unanswered(stored, int(alert["occurrence"])):
                return
            known = await self._configuration(conn)
            async with conn.transaction():
                to = tuple(str(each) for each in job.payload["to"])
                await self._tell(conn, known, alert, to, step=step, flood=False)

    async def deliver(self, job: Taken) -> None:
        """Send one message."""
        alert, step, channel = _alert_of(job), str(job.payload["step"]), str(job.payload["channel"])
        site, name, occurrence = self._settings.site, str(alert["name"]), int(alert["occurrence"])
        about: dict[str, Any] = {"alert": name, "occurrence": occurrence, "step": step, "channel": channel}
        async with self._connection() as conn:
            known = await self._configuration(conn)
            if channel not in known.channels:
                raise GiveUpError(f"there is no channel '{channel}' any more")
            claim = await notices.claim(conn, site, **about)
        if claim is None:
            return
        key = f"{name}.{occurrence}.{step}.{channel}"
        text = messages.one_alarm(site, alert, step=step, zone=known.zone, repeated=claim.repeated, key=key)
        try:
            await self._send(known, channel, text)
        except NotSentError as error:
            async with self._connection() as conn:
                await notices.settle(conn, site, **about, failed=str(error))
            raise
        async with self._connection() as conn:
            await notices.settle(conn, site, **about)

    async def digest(self, job: Taken) -> None:
        """Send what waited, one message to each channel."""
        site, failed = self._settings.site, []
        async with self._connection() as conn:
            known = await self._configuration(conn)
            claimed = await notices.claim_digest(conn, site, job=job.id)
        for part in claimed:
            key = f"digest.{job.id}.{part.channel}"
            text = messages.digest(site, part.about, zone=known.zone, repeated=part.repeated, key=key)
            why = ""
            try:
                if part.channel in known.channels:  # one that was removed since is notified nothing
                    await self._send(known, part.channel, text)
            except NotSentError as error:
                why = str(error)
                failed.append(why)
            async with self._connection() as conn:
                await notices.settle_digest(conn, site, job=job.id, channel=part.channel, failed=why)
        async with self._connection() as conn, conn.transaction():
            if await notices.still_waiting(conn, site):
                await notices.plan_digest(conn, site, every_ms=known.digest.every_ms)
        if failed:
            raise NotSentError("; ".join(failed))

    async def _send(self, known: Configuration, channel: str, text: Text) -> None:
        await send(channel, known.channels[channel], text)


def _alert_of(job: Taken) -> dict[str, Any]:
    alert = job.payload.get("alert")
    if not isinstance(alert, dict) or not {"name", "state", "since", "occurrence"} <= set(alert):
        raise GiveUpError("its payload names no alarm")
    return alert


def _unanswered(stored: Mapping[str, Any], occurrence: int) -> bool:
    """True while the same occurrence waits for a person and nothing holds the alarm."""
    if stored.get("state") not in UNANSWERED:
        return False
    began = int(stored.get("began") or 0)
    if began and began != occurrence:
        return False
    shelved = float(stored.get("held_until") or 0) > float(stored.get("now") or 0)
    return not (shelved or stored.get("out_of_service") or stored.get("suppressed_by"))
