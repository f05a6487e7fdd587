"""The door to control's HTTP API: every failure becomes one plain sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx
import orjson

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.foreign import Door
from nexus_cli.diagnostics.system import system_words
from nexus_cli.settings import Settings

SERVER_ERROR = 500
LONGEST_WAIT_S = 25.0
"""Longest long-poll that control grants; the client waits a little longer than that for the answer."""


class ControlClient:
    """Control's API for one site. Use as `async with ControlClient(settings) as control:`, or call `close`.

    Args:
        settings: `control_url`, `control_token` and `site` (`enterprise/site`) are used.
        site: `enterprise/site` to speak about, when it is not the settings' own (the command line takes it
            from the file).
        timeout_s: Longest wait for one answer, beyond the wait that a long-poll asks for.

    Every method raises NexusError: NX6400 unreachable (retriable), NX6401 token refused, NX6404 the answer is not
    control's, or the code that control itself gave (exit code 5 for a lock or a stale plan).
    """

    def __init__(self, settings: Settings, *, site: str | None = None, timeout_s: float = 15.0) -> None:
        self._settings = settings
        self._site = settings.site if site is None else site
        self._timeout_s = timeout_s
        self._http: httpx.AsyncClient | None = None

    async def __aenter__(self) -> ControlClient:
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

    async def state(self) -> dict[str, Any]:
        """`{"deployment": n, "digest": …, "digests": {address: digest}}` of the recorded state."""
        return await self._call("GET", "/state")

    async def resources(self, addresses: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Recorded attributes by address; addresses that are not recorded are left out."""
        if not addresses:
            return {}
        answer = await self._call("POST", "/resources", body={"addresses": list(addresses)})
        found: dict[str, dict[str, Any]] = answer["resources"]
        return found

    async def deploy(self, body: Mapping[str, Any]) -> int:
        """Start a deployment and give its number. Exit code 5 when the lock is held or the plan is stale."""
        answer = await self._call("POST", "/deployments", body=body, timeout_s=120.0)
        return int(answer["number"])

    async def deployments(self) -> list[dict[str, Any]]:
        """The newest deployments first: number, who, reason, outcome, times, summary."""
        answer = await self._call("GET", "/deployments")
        found: list[dict[str, Any]] = answer["deployments"]
        return found

    async def deployment(self, number: int, *, after: int = 0, wait_s: float = 0.0) -> dict[str, Any]:
        """State of one deployment.

        Args:
            number: As given by `deploy`.
            after: Only journal entries with a larger id.
            wait_s: Wait this long for something new, at most 25 s.

        Returns:
            `{"number", "state", "outcome", "journal": [{id, step, subject, state, detail, at}], "table": […]}`.
        """
        wait_s = min(wait_s, LONGEST_WAIT_S)
        return await self._call(
            "GET",
            f"/deployments/{number}",
            params={"after": str(after), "wait": f"{wait_s:g}"},
            timeout_s=self._timeout_s + wait_s,
        )

    async def gateway_index(self, gateway: str) -> dict[str, Any]:
        """`{"deployment": n, "digest": D, "devices": {path: digest}}` of what a gateway has to run."""
        return await self._call("GET", f"/gateways/{_level(gateway)}/index")

    async def gateway_devices(self, gateway: str, paths: Sequence[str]) -> dict[str, Any]:
        """`DeviceConfig` JSON by device path; only devices of that gateway."""
        if not paths:
            return {}
        answer = await self._call("POST", f"/gateways/{_level(gateway)}/devices", body={"paths": list(paths)})
        found: dict[str, Any] = answer["devices"]
        return found

    async def lock(self) -> dict[str, Any] | None:
        """Who holds the site's lock: owner, reason, acquired, heartbeat, expires; None when it is free."""
        answer = await self._call("GET", "/lock")
        held: dict[str, Any] | None = answer["lock"]
        return held

    async def break_lock(self) -> bool:
        """Take the lock away from its owner; False when it was free."""
        answer = await self._call("DELETE", "/lock")
        return bool(answer["broken"])

    async def alerts(self) -> list[dict[str, Any]]:
        """Every alert that has been active: name, state, since, value, severity, acknowledged_by."""
        answer = await self._call("GET", "/alerts")
        found: list[dict[str, Any]] = answer["alerts"]
        return found

    async def alert_changes(self, name: str, *, limit: int = 50) -> list[dict[str, Any]]:
        """The newest changes of state of an alert, oldest first: at (µs), state, value, severity, tag, acknowledged_by."""
        answer = await self._call("GET", f"/alerts/{_level(name)}/changes", params={"limit": str(limit)})
        found: list[dict[str, Any]] = answer["changes"]
        return found

    async def acknowledge(self, name: str) -> dict[str, Any]:
        """Acknowledge an active alert."""
        return await self._call("POST", f"/alerts/{_level(name)}/acknowledge", body={})

    async def audit(
        self, *, path: str = "", who: str = "", kind: str = "", since_us: int = 0, limit: int = 50
    ) -> dict[str, Any]:
        """`{"entries": [oldest first], "truncated": bool}` of the audit trail."""
        params = {"path": path, "who": who, "kind": kind, "since": str(since_us), "limit": str(limit)}
        return await self._call("GET", "/audit", params=params)

    async def sequences(self) -> dict[str, Any]:
        """`{"sequences": [declared ones], "runs": [newest first]}`."""
        return await self._call("GET", "/sequences")

    async def sequence(self, name: str) -> dict[str, Any]:
        """A sequence with what it uses: `sequence`, `tags`, `gateways`, `messages`, `agreed`."""
        return await self._call("GET", f"/sequences/{_level(name)}")

    async def message(self, name: str) -> dict[str, Any]:
        """A declared message."""
        found: dict[str, Any] = (await self._call("GET", f"/messages/{_level(name)}"))["message"]
        return found

    async def publish(self, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Publish a message with these fields; gives topic and payload."""
        return await self._call("POST", f"/messages/{_level(name)}", body={"set": dict(values)})

    async def start_sequence(
        self, name: str, *, run: str, reason: str = "", values: Mapping[str, Any] | None = None, agreed: str = ""
    ) -> dict[str, Any]:
        """Begin a run under an id of the caller's choice; the same id gives the same run. Exit code 5 when busy.

        `agreed` is what was shown to whom begins it (`plan.running.agreement`), "" nothing.
        """
        body = {"run": run, "reason": reason, **({"set": dict(values)} if values else {})}
        body |= {"agreed": agreed} if agreed else {}
        return await self._call("POST", f"/sequences/{_level(name)}/runs", body=body)

    async def sequence_run(self, run: str, *, after: int = 0, wait_s: float = 0.0) -> dict[str, Any]:
        """A run and its journal beyond line `after`; waits at most 25 s for news."""
        wait_s = min(wait_s, LONGEST_WAIT_S)
        params = {"after": str(after), "wait": f"{wait_s:g}"}
        return await self._call("GET", f"/runs/{_level(run)}", params=params, timeout_s=self._timeout_s + wait_s)

    async def abort_sequence(self, run: str) -> dict[str, Any]:
        """End a run before its next step; its abort branch follows."""
        return await self._call("POST", f"/runs/{_level(run)}/abort", body={})

    async def _call(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        params: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> dict[str, Any]:
        url = self._settings.control_url
        if not url:
            raise NexusError(
                "No runtime is configured here.",
                code="NX6400",
                hint="`nexus up SITE` starts one on this machine; NEXUS_CONTROL_URL names one elsewhere",
            )
        if self._http is None:
            self._http = httpx.AsyncClient(timeout=self._timeout_s)
        content = None if body is None else orjson.dumps(body)
        try:
            with Door(lambda error: _unreachable(url, error)):
                answer = await self._http.request(
                    method,
                    f"{url.rstrip('/')}/v1/sites/{self._site}{path}",
                    content=content,
                    params=params,
                    headers={
                        "authorization": f"Bearer {self._settings.control_token}",
                        "content-type": "application/json",
                    },
                    timeout=self._timeout_s if timeout_s is None else timeout_s,
                )
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
            raise _unreachable(url, error) from None
        except ValueError as error:  # UnicodeError: a token or a host that HTTP has no letters for
            raise NexusError(
                "Control can't be asked with these settings.",
                code="NX6400",
                cause=type(error).__name__,
                hint="NEXUS_CONTROL_URL and NEXUS_CONTROL_TOKEN hold plain letters, digits and signs",
            ) from None
        return _read(answer, url)


def _unreachable(url: str, error: BaseException) -> NexusError:
    slow = isinstance(error, httpx.TimeoutException)
    return NexusError(
        f"Control at {url} {'did not answer in time' if slow else 'does not answer'}.",
        code="NX6400",
        cause=system_words(error)
        if isinstance(error, httpx.ConnectError)
        else f"{type(error).__name__}: {error}".rstrip(": "),
        hint="is the runtime up? `nexus status` shows it, `nexus up SITE` starts it",
        retriable=True,
    )


def _read(answer: httpx.Response, url: str) -> dict[str, Any]:
    try:
        data = orjson.loads(answer.content) if answer.content else {}
    except ValueError:
        data = None
    if answer.is_success and isinstance(data, dict):
        return data
    if isinstance(data, dict) and {"code", "message"} <= data.keys():
        raise _refused(answer.status_code, data)
    if answer.status_code >= SERVER_ERROR:
        raise NexusError(
            f"Control at {url} can't answer just now.",
            code="NX6400",
            cause=f"HTTP {answer.status_code}, {answer.headers.get('content-type', 'no content type')}",
            hint="it may be starting or stopping; `nexus status` shows it. A proxy in between answers like this, too",
            retriable=True,
        )
    raise NexusError(
        f"The server at {url} is not a NEXUS control API.",
        code="NX6404",
        cause=f"HTTP {answer.status_code}, {answer.headers.get('content-type', 'no content type')}",
    )


def _level(text: str) -> str:
    """What a person typed, as one level of a path."""
    return quote(text, safe="")


def _refused(status: int, data: Mapping[str, Any]) -> NexusError:
    return NexusError(
        str(data["message"]),
        code=str(data["code"]),
        hint=str(data.get("hint") or ""),
        cause=str(data.get("cause") or ""),
        retriable=status >= SERVER_ERROR,
    )
