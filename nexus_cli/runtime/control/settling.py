"""What a term does when it begins, after each connect to the broker, and when a deployment recorded a new state or ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection

from nexus_cli.database.connect import plain_errors
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.control.alerts.alerting import Alerting
from nexus_cli.runtime.control.alerts.record import AlertRecord
from nexus_cli.runtime.control.loading import Loading
from nexus_cli.runtime.control.notices import Notices
from nexus_cli.runtime.control.retained import Retained
from nexus_cli.runtime.control.waiting import first_of
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.runtime.logging import event
from nexus_cli.settings import Settings

RETRY_S = 1.0

_log = logging.getLogger("nexus.control")


class Settling:
    """Loads the recorded state, and publishes what a broker may have lost; what fails is tried again.

    Attributes:
        loaded: Whether the recorded state was read.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        loading: Loading,
        alerting: Alerting,
        record: AlertRecord,
        notices: Notices,
        retained: Retained,
    ) -> None:
        """Join the parts."""
        self._settings, self._loading, self._alerting = settings, loading, alerting
        self._record, self._notices, self._retained = record, notices, retained
        self.loaded = False
        self._due = asyncio.Event()
        self._connected = self._load_again = False

    def connected(self) -> None:
        """The broker is there. Only sets flags: the work after a connect needs the database, which may be unreachable."""
        self._connected = True
        self._due.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Do what is due until stopped."""
        self._due.set()
        while not stop.is_set():
            await first_of(stop, self._due)
            if stop.is_set():
                return
            self._due.clear()
            connected, self._connected = self._connected, False
            try:
                with plain_errors(self._settings):
                    await self._settle(connected=connected)
            except NexusError as error:
                event(_log, error.message, level=logging.DEBUG, cause=error.cause)
                self._connected = self._connected or connected
                self._due.set()
                await wait_for(stop, timeout_s=RETRY_S)

    async def _settle(self, *, connected: bool) -> None:
        if not self.loaded:
            self._alerting.recover(self._record.recover())
            await self._loading.load()
            self._alerting.publish_all()
            self.loaded = True
        elif self._load_again:
            await self._loading.load()
        self._load_again = False
        if connected:
            await self._notices.all()
            self._retained.connected()

    async def recorded(self, changing: Collection[str]) -> None:
        """A deployment recorded a new state: load it; gateways are about to change these devices."""
        try:
            with plain_errors(self._settings):
                await self._loading.load(changing=changing)
        except NexusError as error:  # the deployment continues; the load is retried
            event(_log, error.message, level=logging.WARNING, cause=error.cause)
            self._load_again = True
            self._due.set()
