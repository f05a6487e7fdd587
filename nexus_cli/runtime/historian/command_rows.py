"""Reports of commands as rows of `command` and `audit`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nexus_cli.database.commands import add_command
from nexus_cli.database.raised import VALUE_ERRORS
from nexus_cli.runtime.historian.dead_letters import DeadLetters, shown
from nexus_cli.wire.command import Report
from nexus_cli.wire.sample import Value


async def record_reports(conn: Any, site: str, reports: Sequence[Report], letters: DeadLetters) -> None:
    """Store reports inside the caller's transaction; one that the database refuses becomes a dead letter."""
    for report in reports:
        response = report.response
        try:
            async with conn.transaction():
                await add_command(
                    conn,
                    site,
                    command_id=_text(response.id),
                    path=_text(response.path),
                    principal=_text(report.principal),
                    asked_by=_text(report.asked_by),
                    value=_plain(report.asked),
                    state=response.state.value,
                    detail=_facts(report),
                    at_us=response.time,
                )
        except (*VALUE_ERRORS, TypeError, ValueError, RecursionError) as error:
            letters.add(f"audit/{report.gateway}", "refused_by_database", detail=str(error), payload=shown(report))


def _facts(report: Report) -> dict[str, object]:
    response = report.response
    facts = {
        "gateway": _text(report.gateway),
        "received": report.received,
        "ended": response.time,
        "expires_at": report.expires_at,
        "written": _plain(response.value),
        "old": _plain(response.old),
        "read_back": _plain(response.read_back),
        "expect": _plain(report.expect),
        "unit": _text(response.unit),
        "code": _text(response.code),
        "detail": _text(response.detail),
        "reason": _text(report.reason),
    }
    return {name: fact for name, fact in facts.items() if fact not in (None, "", 0) or fact is False}


def _text(text: str) -> str:
    return text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")


def _plain(value: Value) -> Value:
    """A value for JSON: integers beyond 64 bits become text, which keeps all digits."""
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**64:
        return str(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {_text(key): _plain(item) for key, item in value.items()}
    return _text(value) if isinstance(value, str) else value
