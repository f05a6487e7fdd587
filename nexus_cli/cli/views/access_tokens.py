"""Tokens, elevation and new passwords as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING

from nexus_cli.cli.views.clock import clock_text
from nexus_cli.wire.control import as_object

if TYPE_CHECKING:
    from nexus_cli.project.access_rotate import Rotated
    from nexus_cli.wire.control_access import Elevation, NewToken, TokenInfo

Style = Callable[[str, str], str]


def made_text(made: NewToken) -> str:
    """For stderr, beside the token itself on stdout."""
    return f"{made.id}: for {made.principal}, {_scopes(made.scopes)}, until {clock_text(made.expires, zone=None)}; it is not shown again"


def _scopes(scopes: Sequence[str]) -> str:
    return "all rights of its owner" if "*" in scopes else ", ".join(scopes)


def tokens_text(found: Sequence[TokenInfo], *, style: Style, zone: tzinfo | None = None) -> str:
    """A line a token."""
    if not found:
        return "no tokens"
    return "\n".join(_token(each, style=style, zone=zone) for each in found)


def _token(each: TokenInfo, *, style: Style, zone: tzinfo | None) -> str:
    end = f"until {clock_text(each.expires, zone=zone)}"
    if each.revoked is not None:
        end = style(f"revoked {clock_text(each.revoked, zone=zone)}", "warning")
    facts = [
        each.principal,
        each.kind,
        _scopes(each.scopes),
        end,
        f"by {each.made_by}" if each.made_by else "",
        each.note,
    ]
    return f"{each.id}  " + " · ".join(filter(None, facts))


def elevation_text(found: Sequence[Elevation], *, style: Style, zone: tzinfo | None = None) -> str:
    """A line a person."""
    if not found:
        return "no user is elevated"
    return "\n".join(
        f"{style(each.principal, 'warning')} has the role admin until {clock_text(each.ends, zone=zone)}, "
        f"given by {each.given_by}: {each.reason}  ({each.id})"
        for each in found
    )


def rotated_text(found: Rotated, *, zone: tzinfo | None = None) -> str:
    """A line a principal: account, and the password this once."""
    width = max((len(found.account(each)) for each in found.passwords), default=0)
    lines = [
        f"{found.account(each):<{width}}  {each.password}"
        + (f"  (the one before is valid until {clock_text(each.old_expires, zone=zone)})" if each.old_expires else "")
        for each in found.passwords
    ]
    return "\n".join([*lines, *(f"{name} has new secrets, and takes them by itself" for name in found.own)])


def rotated_document(found: Rotated) -> dict[str, object]:
    """The same as JSON."""
    passwords = [{"account": found.account(each), **as_object(each)} for each in found.passwords]
    return {"passwords": passwords, "own": list(found.own), "waiting": found.waiting}
