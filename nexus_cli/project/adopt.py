"""The verbs of adopting: broker rights and topics into a site file. Count in, count out; nothing is written before it is proved."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from nexus_cli.access.compile import compile_grants
from nexus_cli.diagnostics import Diagnostic, NexusError
from nexus_cli.diagnostics.missing import hint_of_missing
from nexus_cli.diagnostics.outcome import has_errors
from nexus_cli.diagnostics.system import system_words
from nexus_cli.discover import edit as edits
from nexus_cli.discover.adopt.access import adopt_access, wider
from nexus_cli.discover.adopt.broker_files import read_foreign
from nexus_cli.discover.adopt.entries import Entry
from nexus_cli.discover.adopt.foreign import Foreign
from nexus_cli.discover.adopt.rights import topics_of
from nexus_cli.discover.adopt.topics import topic_entries
from nexus_cli.discover.ask import Ask
from nexus_cli.discover.edit import Edit, proved
from nexus_cli.discover.filters import Wanted
from nexus_cli.discover.placement import site_of
from nexus_cli.model.bound import Model
from nexus_cli.model.config import DeviceOutline
from nexus_cli.model.resolve import snapshot_of
from nexus_cli.model.resources import every
from nexus_cli.model.shipped_roles import SHIPPED
from nexus_cli.project.discover import discover
from nexus_cli.project.discover import edit as discovery_edit
from nexus_cli.project.text import Reading, read
from nexus_cli.settings import load_settings
from nexus_cli.source.document import Document, DocumentError
from nexus_cli.source.files import shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """What would be adopted.

    Attributes:
        source: Where it comes from, for people.
        entries: One for each thing that came in.
        edit: Of the site file; None where nothing changes.
        notes: What to do next, for people.
    """

    source: str
    entries: tuple[Entry, ...]
    edit: Edit | None = None
    notes: tuple[str, ...] = ()


def access(file: Path, *, into: Path) -> Adoption:
    """Users and rules of a broker's file as `access:` of a site; nothing is written.

    Raises:
        NexusError: NX4310, NX7035, NX7036 the file; NX4311 the site; NX4312 it would allow more; NX6603, NX6604 the edit.
    """
    foreign = read_foreign(_text(file))
    return adopted(foreign, source=f"{shown(file)} ({foreign.broker})", into=into)


def adopted(foreign: Foreign, *, source: str, into: Path) -> Adoption:
    """Users and rules of a broker as `access:` of a site; nothing is written.

    Args:
        foreign: Its users and rules.
        source: Where they come from, for people.
        into: A file of the site.

    Raises:
        NexusError: NX4311 the site; NX4312 it would allow more; NX6603, NX6604 the edit.
    """
    site, reading, model = site_with(into)
    snapshot = snapshot_of(model)
    plan = adopt_access(
        foreign,
        model.site.access,
        prefix=(model.site.enterprise, model.site.site),
        topics=topics_of(every(snapshot, "device", DeviceOutline)),
        reserved=SHIPPED,
    )
    if not plan.roles and not plan.users:
        return Adoption(source=source, entries=plan.entries)
    before = into.read_bytes().decode("utf-8-sig")
    try:
        document = Document(before)
        for key, entries in (("roles", plan.roles), ("users", plan.users)):
            if entries:
                document.add(("access", key), {name: dict(keys) for name, keys in entries.items()})
                document.apply_edits()
        edit = Edit(path=into, before=before, after=document.text())
    except DocumentError as error:
        raise NexusError(f"'{shown(into)}' can't be edited: {error}.", code="NX6603") from None
    _prove(edit, site, reading, foreign, plan.principals)
    note = "new users have no password yet: `nexus access rotate NAME` makes one"
    return Adoption(source=source, entries=plan.entries, edit=edit, notes=(note,) if plan.users else ())


def write(adoption: Adoption) -> None:
    """Write the edit. Raises NexusError NX6603, NX6523."""
    if adoption.edit is None:
        return
    try:
        edits.write(adoption.edit)
    except OSError as error:
        raise NexusError(f"The file {adoption.edit.path} can't be written.", code="NX6523", cause=str(error)) from None


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise NexusError(
            f"'{shown(file)}' can't be read.", code="NX4310", cause=system_words(error), hint=hint_of_missing(file)
        ) from None


def site_with(into: Path) -> tuple[Path, Reading, Model]:
    """The site that a file is a part of. Raises NexusError NX4311."""
    site = site_of(into) if into.is_file() else None
    reading = read(site) if site is not None and site.is_file() else None
    if site is None or reading is None or reading.model is None or has_errors(reading.findings):
        raise NexusError(
            f"'{shown(into)}' is no site file without errors.", code="NX4311", hint=f"nexus validate {shown(into)}"
        )
    return site, reading, reading.model


def _prove(edit: Edit, site: Path, reading: Reading, foreign: Foreign, principals: tuple[str, ...]) -> None:
    """See that the edited site has no new error, and gives no user more than the broker did. Raises NexusError."""
    more: list[str] = []

    def check(path: Path) -> tuple[Diagnostic, ...]:
        after = read(path)
        if path != site and after.model is not None and not has_errors(after.findings):
            more.extend(wider(compile_grants(snapshot_of(after.model)), principals, foreign.decide))
        return after.findings

    problems = proved(edit, site=site, files=[file.path for file in reading.files], check=check)
    if problems:
        raise NexusError(f"The site would have an error: {problems[0].message}.", code="NX6604", hint=problems[0].hint)
    if more:
        raise NexusError(f"The site would allow more than the broker: {more[0]}.", code="NX4312")


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicsWanted:
    """Which topics are asked for.

    Attributes:
        filter: A topic filter; "" is everything, or what is below `at`.
        at: `area/line/device`; "" is every device.
        broker: Its address; "" is the one of the settings.
        user, password: There; the password is a reference.
        listen_s: How long to listen.
    """

    filter: str = ""
    at: str = ""
    broker: str = ""
    user: str | None = None
    password: str | None = None
    listen_s: float = 10.0


async def topics(wanted: TopicsWanted, *, into: Path) -> Adoption:
    """Topics that others publish as external devices of a site; nothing is written.

    Raises:
        NexusError: NX4311 the site; NX6010 to NX6012 the broker; NX6600, NX6603, NX6604 the address and the edit.
    """
    _, _, model = site_with(into)
    settings = load_settings()
    below = f"{model.site.enterprise}/{model.site.site}/{wanted.at}/#" if wanted.at else ""
    keys = {"user": wanted.user, "password": wanted.password}
    ask = Ask(
        target=wanted.broker or settings.broker_url,
        into=into,
        wanted=Wanted(start=wanted.filter or below, listen_s=wanted.listen_s),
        connection={key: value for key, value in keys.items() if value is not None},
    )
    found = await discover(ask, settings=settings, stop=asyncio.Event())
    if found.value is None:
        raise _as_error(found.findings)
    made = discovery_edit(found.value, ask, mode="merge")
    if made.value is None:
        raise _as_error(made.findings)
    held = {f"{path}/{glob}" for path, device in model.devices.items() for glob in getattr(device.device, "topics", ())}
    edit = None if made.value.merged.empty else made.value
    proposals = found.value.proposals
    entries = topic_entries(proposals, made.value.merged, held=held)
    return Adoption(source=proposals[0].source, entries=entries, edit=edit, notes=made.value.notes)


def _as_error(findings: tuple[Diagnostic, ...]) -> NexusError:
    first = findings[0]
    return NexusError(f"{first.message}.", code=first.code, hint=first.hint)
