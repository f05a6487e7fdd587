"""`nexus adopt series`: series in the database that no site declares, settled by a person's choice. Nothing changes before it is agreed.

See docs/decisions/0111.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nexus_cli.diagnostics import Diagnostic, NexusError
from nexus_cli.diagnostics.outcome import has_errors
from nexus_cli.discover.adopt.series import Around, Choices, SeriesEntry, series_entries, targets_of
from nexus_cli.discover.adopt.series_edit import written
from nexus_cli.discover.edit import Edit, proved, tag_at
from nexus_cli.discover.placement import device_path
from nexus_cli.model.bound import Model
from nexus_cli.model.config import DeviceConfig
from nexus_cli.model.resolve import snapshot_of
from nexus_cli.model.resources import every
from nexus_cli.project import adopt
from nexus_cli.project.text import Reading, read
from nexus_cli.settings import Settings, load_settings
from nexus_cli.source.document import Document, DocumentError
from nexus_cli.source.files import shown
from nexus_cli.wire.control_undeclared import (
    Elsewhere,
    Settled,
    Settlement,
    SettleQuestion,
    UndeclaredList,
    UndeclaredQuestion,
    UndeclaredSeries,
)
from nexus_cli.wire.http import ControlClient

COUNTING_S = 120.0
"""Counting the samples of a page takes its time."""
PART = 1_000
"""Series, or paths, of one request."""
MOST_TRIES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesAdoption:
    """What would be done.

    Attributes:
        site: `enterprise/site`.
        entries: One for each undeclared series, by path.
        elsewhere: Series of sites that are run no more; they are in none of the entries.
        edit: Of the site file; None where nothing changes.
        settled, after: What control did, and the series that are undeclared then; None before.
        notes: What to do next, for people.
    """

    site: str
    entries: tuple[SeriesEntry, ...]
    elsewhere: tuple[Elsewhere, ...] = ()
    edit: Edit | None = None
    settled: Settled | None = None
    after: tuple[UndeclaredSeries, ...] | None = None
    notes: tuple[str, ...] = ()

    @property
    def settlements(self) -> list[Settlement]:
        """What control has to do."""
        return [Settlement(ulid=one.series.ulid, path=one.series.path, does=one.act) for one in self.entries if one.act]

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return self.edit is not None or bool(self.settlements)


async def series(choices: Choices, *, into: Path, settings: Settings | None = None) -> SeriesAdoption:
    """What would become of each undeclared series; nothing is changed.

    Raises:
        NexusError: NX4311 the site; NX5019 the choices; NX6403 no administrator; NX6400 control is away; NX6603, NX6604
            the edit.
    """
    site, reading, model = adopt.site_with(into)
    settings = settings or load_settings()
    name = f"{model.site.enterprise}/{model.site.site}"
    if settings.site and settings.site != name:
        raise NexusError(
            f"The runtime here is of the site {settings.site}, and '{shown(into)}' declares {name}.",
            code="NX5019",
            hint="NEXUS_SITE or NEXUS_HOME names the runtime of this site",
        )
    moved = [(one.from_, one.to) for one in model.site.moved]
    async with ControlClient(settings) as control:
        found, elsewhere = await _undeclared(control)
        taken = await _taken(control, targets_of(found, choices, moved))
    entries, edit = _proposed(found, choices, into=into, site=site, reading=reading, taken=taken)
    return SeriesAdoption(
        site=name,
        entries=entries,
        elsewhere=tuple(elsewhere),
        edit=edit,
        notes=("`nexus apply` brings declared and moved series back",) if edit is not None else (),
    )


async def carry_out(found: SeriesAdoption, *, reason: str, settings: Settings | None = None) -> SeriesAdoption:
    """Write the file, let control do the rest, and count again.

    Raises:
        NexusError: NX5020 the series changed, NX5021 something is missing afterwards; NX6603, NX6523 the file; NX6400, NX6403.
    """
    adopt.write(adopt.Adoption(source="", entries=(), edit=found.edit))
    try:
        async with ControlClient(settings or load_settings()) as control:
            settled = await _settled(control, found.settlements, reason)
            after, _ = await _undeclared(control)
    except NexusError as error:
        if found.edit is None:
            raise
        raise NexusError(
            f"{error.message} The site file is written already; the same command does the rest.",
            code=error.code,
            cause=error.cause,
            hint=error.hint,
            retriable=error.retriable,
        ) from error
    _compare([one.series for one in found.entries], after)
    return replace(found, settled=settled, after=tuple(after))


async def _settled(control: ControlClient, wanted: list[Settlement], reason: str) -> Settled:
    if not wanted:
        return Settled()
    done = Settled()
    for start in range(0, len(wanted), PART):  # each part as a whole or not at all
        question = SettleQuestion(series=wanted[start : start + PART], reason=reason)
        part = await control.call("POST", "/series/settle", Settled, body=question, timeout_s=COUNTING_S)
        done = Settled(forgotten=done.forgotten + part.forgotten, kept=done.kept + part.kept)
    return done


async def _undeclared(control: ControlClient) -> tuple[list[UndeclaredSeries], list[Elsewhere]]:
    """Every undeclared series, page by page."""
    found: list[UndeclaredSeries] = []
    elsewhere: list[Elsewhere] = []
    while True:
        question = UndeclaredQuestion(after=found[-1].path if found else "")
        page = await control.call("POST", "/series/undeclared", UndeclaredList, body=question, timeout_s=COUNTING_S)
        found += page.series
        elsewhere += page.elsewhere
        if not page.more or not page.series:
            return found, elsewhere


async def _taken(control: ControlClient, targets: Sequence[str]) -> set[str]:
    """Those of the targets that have a series."""
    found: set[str] = set()
    for start in range(0, len(targets), PART):
        question = UndeclaredQuestion(targets=list(targets[start : start + PART]))
        page = await control.call("POST", "/series/undeclared", UndeclaredList, body=question, timeout_s=COUNTING_S)
        found |= set(page.taken)
    return found


def _compare(before: Sequence[UndeclaredSeries], after: Sequence[UndeclaredSeries]) -> None:
    """See that no series and no sample is missing. Raises NexusError NX5021."""
    now = {one.ulid: one for one in after}
    gone = [one.path for one in before if one.ulid not in now]
    fewer = [
        one.path
        for one in before
        if one.ulid in now and one.samples is not None and (now[one.ulid].samples or 0) < one.samples
        if now[one.ulid].samples is not None
    ]
    if gone or fewer:
        raise NexusError(
            f"{len(gone):,} series are not in the list any more, and {len(fewer):,} have fewer samples than before.",
            code="NX5021",
            cause=", ".join([*gone, *fewer][:3]),
        )


def _proposed(
    found: Sequence[UndeclaredSeries],
    choices: Choices,
    *,
    into: Path,
    site: Path,
    reading: Reading,
    taken: Collection[str],
) -> tuple[tuple[SeriesEntry, ...], Edit | None]:
    """The entries and an edit without a new error: a tag that would have one is left, and the rest is tried again."""
    model = reading.model
    assert model is not None, "the site was read without errors"
    before = into.read_bytes().decode("utf-8-sig")
    try:
        document = Document(before)
    except DocumentError as error:
        raise NexusError(f"'{shown(into)}' can't be edited: {error}.", code="NX6603") from None
    around = Around(
        declared=model.declared,
        protocols={path: device.device.protocol for path, device in model.devices.items()},
        editable=lambda path: document.has(device_path(path)),
        moved=[(one.from_, one.to) for one in model.site.moved],
        taken=taken,
    )
    for _ in range(MOST_TRIES):
        entries = series_entries(found, choices, around)
        try:
            after = written(before, entries)
        except DocumentError as error:
            raise NexusError(f"'{shown(into)}' can't be edited: {error}.", code="NX6603") from None
        if after == before:
            return entries, None
        edit = Edit(path=into, before=before, after=after)
        tags = {one.series.path: one.series for one in entries if one.tag}
        refused = _refused(edit, tags, site=site, reading=reading)
        if not refused:
            return entries, edit
        around = replace(around, refused={**around.refused, **refused})
    raise NexusError("The site would have errors.", code="NX6604")


def _refused(edit: Edit, tags: dict[str, UndeclaredSeries], *, site: Path, reading: Reading) -> dict[str, str]:
    """Why new tags can't be declared, by path: an error of their own, or another type, unit or class than their series.

    Raises:
        NexusError: NX6604, an error that none of them has.
    """
    other: dict[str, str] = {}

    def check(path: Path) -> tuple[Diagnostic, ...]:
        after = read(path)
        if path != site and after.model is not None and not has_errors(after.findings):
            other.update(_differing(after.model, tags))
        return after.findings

    problems = proved(edit, site=site, files=[file.path for file in reading.files], check=check)
    for problem in problems:
        path = tag_at(problem)
        if path not in tags:
            raise NexusError(f"The site would have an error: {problem.message}.", code="NX6604", hint=problem.hint)
        other[path] = problem.message
    return other


def _differing(model: Model, tags: dict[str, UndeclaredSeries]) -> dict[str, str]:
    """Tags whose series would begin a segment or change its class, as `defaults:` around them may have it."""
    found: dict[str, str] = {}
    for path, device in every(snapshot_of(model), "device", DeviceConfig):
        for name, tag in device.tags.items():
            one = tags.get(f"{path}/{name}")
            if one is None:
                continue
            # As `database.minting.facts_of` has them, without the database's library.
            new = (tag.published_type or tag.type, tag.publish_unit or tag.unit, tag.retention)
            old = (one.type, one.unit, one.retention)
            if new != old:
                found[one.path] = (
                    f"the site would give it {' '.join(filter(None, new))} instead of {' '.join(filter(None, old))}"
                )
    return found
