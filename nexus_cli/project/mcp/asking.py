"""Who asks: over stdio the person who started the server, over HTTP the owner of the token that is shown, each under their own rights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from mcp.server.mcpserver import Context

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings
from nexus_cli.wire.web_client import WebClient, WebDoor

BEARER = "bearer "
Calling: TypeAlias = Context[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks.

    Attributes:
        settings: With this caller's token.
        web: Web under this token.
        at_home: True over stdio: who started the server reads the files of the site anyway.
    """

    settings: Settings
    web: WebClient
    at_home: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """How the command line shows things, so that a tool shows them the same way.

    Attributes:
        findings: Findings and the texts that they quote, as a document.
        findings_text: That document for people.
        plan_text: A plan for people.
    """

    findings: Callable[..., dict[str, Any]]
    findings_text: Callable[[dict[str, Any]], str]
    plan_text: Callable[[Any], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What the tools work with.

    Attributes:
        settings: Of this folder.
        door: To web.
        site_path: Site file or folder; None for the only one here.
        env, variables: Of that site.
        views: For people.
        over_http: True when callers show their own tokens.
    """

    settings: Settings
    door: WebDoor
    site_path: str | None
    env: str | None
    variables: Mapping[str, str]
    views: Views
    over_http: bool = False

    def caller(self, context: Calling, *, for_files: bool = False) -> Caller:
        """Whose request this is.

        Args:
            context: Of the request.
            for_files: Over stdio no token is needed: it is about the files alone.

        Raises:
            NexusError: NX6948, there is no token.
        """
        settings = self.settings
        if self.over_http:
            token = bearer(context.headers or {})
            settings = replace(settings, principal="", control_token=token)
        if not settings.control_token and (self.over_http or not for_files):
            raise NexusError("It is not known who asks: there is no token.", code="NX6948")
        return Caller(settings=settings, web=WebClient(self.door, settings), at_home=not self.over_http)


def bearer(headers: Mapping[str, str]) -> str:
    """The token of a request; "" without one."""
    said = headers.get("authorization", "")
    return said[len(BEARER) :].strip() if said.lower().startswith(BEARER) else ""


def clean(path: str) -> str:
    """A path as `area/line/device/tag`. Raises NexusError NX6942: it is none."""
    found = path.strip().strip("/")
    levels = found.split("/")
    if not found or any(level in ("", ".", "..") or not level.isprintable() for level in levels):
        raise NexusError(f"'{path[:200]}' is no path.", code="NX6942", hint="write area/line/device/tag")
    return found
