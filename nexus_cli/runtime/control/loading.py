"""Loads alerts and sequences from the recorded state, and subscribes the topics that they read."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Sequence

from nexus_cli.database import alert_journal, alert_states
from nexus_cli.database import deployments as db
from nexus_cli.database.connect import Connection, Pool, plain_errors
from nexus_cli.database.queries import load_signature_rules
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.config import TagConfig, readable_device
from nexus_cli.model.resources import paths_of
from nexus_cli.model.snapshot import Attributes
from nexus_cli.runtime.command_sender import CommandSender
from nexus_cli.runtime.control.alerts.alerting import Alerting
from nexus_cli.runtime.control.drift_alarm import drift_alarms
from nexus_cli.runtime.control.drift_watch import schedule
from nexus_cli.runtime.control.sequences.live_values import LiveValues
from nexus_cli.runtime.control.sequences.sequencing import Sequencing
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.runtime.signed_values import SignedValues
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.signature import MESSAGE
from nexus_cli.wire.topic import Topics

SILENT_TAG_S = 3.0
"""Time after which the value of a watched tag without a retained message is read from the database, in seconds."""
MOST_ASKED = 100
"""Tags per query to the database."""


class Loading:
    """Loads the recorded state, and keeps the subscriptions in line with it.

    Attributes:
        subscriptions: `(filter, qos)` of all subscriptions; the client renews them after each connect.
        loaded: True after the first load.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        pool: Pool,
        broker: BrokerClient,
        alerting: Alerting,
        sequencing: Sequencing,
        values: LiveValues,
        signed: SignedValues,
        sender: CommandSender,
        fixed: Sequence[str],
    ) -> None:
        """Join the parts; `fixed` are filters that are always subscribed."""
        self._settings, self._pool, self._broker = settings, pool, broker
        self._alerting, self._sequencing, self._values, self._sender = alerting, sequencing, values, sender
        self._signed = signed
        enterprise, _, name = settings.site.partition("/")
        self._topics = Topics(enterprise, name)
        self.subscriptions: list[tuple[str, int]] = [(filter_, 1) for filter_ in fixed]
        self._fixed = len(self.subscriptions)
        self.loaded = False

    async def load(self, *, changing: Collection[str] = ()) -> None:
        """Load alerts and sequences, subscribe the tags that they read, and evaluate each alert at once.

        Args:
            changing: Devices that gateways are about to change; see `Alerting.load`.
        """
        site = self._settings.site
        async with self._pool.acquire() as conn:
            configs = {**drift_alarms(await schedule(conn, site)), **await db.attributes_of_kind(conn, site, "alert")}
            stored = await alert_states.load(conn, site)
            watched = await self._watched(conn, configs.values())
            flood = [] if self.loaded else await alert_journal.flood_lines(conn, site)
            sequences = await db.attributes_of_kind(conn, site, "sequence")
            recorded = await db.recorded(conn, site)
            signatures = await load_signature_rules(conn, site=site)
            await self._sequencing.compare(conn)
        gateways = recorded.gateways.items()
        self._sender.gateways = {address.removeprefix("device."): gateway for address, gateway in gateways}
        self._values.gateways = {path: gateway for path, gateway in self._sender.gateways.items() if gateway}
        self._signed.configured(signatures)
        self._sender.sign_messages = MESSAGE in signatures.require
        if not self.loaded:
            self._alerting.recover_flood(flood)
        gone = self._alerting.load(
            configs,
            stored,
            held=changing,
            tags=watched,
            gateways=self._values.gateways,
            units={
                path: tag.publish_unit or tag.unit
                for path, tag in watched.items()
                if path.rpartition("/")[0] in self._values.gateways  # what others publish may name its unit as it likes
            },
        )
        self._sequencing.load(sequences)
        self.loaded = True
        fresh = self._want()
        if gone:
            async with self._pool.acquire() as conn:
                await alert_states.delete(conn, site, gone)
            await self._alerting.clear(gone)
        if fresh and self._broker.connected:
            with contextlib.suppress(NexusError):  # not connected: the next connect subscribes all of them
                await self._broker.subscribe(fresh)

    async def _watched(self, conn: Connection, alerts: Collection[Attributes]) -> dict[str, TagConfig]:
        """The tags that alerts watch, by path."""
        paths = {path for one in alerts for path in paths_of(one)}
        devices = {path.rpartition("/")[0] for path in paths}
        found = await db.attributes(conn, self._settings.site, [f"device.{path}" for path in sorted(devices)])
        tags: dict[str, TagConfig] = {}
        for address, attributes in found.items():
            device = readable_device(attributes, address=address)
            if device is not None:
                path = address.removeprefix("device.")
                tags |= {f"{path}/{name}": tag for name, tag in device.tags.items() if f"{path}/{name}" in paths}
        return tags

    async def run(self, stop: asyncio.Event) -> None:
        """Read the newest stored sample of watched tags without a retained message, as external devices may publish
        them."""
        asked: set[str] = set()
        while not await wait_for(stop, timeout_s=SILENT_TAG_S):
            silent = set(self._alerting.unreceived())
            asked &= silent
            fresh = sorted(silent - asked)[:MOST_ASKED]
            if not fresh or not self.loaded or not self._broker.connected:
                continue
            await wait_for(stop, timeout_s=SILENT_TAG_S)  # their subscription may not be acknowledged yet
            with contextlib.suppress(NexusError), plain_errors(self._settings):
                async with self._pool.acquire() as conn:
                    found = await alert_states.last_values(conn, self._settings.site, fresh)
                asked.update(fresh)
                for path, facts in found.items():
                    self._alerting.load_stored(path, facts)

    def _want(self) -> list[tuple[str, int]]:
        """Update the subscriptions; returns those to make now.

        A subscribed topic without a message so far is subscribed again, since only that makes the broker send its
        retained message (MQTT 3.1.1 §3.8.4).
        """
        wanted = [(topic, 1) for topic in sorted({*self._alerting.topics(), *self._values.filters()})]
        silent = {self._topics.tag(path) for path in self._alerting.unreceived()}
        before = set(self.subscriptions)
        self.subscriptions[self._fixed :] = wanted
        return [each for each in wanted if each not in before or each[0] in silent]
