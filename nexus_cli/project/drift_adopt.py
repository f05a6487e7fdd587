"""The verb of `nexus drift --adopt`: what the devices have becomes an edit of the site's files, proved before it is written."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nexus_cli.diagnostics import Diagnostic, NexusError, Outcome
from nexus_cli.discover import edit as edits
from nexus_cli.discover.edit import Edit
from nexus_cli.drift.adopt import Adopted, adopt
from nexus_cli.project.text import locate, read
from nexus_cli.settings import Settings
from nexus_cli.wire.control_drift import DriftReport
from nexus_cli.wire.http_drift import DriftClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """What would be written.

    Attributes:
        edits: One per file.
        adopted: What becomes of the findings.
    """

    edits: tuple[Edit, ...]
    adopted: Adopted

    @property
    def empty(self) -> bool:
        """True when there is nothing to write or to record."""
        return not self.edits and not self.adopted.identities


def adoption(
    report: DriftReport, path: str | None, *, env: str | None = None, variables: Mapping[str, str] | None = None
) -> Outcome[Adoption]:
    """The edits, proved to validate; nothing is written. No value, with findings, when the edited site would have errors."""
    located = locate(path)
    if located.value is None:
        return Outcome(None, located.findings)
    reading = read(located.value, env=env, variables=variables)
    if reading.tree is None or reading.model is None:
        return Outcome(None, reading.findings)
    tree = reading.tree

    def file_of(place: tuple[str, ...]) -> str:
        found = tree.place(place, True)
        return found.file if found is not None else ""

    files = {file.name: file for file in reading.files}
    adopted = adopt(
        report.findings,
        devices=reading.model.devices,
        texts={name: file.text for name, file in files.items()},
        file_of=file_of,
        identities=report.identities,
    )
    made = tuple(
        Edit(path=files[name].path, before=files[name].text, after=text) for name, text in adopted.texts.items()
    )
    paths = [file.path for file in reading.files]

    def check(site: Path) -> tuple[Diagnostic, ...]:
        return read(site, env=env, variables=variables).findings

    for one in made:
        problems = edits.proved(one, site=located.value, files=paths, check=check)
        if problems:
            return Outcome(None, problems)
    return Outcome(Adoption(edits=made, adopted=adopted))


def carry_out(wanted: Adoption, *, settings: Settings) -> None:
    """Write the files, and have control record identities.

    Raises:
        NexusError: NX6603 a file is read-only (then none is written) or changed meanwhile, NX6523 it can't be written; those of
            control.
    """
    for one in wanted.edits:
        edits.refuse_unwritable(one.path)
    for one in wanted.edits:
        try:
            edits.write(one)
        except OSError as error:
            raise NexusError(f"The file {one.path} can't be written.", code="NX6523", cause=str(error)) from None
    if wanted.adopted.identities:
        asyncio.run(_record(wanted.adopted.identities, settings))


async def _record(identities: Mapping[str, Mapping[str, str]], settings: Settings) -> None:
    async with DriftClient(settings) as control:
        await control.take_identities(identities)
