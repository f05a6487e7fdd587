"""The verbs of `nexus access` that answer from the site file: list, who-can, can, explain, diff."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from nexus_cli.access.gains import Gain, gains
from nexus_cli.access.grants import RESERVED, Grant
from nexus_cli.access.holders import Holder
from nexus_cli.access.lines import NAME_RIGHTS, TAG_RIGHTS, Line, Right, means, reaches
from nexus_cli.access.people import Moment
from nexus_cli.access.questions import Answer, Book, ask
from nexus_cli.access.subjects import KIND_OF, Subject, Unknown, subject_of
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.history.moment import parse_moment
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.plan.diff import differing
from nexus_cli.project.text import LoadedSite, Sourced, load
from nexus_cli.settings import Settings

__all__ = ["ask", "gains"]

SAMPLES = 3
"""Examples that are named beside a number of tags."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decides:
    """Where a right is written.

    Attributes:
        file: `file:line:column`; "" of a shipped role, and of what follows from the devices.
        excerpt: The line in the file.
        shipped: True when the role is as NEXUS ships it.
    """

    file: str = ""
    excerpt: str = ""
    shipped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """A site that was read, and its rights at a moment."""

    loaded: LoadedSite
    book: Book

    @property
    def site(self) -> str:
        """`enterprise/site`."""
        return f"{self.book.snapshot.enterprise}/{self.book.snapshot.site}"

    def decides(self, line: Line | None) -> Decides:
        """Where a line of a role is."""
        if line is None:
            return Decides()
        if line.role not in self.loaded.model.site.access.roles:
            return Decides(shipped=True)
        place = self.loaded.tree.place(line.where)
        file = self.loaded.tree.text(place.file) if place is not None else None
        excerpt = file.line(place.line).strip() if file is not None and place is not None else ""
        return Decides(file=str(place or ""), excerpt=excerpt)


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """A line of a role, and what it comes to.

    Attributes:
        line: The line.
        via: `role`, `group NAME` or `elevated`.
        not_now: Why it does not count now; "" when it does.
        what: `tag`, `message`, `sequence`, `alert` or `site`.
        count: How many of them.
        samples: Some of them.
        above: How many tags more it would mean, but for the role's clearance.
    """

    line: Line
    via: str
    not_now: str
    what: str
    count: int
    samples: tuple[str, ...]
    above: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """From a principal to what brokers are given.

    Attributes:
        holder: Who.
        means: Each line of each role.
        grants: What is compiled of them.
    """

    holder: Holder
    means: tuple[Means, ...]
    grants: tuple[Grant, ...]


def open_rights(
    path: str | None,
    *,
    env: str | None = None,
    variables: Mapping[str, str] | None = None,
    at: str = "",
    any_hour: bool = False,
    now: datetime | None = None,
) -> Sourced[Rights]:
    """Read a site, and take its rights at a moment.

    Args:
        path: The site file, its folder, or None for the only one.
        env: Overlay.
        variables: Values over the declared `vars`.
        at: A moment as every command reads it; "" is now, `any` leaves periods and hours out of account.
        any_hour: True leaves hours out of account, and periods in.
        now: The clock; None is this machine's.

    Raises:
        NexusError: NX6211, the moment is not one.
    """
    clock = now or datetime.now(UTC)
    loaded = load(path, env=env, variables=variables, use_cache=False)
    if loaded.value is None:
        return Sourced(None, loaded.findings, loaded.files)
    moment = clock if not at else parse_moment(at, now=clock) if at != "any" else None
    when = Moment(at_us=None if moment is None else round(moment.timestamp() * 1e6), any_hour=any_hour)
    rights = Rights(loaded=loaded.value, book=Book(loaded.value.snapshot, when))
    return Sourced(rights, loaded.findings, loaded.files)


def subject(rights: Rights, right: Right, text: str) -> Sourced[Subject]:
    """What a question is about; NX7041 when there is no such thing."""
    found = subject_of(rights.book.snapshot, right, text)
    if isinstance(found, Unknown):
        return Sourced(None, (finding("NX7041", found.message, hint=found.hint),))
    return Sourced(found)


def holder(rights: Rights, name: str) -> Sourced[Holder]:
    """The principal of a name; NX7040 when there is none."""
    found = rights.book.holder(name)
    if found is not None:
        return Sourced(found)
    snapshot = rights.book.snapshot
    if f"group.{name}" in snapshot.resources or f"role.{name}" in snapshot.resources:
        kind = "group" if f"group.{name}" in snapshot.resources else "role"
        message, hint = (
            f"'{name}' is a {kind}, not a user",
            f"`nexus access list{' --roles' * (kind == 'role')}` shows it",
        )
        return Sourced(None, (finding("NX7040", message, hint=hint),))
    known = [each.name for each in rights.book.holders]
    declared = [each for each in known if not each.startswith(RESERVED)]
    hint = did_you_mean(name, known if name.startswith("nexus") else declared)
    hint = hint or ("`nexus access list` lists them" if declared else "the site declares no users")
    return Sourced(None, (finding("NX7040", f"{rights.site} has no user or application '{name}'", hint=hint),))


def who_can(rights: Rights, right: Right, about: Subject) -> list[Answer]:
    """What holds for each principal: yes first, then those who are refused although a role would give it."""
    found = [answer for each in rights.book.holders for answer in ask(rights.book, each, right, about)]
    kept = [answer for answer in found if answer.reason != "no_role"]
    return sorted(kept, key=lambda answer: not answer.allowed)


def explain(rights: Rights, who: Holder) -> Chain:
    """The chain of one principal."""
    found = []
    for has in who.has:
        for line in rights.book.lines.get(has.role, ()):
            what, names, above = _meant(rights, line)
            found.append(
                Means(
                    line=line,
                    via=has.via,
                    not_now=has.not_now,
                    what=what,
                    count=len(names),
                    samples=names[:SAMPLES],
                    above=above,
                )
            )
    grants = tuple(grant for grant in rights.book.grants if grant.principal == who.name)
    return Chain(holder=who, means=tuple(found), grants=grants)


def _meant(rights: Rights, line: Line) -> tuple[str, tuple[str, ...], int]:
    """What a line is about, by kind and name (of writes the writable tags), and how many tags are above its clearance."""
    if line.right in TAG_RIGHTS:
        about = [tag for tag in rights.book.facts.values() if means(line, tag)]
        about = [tag for tag in about if line.right != "write" or tag.writable]
        within = tuple(tag.path for tag in about if reaches(line, tag.classification))
        return "tag", within, len(about) - len(within)
    if line.right in NAME_RIGHTS:
        kind = KIND_OF[line.right]
        return kind, rights.book.named(line, kind), 0
    return "site", (rights.site,), 0


def declared(path: str | Path | None, *, env: str | None, variables: Mapping[str, str] | None) -> Sourced[Snapshot]:
    """The snapshot of a site file; no value when it has errors."""
    loaded = load(path, env=env, variables=variables)
    return Sourced(None if loaded.value is None else loaded.value.snapshot, loaded.findings, loaded.files)


def against_recorded(desired: Snapshot, settings: Settings) -> tuple[Gain, ...]:
    """What the site file gives and takes compared with what control has recorded.

    Raises:
        NexusError: Control can't be reached, or serves another site.
    """
    return gains(asyncio.run(_recorded(desired, settings)), desired)


async def _recorded(desired: Snapshot, settings: Settings) -> Snapshot:
    """What is recorded: only the resources that differ are asked for, the others are at hand."""
    from nexus_cli.wire.http import ControlClient  # noqa: PLC0415 - HTTP client: only beside a runtime

    async with ControlClient(settings, site=f"{desired.enterprise}/{desired.site}") as control:
        state = await control.state()
        changed = [address for address in differing(state.digests, desired.digests) if address in state.digests]
        found = await control.resources(changed)
    same = {address: value for address, value in desired.resources.items() if address in state.digests}
    resources = {**{address: value for address, value in same.items() if address not in changed}, **found}
    return Snapshot(desired.enterprise, desired.site, resources, state.digests)
