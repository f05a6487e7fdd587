"""The door to control's HTTP API: every failure becomes one plain sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Never, Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec
import orjson

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.foreign import Door
from nexus_cli.json_value import JsonObject, JsonValue
from nexus_cli.settings import Settings
from nexus_cli.wire import control, control_audit, control_chain, control_rollouts, control_sequences, control_undo
from nexus_cli.wire.http_answers import SENT, acceptance_unknown, read, unreachable
from nexus_cli.wire.http_tls import client_context
from nexus_cli.wire.relayed import relayed
from nexus_cli.wire.renewed import with_kept_secrets
from nexus_cli.wire.sample import Scalar, Value

Answer = TypeVar("Answer", bound=msgspec.Struct)
UNAUTHORIZED = 401
LONGEST_WAIT_S = 25.0
"""Longest long-poll that control grants; the client waits a little longer than that for the answer."""


class ControlClient:
    """Control's API for one site. Use as `async with ControlClient(settings) as control:`, or call `close`.

    Args:
        settings: `control_url`, `control_token` and `site` (`enterprise/site`) are used.
        site: `enterprise/site` of the requests, when it is not the settings' own (the command line takes it
            from the file).
        timeout_s: Longest wait for one answer, beyond the wait that a long-poll asks for.
        relays: Of web: address of the client whose request this is; the token of the settings vouches for it.

    Every method raises NexusError: NX6400 unreachable (retriable), NX6401 token refused, NX6404 the answer is not
    control's or of another version, or the code that control itself gave (exit code 5 for a lock or a stale plan).
    """

    def __init__(
        self, settings: Settings, *, site: str | None = None, timeout_s: float = 15.0, relays: str = ""
    ) -> None:
        self._settings, self._relays = settings, relays
        self._site = settings.site if site is None else site
        self._timeout_s = timeout_s
        self._http: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def state(self) -> control.State:
        """Digests of the recorded state, and the sequences on their way."""
        return await self.call("GET", "/state", control.State)

    async def resources(self, addresses: Sequence[str]) -> dict[str, JsonObject]:
        """Recorded attributes by address; addresses that are not recorded are left out."""
        return (await self.recorded(addresses)).resources if addresses else {}

    async def recorded(self, addresses: Sequence[str]) -> control.Resources:
        """The same, with the present address of what was renamed since."""
        asked = control.Addresses(addresses=list(addresses))
        return await self.call("POST", "/resources", control.Resources, body=asked)

    async def deploy(self, request: control.DeploymentRequest) -> int:
        """Start a deployment and give its number. Exit code 5 when the lock is held or the plan is stale."""
        return (await self.accept(request)).number

    async def accept(self, request: control.DeploymentRequest) -> control.Accepted:
        """Start a deployment, or a rollout where it has waves or waits for a window. As `deploy` otherwise.

        Raises:
            NexusError: NX4015, the answer was lost: it may have been accepted.
        """
        return await self.call(
            "POST", "/deployments", control.Accepted, body=request, timeout_s=120.0, lost=acceptance_unknown
        )

    async def rollouts(self, *, limit: int = 50) -> list[control_rollouts.Rollout]:
        """The newest rollouts first."""
        found = await self.call("GET", "/rollouts", control_rollouts.Rollouts, params={"limit": str(limit)})
        return found.rollouts

    async def rollout(self, number: int = 0, *, state: str = "", wait_s: float = 0.0) -> control_rollouts.Rollout:
        """One rollout, or the newest; with the state that is known (`soaking/2`) it waits for another one, at most 25 s."""
        wait_s = min(wait_s, LONGEST_WAIT_S)
        return await self.call(
            "GET",
            f"/rollouts/{number}",
            control_rollouts.Rollout,
            params={"state": state, "wait": f"{wait_s:g}"},
            timeout_s=self._timeout_s + wait_s,
        )

    async def change_rollout(self, number: int, verb: str, *, reason: str = "") -> control_rollouts.Rollout:
        """Stop, resume or roll back a rollout; 0 is the newest. `verb` is the last level of the route."""
        note = control_rollouts.RolloutNote(reason=reason)
        return await self.call("POST", f"/rollouts/{number}/{verb}", control_rollouts.Rollout, body=note)

    async def deployments(
        self, *, who: str = "", outcome: str = "", since_us: int = 0, before: int = 0, limit: int = 50
    ) -> list[control.Deployment]:
        """The newest deployments first; arguments as of `database.deployments.deployments`."""
        wanted = {"who": who, "outcome": outcome, "since": since_us, "before": before, "limit": limit}
        params = {name: str(value) for name, value in wanted.items() if value}
        return (await self.call("GET", "/deployments", control.Deployments, params=params)).deployments

    async def rollback_plan(self, number: int, *, to: bool = False) -> control_undo.RollbackPlan:
        """What takes deployments back from the newest to this one (0 is the newest alone), or all after it."""
        params = {"to": "true"} if to else {}
        path = f"/deployments/{number}/rollback"
        return await self.call("GET", path, control_undo.RollbackPlan, params=params, timeout_s=120.0)

    async def state_after(self, number: int) -> control_undo.FormerState:
        """The whole state after a deployment."""
        return await self.call("GET", f"/deployments/{number}/state", control_undo.FormerState, timeout_s=120.0)

    async def confirm(self, number: int = 0) -> int:
        """Keep a deployment that waits to be confirmed; gives its number."""
        return (await self.call("POST", f"/deployments/{number}/confirm", control_undo.Confirmed, body={})).number

    async def roll_back(self, number: int, *, reason: str = "") -> int:
        """Take back a deployment that waits to be confirmed; gives the number of the rollback."""
        asked = control_undo.UndoRequest(reason=reason)
        return (await self.call("POST", f"/deployments/{number}/rollback", control.Accepted, body=asked)).number

    async def resume(self, number: int = 0, *, reason: str = "") -> int:
        """Let a deployment continue that did not come to its end; gives its number."""
        asked = control_undo.UndoRequest(reason=reason)
        return (await self.call("POST", f"/deployments/{number}/resume", control.Accepted, body=asked)).number

    async def deployment(self, number: int, *, after: int = 0, wait_s: float = 0.0) -> control.DeploymentProgress:
        """State of one deployment.

        Args:
            number: As given by `deploy`.
            after: Only journal entries with a larger id.
            wait_s: Wait this long for something new, at most 25 s.
        """
        wait_s = min(wait_s, LONGEST_WAIT_S)
        return await self.call(
            "GET",
            f"/deployments/{number}",
            control.DeploymentProgress,
            params={"after": str(after), "wait": f"{wait_s:g}"},
            timeout_s=self._timeout_s + wait_s,
        )

    async def gateway_index(self, gateway: str) -> control.GatewayIndex:
        """Digests of what a gateway has to run. Raises NX6013 where others raise NX6404 for another version's answer."""
        path = f"/gateways/{level(gateway)}/index"
        return await self.call("GET", path, control.GatewayIndex, unreadable="NX6013")

    async def gateway_devices(self, gateway: str, paths: Sequence[str]) -> dict[str, JsonValue]:
        """`DeviceConfig` JSON by device path; only devices of that gateway."""
        if not paths:
            return {}
        asked = control.DevicePaths(paths=list(paths))
        answer = await self.call("POST", f"/gateways/{level(gateway)}/devices", control.Devices, body=asked)
        return answer.devices

    async def lock(self) -> control.Lock | None:
        """The holder of the site's lock; None when it is free."""
        return (await self.call("GET", "/lock", control.LockHeld)).lock

    async def break_lock(self, reason: str, *, acquired: int = 0) -> control.LockBroken:
        """Take the lock away from its owner; gives who that was.

        With `acquired` (of `lock`) only this one: until the request arrives, another deployment may hold the lock.
        """
        params = {"reason": reason, "acquired": str(acquired)}
        return await self.call("DELETE", "/lock", control.LockBroken, params=params)

    async def alerts(self) -> list[control.Alert]:
        """Every declared alert that we may see, by name."""
        return (await self.call("GET", "/alerts", control.Alerts)).alerts

    async def alert_changes(self, name: str, *, limit: int = 50) -> list[control.AlertChange]:
        """The newest changes of state of an alert, oldest first."""
        path, params = f"/alerts/{level(name)}/changes", {"limit": str(limit)}
        return (await self.call("GET", path, control.AlertChanges, params=params)).changes

    async def acknowledge(self, name: str) -> control.Alert:
        """Acknowledge an active alert."""
        return await self.call("POST", f"/alerts/{level(name)}/acknowledge", control.Alert, body={})

    async def audit(
        self,
        *,
        path: str = "",
        who: str = "",
        kind: str = "",
        what: str = "",
        since_us: int = 0,
        until_us: int | None = None,
        limit: int = 50,
        before: str = "",
    ) -> control_audit.AuditTrail:
        """The newest lines of the audit trail, oldest first; arguments as in `database.audit.trail`, `before` as `AuditTrail.older`."""
        params = {"path": path, "who": who, "kind": kind, "since": str(since_us), "limit": str(limit)}
        params |= {"what": what} if what else {}
        params |= {"before": before} if before else {}
        params |= {} if until_us is None else {"until": str(until_us)}
        return await self.call("GET", "/audit", control_audit.AuditTrail, params=params)

    async def check_chain(self, asked: control_chain.ChainQuestion) -> control_chain.ChainPage:
        """Check one page of the audit trail's digest chain."""
        return await self.call("POST", "/audit/verify", control_chain.ChainPage, body=asked)

    async def sequences(self) -> control_sequences.Sequences:
        """The declared sequences, and the newest runs first."""
        return await self.call("GET", "/sequences", control_sequences.Sequences)

    async def sequence(self, name: str) -> control_sequences.SequenceBrief:
        """A sequence with what it uses."""
        return await self.call("GET", f"/sequences/{level(name)}", control_sequences.SequenceBrief)

    async def message(self, name: str) -> JsonObject:
        """The recorded attributes of a message."""
        return (await self.call("GET", f"/messages/{level(name)}", control_sequences.DeclaredMessage)).message

    async def publish(self, name: str, values: Mapping[str, Value]) -> control_sequences.Published:
        """Publish a message with these fields; gives topic and payload."""
        asked = control_sequences.PublishRequest(set=dict(values))
        return await self.call("POST", f"/messages/{level(name)}", control_sequences.Published, body=asked)

    async def start_sequence(
        self, name: str, *, run: str, reason: str = "", values: Mapping[str, Scalar] | None = None, agreed: str = ""
    ) -> control_sequences.SequenceRun:
        """Begin a run under an id of the caller's choice; the same id gives the same run. Exit code 5 when busy.

        `agreed` is what was shown to whom begins it (`plan.running.agreement`), "" nothing.
        """
        asked = control_sequences.RunRequest(
            run=run,
            reason=reason,
            set=dict(values) if values else msgspec.UNSET,
            agreed=agreed or msgspec.UNSET,
        )
        return await self.call("POST", f"/sequences/{level(name)}/runs", control_sequences.SequenceRun, body=asked)

    async def sequence_run(self, run: str, *, after: int = 0, wait_s: float = 0.0) -> control_sequences.RunProgress:
        """A run and its journal beyond line `after`; waits at most 25 s for news."""
        wait_s = min(wait_s, LONGEST_WAIT_S)
        return await self.call(
            "GET",
            f"/runs/{level(run)}",
            control_sequences.RunProgress,
            params={"after": str(after), "wait": f"{wait_s:g}"},
            timeout_s=self._timeout_s + wait_s,
        )

    async def abort_sequence(self, run: str) -> control_sequences.RunAborted:
        """End a run before its next step; its abort branch follows."""
        return await self.call("POST", f"/runs/{level(run)}/abort", control_sequences.RunAborted, body={})

    async def call(
        self,
        method: str,
        path: str,
        shape: type[Answer],
        *,
        body: control.Question | Mapping[str, Never] | None = None,
        params: Mapping[str, str | Sequence[str]] | None = None,
        timeout_s: float | None = None,
        unreadable: str = "NX6404",
        lost: Callable[[NexusError], NexusError] = lambda error: error,
    ) -> Answer:
        """One request below the site. Raises NexusError as every method; `lost` gets that of a request which may have arrived."""
        url = self._settings.control_url
        if not url:
            raise NexusError(
                "No runtime is configured here.",
                code="NX6400",
                hint="`nexus up SITE` starts one on this machine; NEXUS_CONTROL_URL names one elsewhere",
            )
        if self._http is None:
            context = client_context(url, self._settings.http_ca)
            self._http = httpx.AsyncClient(timeout=self._timeout_s, verify=True if context is None else context)
        content = None if body is None else orjson.dumps(body, default=control.as_object)
        http = self._http

        async def ask() -> httpx.Response:
            return await http.request(
                method,
                f"{url.rstrip('/')}/v1/sites/{self._site}{path}",
                content=content,
                params=params,
                headers=self._headers(),
                timeout=self._timeout_s if timeout_s is None else timeout_s,
            )

        try:
            with Door(lambda error: unreachable(url, error)):
                answer = await ask()
                if answer.status_code == UNAUTHORIZED and (renewed := with_kept_secrets(self._settings)) is not None:
                    self._settings = renewed
                    answer = await ask()
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
            found = unreachable(url, error)
            raise (lost(found) if isinstance(error, SENT) else found) from None
        except ValueError as error:  # UnicodeError: a token or a host that HTTP has no letters for
            raise NexusError(
                "Control can't be asked with these settings.",
                code="NX6400",
                cause=type(error).__name__,
                hint="NEXUS_CONTROL_URL and NEXUS_CONTROL_TOKEN hold plain letters, digits and signs",
            ) from None
        return read(answer, url, shape, unreadable=unreadable)

    def _headers(self) -> dict[str, str]:
        """Without a token none is shown: a login has none yet."""
        token = self._settings.control_token
        shown = {"authorization": f"Bearer {token}"} if token else {}
        return {"content-type": "application/json", **shown, **relayed(self._relays, token=token)}


def level(text: str) -> str:
    """A user's input as one level of a path."""
    return quote(text, safe="")
