"""Messages that could not be stored, as text. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import tzinfo

from nexus_cli.cli.views.clock import clock_text
from nexus_cli.database.records import StoredLetter
from nexus_cli.diagnostics.printable import one_line
from nexus_cli.wire.jobs import LettersChanged

Style = Callable[[str, str], str]
LONGEST_PAYLOAD = 120
"""Characters of a payload that are shown."""


def letters_text(found: Sequence[StoredLetter], *, style: Style, zone: tzinfo | None = None) -> str:
    """When, why and on which topic; what is wrong and the payload's beginning below it."""
    if not found:
        return "no message was refused"
    lines = []
    for one in found:
        alike = f"  {one.count:,} alike" if one.count > 1 else ""
        at = clock_text(one.time_us, zone=zone)
        tried = f"  retried {one.tries}×" if one.tries else ""
        waits = "  waits for the historian" if one.waiting else ""
        reason = style(one_line(one.reason), "warning")
        lines.append(f"{at}  #{one.id}  {reason}  {one_line(one.topic)}{alike}{tried}{waits}")
        detail, payload = one_line(one.detail), one_line(one.payload)
        if len(payload) > LONGEST_PAYLOAD:
            payload = f"{payload[:LONGEST_PAYLOAD]}…"
        lines += [style(f"    {text}", "dim") for text in (detail, payload) if text]
    return "\n".join(lines)


def retried_text(done: LettersChanged) -> str:
    """How many were stored, and why the others stay."""
    lines = [f"{len(done.ids)} dead letters were stored"]
    if done.kept:
        lines.append(f"{len(done.kept)} stay:")
        lines += [f"    #{number}  {one_line(why)}" for number, why in done.kept.items()]
    if done.waiting:
        lines.append(f"{len(done.waiting)} wait for the historian")
    return "\n".join(lines)
