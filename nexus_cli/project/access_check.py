"""`nexus access check`: what is doubtful about the rights of a site, beyond its errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from nexus_cli.access.brokers.rendered import Note
from nexus_cli.access.holders import Holder
from nexus_cli.access.idle import idle_lines
from nexus_cli.access.people import period_us
from nexus_cli.diagnostics import Diagnostic
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.wording import counted
from nexus_cli.project.access import Rights

SOON = timedelta(days=30)
ABOUT_ACCESS = "NX26"
"""Band of the checks of `validate` on rights."""


def doubts(rights: Rights, *, now: datetime, without_password: Sequence[str] = ()) -> tuple[Diagnostic, ...]:
    """Findings on lines, periods and passwords, placed and in order.

    Args:
        rights: The site.
        now: The clock.
        without_password: Users and applications that control has no password of.
    """
    found = [*_idle(rights), *_people(rights, now), *_passwords(rights, without_password)]
    return rights.loaded.tree.report_later(found)


def of_validate(findings: Sequence[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Of the findings of `validate` those on rights."""
    return tuple(item for item in findings if item.code.startswith(ABOUT_ACCESS))


def of_broker(notes: Sequence[Note]) -> tuple[Diagnostic, ...]:
    """What a broker's rules can't say, as findings: one for all rules of which the same is to be said."""
    same: dict[tuple[str, str, str], list[str]] = {}
    for note in notes:
        same.setdefault((note.code, note.broker, note.text), []).append(note.rule)
    return tuple(
        finding(code, f"{broker}: {rules[0]}{_more(rules)}: {text}") for (code, broker, text), rules in same.items()
    )


def _more(rules: Sequence[str]) -> str:
    return f" (and {counted(len(rules) - 1, 'rule')} more)" if len(rules) > 1 else ""


def _idle(rights: Rights) -> Iterator[Diagnostic]:
    for idle in idle_lines(rights.book.snapshot):
        if idle.line.role in rights.loaded.model.site.access.roles:  # a shipped role's lines can't be changed
            yield finding(
                "NX7042", idle.why, where=idle.line.where, hint="remove the line, or write what it is meant for"
            )


def _people(rights: Rights, now: datetime) -> Iterator[Diagnostic]:
    zone = str(rights.book.snapshot.resources.get("site", {}).get("time_zone") or "UTC")
    for holder in rights.book.holders:
        _, ends = period_us(holder.config, ZoneInfo(zone))
        if ends is not None and _soon(ends, now):
            message = f"the rights of '{holder.name}' {_end(ends, now)} ({holder.config.valid_until})"
            yield finding("NX7044", message, where=(*_place(rights, holder), "valid", "until"))
        if holder.kind == "application" and holder.config.hours:
            message = f"the program '{holder.name}' has rights only at {', '.join(holder.config.hours)}"
            yield finding("NX7045", message, where=(*_place(rights, holder), "hours"), hint="leave `hours` out")


def _soon(ends_us: int, now: datetime) -> bool:
    return datetime.fromtimestamp(ends_us / 1e6, UTC) <= now + SOON


def _end(ends_us: int, now: datetime) -> str:
    left = datetime.fromtimestamp(ends_us / 1e6, UTC) - now
    return f"end in {left.days} days" if left > timedelta() else "have ended"


def _passwords(rights: Rights, names: Sequence[str]) -> Iterator[Diagnostic]:
    for holder in rights.book.holders:
        if holder.name in names and not holder.config.password:
            hint = f"`nexus access rotate {holder.name}` makes one and shows it once"
            message = f"'{holder.name}' has no password"
            yield finding("NX7043", message, where=_place(rights, holder), on_key=True, hint=hint)


def _place(rights: Rights, holder: Holder) -> tuple[str, ...]:
    access = rights.loaded.model.site.access
    return ("access", "users" if holder.name in access.users else "applications", holder.name)
