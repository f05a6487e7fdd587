"""The door to control's API for alarms."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from nexus_cli.wire import control_alarms as wire
from nexus_cli.wire.alert import Alert
from nexus_cli.wire.control import Question
from nexus_cli.wire.http import ControlClient


class AlarmClient(ControlClient):
    """`ControlClient` with what people do to alarms and ask of them; errors as there."""

    async def acknowledge(self, name: str, *, reason: str = "") -> Alert:
        """Acknowledge it, with a comment or none."""
        return await self._do(name, "acknowledge", wire.AcknowledgeRequest(reason=reason))

    async def shelve(self, name: str, *, for_s: int, reason: str) -> Alert:
        """Hide an alert for a while."""
        return await self._do(name, "shelve", wire.ShelveRequest(for_s=for_s, reason=reason))

    async def unshelve(self, name: str) -> Alert:
        """End it before its time."""
        return await self._do(name, "unshelve", None)

    async def take_alert_out(self, name: str, *, reason: str) -> Alert:
        """Take an alert out of service."""
        return await self._do(name, "out-of-service", wire.TakeOutRequest(reason=reason))

    async def take_alert_in(self, name: str) -> Alert:
        """Take it into service again."""
        return await self._do(name, "in-service", None)

    async def why(self, name: str) -> wire.AlertWhy:
        """Why it is as it is."""
        return await self.call("GET", f"/alerts/{quote(name, safe='')}/why", wire.AlertWhy)

    async def journal(
        self,
        *,
        since_us: int,
        names: Sequence[str] = (),
        kinds: Sequence[str] = (),
        priorities: Sequence[str] = (),
        groups: Sequence[str] = (),
        limit: int = 100,
    ) -> wire.Journal:
        """The newest lines, oldest first."""
        asked = {"since": str(since_us), "limit": str(limit)}
        lists = {"name": list(names), "kind": list(kinds), "priority": list(priorities), "group": list(groups)}
        return await self.call(
            "GET", "/alerts/journal", wire.Journal, params={**asked, **{k: v for k, v in lists.items() if v}}
        )

    async def key_figures(self, *, since_us: int, until_us: int, operators: int) -> wire.KeyFigures:
        """Key figures of a span."""
        params = {"since": str(since_us), "until": str(until_us), "operators": str(operators)}
        return await self.call("GET", "/alerts/kpi", wire.KeyFigures, params=params, timeout_s=120.0)

    async def _do(self, name: str, what: str, asked: Question | None) -> Alert:
        path = f"/alerts/{quote(name, safe='')}/{what}"
        return await self.call("POST", path, Alert, body={} if asked is None else asked)
