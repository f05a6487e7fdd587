"""The caller of a request, as the guard found it, for the routes."""

from __future__ import annotations

from typing import Any

from fastapi import Depends, Request
from starlette.types import Scope

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.identity.auth import Caller

_KEY = "nexus.caller"


def set_caller(scope: Scope, caller: Caller) -> None:
    """Note who calls."""
    scope[_KEY] = caller


def caller_of(scope: Scope) -> Caller | None:
    """Who calls; None of an open route."""
    found = scope.get(_KEY)
    return found if isinstance(found, Caller) else None


def authorization_of(scope: Scope) -> str | None:
    """The `Authorization` header; None when there is none, or more than one."""
    shown = [value for name, value in scope["headers"] if name == b"authorization"]
    return shown[0].decode("latin-1") if len(shown) == 1 else None


def address_of(scope: Scope) -> str:
    """The client's address, as the socket has it: a proxy's own, where one is in between."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def _calling(request: Request) -> Caller:
    caller = caller_of(request.scope)
    if caller is None:  # a route that asks for a caller is never open
        raise NexusError("A token is needed.", code="NX6401")
    return caller


CALLING: Any = Depends(_calling)
"""Default of a route's parameter `caller`."""
