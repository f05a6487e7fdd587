"""The audit trail as text: a line each, and the reason below it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo

import msgspec

from nexus_cli.cli.views.clock import clock_text
from nexus_cli.cli.views.sequence import known, set_text
from nexus_cli.cli.views.tail import value_text
from nexus_cli.diagnostics.printable import plain
from nexus_cli.wire.control_audit import AuditEntry, AuditTrail

Style = Callable[[str, str], str]
GOOD = (
    *(
        "done",
        "applied",
        "acknowledge",
        "publish",
        "out-of-service",
        "in-service",
        "clear-retained",
        "shelve",
        "unshelve",
    ),
    *("alert-out-of-service", "alert-in-service", "confirm"),
)
ALERT_WORDS = {
    "acknowledge": "acknowledged the alert {1}",
    "shelve": "shelved the alert {1}",
    "unshelve": "ended the shelf of the alert {1}",
    "alert-out-of-service": "took the alert {1} out of service",
    "alert-in-service": "took the alert {1} into service again",
}
NOBODY = "(unknown)"
"""Who was refused without a user that has a password here."""
DOUBTFUL = ("unknown", "partly", "interrupted", "aborted", "aborting")


def trail_text(found: AuditTrail, *, since: str, style: Style, zone: tzinfo | None = None) -> str:
    """Every entry, newest last.

    Args:
        found: As control gave it.
        since: As it was asked, for the sentence when there is nothing.
        style: Colours.
        zone: Of the times; None is this machine's.
    """
    found = plain(found)
    if not found.entries:
        return f"nothing on record since {since}"
    lines = [entry_text(entry, style=style, zone=zone) for entry in found.entries]
    if found.truncated:
        lines.insert(0, style("older ones are left out: raise --limit or narrow --since", "dim"))
    return "\n".join(lines)


def entry_text(entry: AuditEntry, *, style: Style, zone: tzinfo | None = None) -> str:
    """When, how it ended, who, what: old → new → read back; below it why, and the id."""
    at = clock_text(entry.at, zone=zone)
    state = entry.state or entry.outcome or entry.what
    colour = "good" if state in GOOD else "warning" if state in DOUBTFUL else "error"
    lines = [f"{at}  {style(f'{state:<12}', colour)} {entry.who or NOBODY}  {_what(entry, zone=zone)}".rstrip()]
    code = f"[{entry.code}] " if entry.code else ""
    if code or entry.detail:
        lines.append(f"    {code}{entry.detail or ''}".rstrip())
    if entry.abort_branch:
        lines.append(f"    abort branch: {entry.abort_branch}")
    facts = [f"via {entry.via}"] if entry.via else []
    if entry.reason:
        facts.append(f"reason: {entry.reason}")
    if entry.id or entry.run:
        facts.append(f"id {entry.id or entry.run}")
    if facts:
        lines.append(style(f"    {'; '.join(facts)}", "dim"))
    return "\n".join(lines)


def _what(entry: AuditEntry, *, zone: tzinfo | None) -> str:
    if entry.kind == "command":
        asked, written = known(entry.value), known(entry.written)
        new = asked if written is None else written
        chain = " → ".join(value_text(one) for one in (known(entry.old), new) if one is not None)
        unit = f" {entry.unit}" if entry.unit else ""
        back = f", read back {value_text(read_back)}" if (read_back := known(entry.read_back)) is not None else ""
        return f"{entry.subject or 'a command that could not be read'}  {chain}{unit if chain else ''}{back}"
    if entry.kind == "sequence":
        return f"sequence {entry.subject}" + set_text(entry.set or {})
    if entry.kind == "alert":
        until = known(entry.until)
        end = f" until {clock_text(until, zone=zone)}" if isinstance(until, int) else ""
        return ALERT_WORDS.get(entry.what, "{} the alert {}").format(entry.what, entry.subject) + end
    if entry.kind == "message":
        return f"published {entry.subject}" + (f" on {entry.topic}" if entry.topic else "")
    if entry.what == "out-of-service":
        until = known(entry.until)
        return f"took {entry.subject} out of service" + (
            f" until {clock_text(until, zone=zone)}" if isinstance(until, int) else ""
        )
    if entry.what == "in-service":
        return f"took {entry.subject} into service again"
    if entry.what == "clear-retained":
        return f"cleared {known(entry.count) or ''} retained topics below {entry.subject or 'the site'}"
    if entry.kind == "access":
        return _access(entry)
    if entry.what == "refused-message":
        return f"a message of {entry.subject} was refused"
    if entry.what == "break-lock":
        of = f" ({entry.subject})" if entry.subject else ""
        return f"broke the lock of {'?' if entry.owner is msgspec.UNSET else entry.owner}{of}"
    if entry.what in ("confirm", "resume"):
        return f"{'confirmed' if entry.what == 'confirm' else 'resumed'} {entry.subject}"
    counts = entry.counts or {}
    return f"{entry.subject}" + "".join(f", {count} {what}" for what, count in counts.items() if count)


def _access(entry: AuditEntry) -> str:
    """Logins, tokens, passwords, elevation, and what was refused (`count` times since the line before it)."""
    verbs = {
        "login": "logged in from",
        "logout": "logged out:",
        "make-token": "made a token of",
        "revoke-token": "revoked a token of",
        "rotate": "made a password of",
        "elevate": "elevated",
        "end-elevation": "ended the elevation of",
        "renew-signing-key": "renewed the signing key:",
        "refused": "was refused, from",
    }
    count = known(entry.count)
    times = f" ({count} times)" if isinstance(count, int) and count > 1 else ""
    return f"{verbs.get(entry.what, entry.what)} {entry.subject}{times}"
