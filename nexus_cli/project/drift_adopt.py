"""The verb of `nexus drift --adopt`: what the devices have becomes an edit of the site's files, proved before it is written."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nexus_cli.diagnostics import Diagnostic, NexusError, Outcome
from nexus_cli.discover import edit as edits
from nexus_cli.discover.edit import Edit
from nexus_cli.drift.adopt import Adopted, adopt, took_effect
from nexus_cli.model.bound import Model
from nexus_cli.project.text import locate, read
from nexus_cli.settings import Settings
from nexus_cli.wire.control_drift import DriftFinding, DriftReport
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
    paths = [file.path for file in reading.files]
    refused: dict[tuple[str, str], str] = {}
    while True:
        adopted = adopt(
            report.findings,
            devices=reading.model.devices,
            texts={name: file.text for name, file in files.items()},
            file_of=file_of,
            identities=report.identities,
            refused=refused,
        )
        made = tuple(
            Edit(path=files[name].path, before=files[name].text, after=text) for name, text in adopted.texts.items()
        )
        proof = _Proof(env, variables)
        problems = edits.proved_together(made, site=located.value, files=paths, check=proof.check) if made else ()
        wrong = proof.without_effect(adopted.edited) if not problems else _of_one(problems, adopted.edited)
        if not wrong:
            return Outcome(None, problems) if problems else Outcome(Adoption(edits=made, adopted=adopted))
        refused |= wrong  # each turn takes out at least one finding


class _Proof:
    """The edited site as it reads."""

    def __init__(self, env: str | None, variables: Mapping[str, str] | None) -> None:
        """Nothing was read yet."""
        self._env, self._variables = env, variables
        self._model: Model | None = None

    def check(self, site: Path) -> tuple[Diagnostic, ...]:
        """See `edit.Check`; the last one that is read is the edited one."""
        reading = read(site, env=self._env, variables=self._variables)
        self._model = reading.model
        return reading.findings

    def without_effect(self, edited: Sequence[DriftFinding]) -> dict[tuple[str, str], str]:
        """Those whose value is decided elsewhere, with the reason, by path and kind."""
        devices = {} if self._model is None else self._model.devices
        return {
            (one.path, one.kind): "another place of the site files decides it: correct it there"
            for one in edited
            if not took_effect(one, devices.get(one.path.rpartition("/")[0]))
        }


def _of_one(problems: Sequence[Diagnostic], edited: Sequence[DriftFinding]) -> dict[tuple[str, str], str]:
    """Why the site would have errors, by path and kind of what is edited; errors elsewhere are of no single one."""
    wrong: dict[tuple[str, str], str] = {}
    for problem in problems:
        path = edits.tag_at(problem)
        wrong |= {
            (one.path, one.kind): f"the site would have an error: {problem.message}"
            for one in edited
            if one.path == path
        }
    return wrong


def carry_out(wanted: Adoption, *, settings: Settings) -> None:
    """Have control record identities, which it may refuse, and write the files.

    Raises:
        NexusError: NX6603 a file is read-only (then none is written) or changed meanwhile, NX6523 it can't be written; those of
            control.
    """
    for one in wanted.edits:
        edits.refuse_unwritable(one.path)
    if wanted.adopted.identities:
        asyncio.run(_record(wanted.adopted.identities, settings))
    for one in wanted.edits:
        try:
            edits.write(one)
        except OSError as error:
            raise NexusError(f"The file {one.path} can't be written.", code="NX6523", cause=str(error)) from None


async def _record(identities: Mapping[str, Mapping[str, str]], settings: Settings) -> None:
    async with DriftClient(settings) as control:
        await control.take_identities(identities)
