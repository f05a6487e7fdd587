"""`nexus diff`: two states compared as a plan compares them, whether deployed, recorded, in files or in git."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from nexus_cli.diagnostics import Diagnostic, NexusError
from nexus_cli.diagnostics.missing import hint_of_missing
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.plan.document import PlanDocument, plan_document
from nexus_cli.plan.moved import Rename
from nexus_cli.plan.plan import Base, make_plan
from nexus_cli.plan.requests import request_count
from nexus_cli.project.git_files import extract, split_revision
from nexus_cli.project.text import load, locate
from nexus_cli.settings import Settings
from nexus_cli.source.inheritance import Inheritance
from nexus_cli.source.tree import SourceTree
from nexus_cli.wire.http import ControlClient

RECORDED = "recorded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One state.

    Attributes:
        name: As it was asked for.
        snapshot: The state; None when its files have errors.
        deployment: The number of its deployment; 0 when it is of files.
        moved: The renames of its files.
        tree: Its files; None of a deployment.
        findings: Of its files.
    """

    name: str
    snapshot: Snapshot | None
    deployment: int = 0
    moved: tuple[Rename, ...] = ()
    tree: SourceTree | None = None
    findings: tuple[Diagnostic, ...] = ()

    @property
    def shown(self) -> str:
        """The name for people: a number alone says nothing beside a path."""
        if self.name == RECORDED:
            return f"what is recorded (deployment {self.deployment})" if self.deployment else "an empty runtime"
        if self.name.isdecimal():
            return f"deployment {self.deployment}" if self.deployment else "the empty state before the first deployment"
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Both sides, and what turns the first into the second; None when files have errors."""

    before: Side
    after: Side
    document: PlanDocument | None


def compare(before: str, after: str, *, settings: Settings, env: str | None = None) -> Compared:
    """Compare two states.

    Args:
        before, after: The number of a deployment, `recorded`, a site file or its folder, `git:REV[:PATH]` or `REV:PATH`. A
            revision without a path takes the path of the other side.
        settings: Where control is, for deployments.
        env: Overlay of files.

    Raises:
        NexusError: NX5017 a side names nothing; NX5018 git refused; NX5006 and others of control.
    """
    first = _side(before, other=after, settings=settings, env=env)
    second = _side(after, other=before, settings=settings, env=env)
    if first.snapshot is None or second.snapshot is None:
        return Compared(before=first, after=second, document=None)
    base = Base(
        deployment=first.deployment,
        digest=first.snapshot.digest,
        digests=first.snapshot.digests,
        # As control gives what is recorded: a range of files is a tuple, and would differ from the same as a list.
        resources=orjson.loads(orjson.dumps(first.snapshot.resources)),
    )
    tree = second.tree
    plan = make_plan(
        base,
        second.snapshot,
        moved=second.moved,
        cost=request_count,
        template_of={} if tree is None else tree.template_of,
        giver_of=None if tree is None else Inheritance(tree).giver,
    ).unwrap()
    return Compared(before=first, after=second, document=plan_document(plan))


def _side(text: str, *, other: str, settings: Settings, env: str | None) -> Side:
    if text == RECORDED or text.isdecimal():
        return asyncio.run(_deployed(text, settings))
    if Path(text).exists():
        return _files(text, Path(text), env)
    revision = split_revision(text)
    if revision is None:
        raise NexusError(
            f"'{text}' is no deployment, no file and no revision.",
            code="NX5017",
            hint=hint_of_missing(text) or "a side is NUMBER, recorded, a site file or folder, or git:REVISION[:PATH]",
        )
    name, path = revision
    if not path and not other.isdecimal() and other != RECORDED:
        path = (split_revision(other) or ("", other))[1]
    with tempfile.TemporaryDirectory(prefix="nexus-diff-") as folder:
        return _files(text, extract(name, path.rstrip("/").removeprefix("./"), Path(folder)), env)


def _files(name: str, path: Path, env: str | None) -> Side:
    located = locate(path)
    if located.value is None:
        return Side(name=name, snapshot=None, findings=tuple(located.findings))
    loaded = load(located.value, env=env)
    if loaded.value is None:
        return Side(name=name, snapshot=None, findings=tuple(loaded.findings))
    renames: Sequence[Rename] = [(each.from_, each.to) for each in loaded.value.model.site.moved]
    return Side(name=name, snapshot=loaded.value.snapshot, moved=tuple(renames), tree=loaded.value.tree)


async def _deployed(text: str, settings: Settings) -> Side:
    async with ControlClient(settings) as control:
        number = (await control.state()).deployment if text == RECORDED else int(text)
        if number >= 2**31:
            raise NexusError(f"There is no deployment {number}.", code="NX5006")
        found = await control.state_after(number)
    enterprise, _, site = settings.site.partition("/")
    return Side(
        name=text, snapshot=Snapshot(enterprise, site, found.resources, found.digests), deployment=found.deployment
    )
