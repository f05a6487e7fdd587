"""One deployment on its way: its row, its changes, its stages, and what is known of its end so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from nexus_cli.apply import table
from nexus_cli.apply.request import Checked, DeploymentRequest, changes_between
from nexus_cli.apply.rights import Resources
from nexus_cli.database.deployments import Deployment
from nexus_cli.database.ordered import from_jsonb
from nexus_cli.database.recording import Returning
from nexus_cli.json_value import JsonObject
from nexus_cli.model.actions import AFTER, BEFORE
from nexus_cli.model.collection import collection_paused
from nexus_cli.model.config import digest
from nexus_cli.model.snapshot import Attributes, Changed
from nexus_cli.plan.change import Action, Change
from nexus_cli.plan.moved import Rename, forgotten_moves
from nexus_cli.plan.stages import LOCK, RECORD, RESUME, Stage, stages_of
from nexus_cli.wire.configuration import Notice, Observed, encode
from nexus_cli.wire.control import JournalLine
from nexus_cli.wire.reach import Reach


class StoredPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a plan in a deployment's row: enough to carry it out, and to revert it.

    Attributes:
        changed: Attributes to record by address; None removes.
        before: Recorded attributes of what it changes, by address.
        digests: Digest of each written resource, as the client computed it.
        moved: (old, new) paths of tags, devices or whole lines.
        allow: Consents to hazards.
        summary: How many resources and tags are created, updated, moved and forgotten (`Plan.counts`).
        reach: What it does to the devices of templates and defaults; None where that was not said.
    """

    changed: Changed
    before: dict[str, Attributes]
    digests: dict[str, str]
    moved: list[Rename]
    allow: list[str]
    summary: dict[str, int] = {}
    reach: Reach | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a deployment does: its plan as it is stored, and what follows from it.

    Attributes:
        plan: Its plan.
        changes: What it changes, in order.
    """

    plan: StoredPlan
    changes: tuple[Change, ...]

    @classmethod
    def stored(cls, text: str) -> Work:
        """The work of a deployment's row, from the JSON of its plan.

        Raises:
            msgspec.ValidationError: The row holds no plan that this version can carry out.
        """
        with collection_paused():
            plan = msgspec.convert(from_jsonb(text), StoredPlan)
            return cls(plan=plan, changes=changes_between(plan.changed, plan.before, moved=plan.moved))

    @classmethod
    def accepted(
        cls,
        request: DeploymentRequest,
        checked: Checked,
        *,
        before: Mapping[str, Attributes],
        summary: Mapping[str, int],
    ) -> Work:
        """The work of a request. What it holds is shared, not copied: a plan may have megabytes."""
        plan = StoredPlan(
            changed=dict(request.changed),
            before=dict(before),
            digests=dict(checked.digests),
            moved=list(request.moved),
            allow=list(request.allow),
            summary=dict(summary),
            reach=request.reach,
        )
        return cls(plan=plan, changes=checked.changes)

    def document(self) -> JsonObject:
        """As the JSON of a deployment's row."""
        document = msgspec.structs.asdict(self.plan)
        if self.plan.reach is None:
            del document["reach"]
        else:
            document["reach"] = msgspec.to_builtins(self.plan.reach)
        return document


@dataclass(slots=True, kw_only=True)
class Run:
    """One deployment on its way.

    Attributes:
        deployment: Its row.
        plan: Its plan, decoded.
        changes: What it changes, in order.
        stages: Its steps.
        rows: The end of each changed resource, so far.
        journal: What earlier tries wrote.
        kept: Recorded attributes of what it leaves alone, once they were read.
        wanted: Digest that each gateway has to answer with.
        answers: What the gateways answered; None when nothing came in time.
        reachable_before: Device paths that gave values before anything was recorded.
        problems: Why a sequence after the change did not end well, by device path.
    """

    deployment: Deployment
    plan: StoredPlan
    changes: tuple[Change, ...]
    stages: tuple[Stage, ...]
    rows: list[table.Row]
    journal: list[JournalLine] = field(default_factory=list)
    kept: Resources | None = None
    wanted: dict[str, str] = field(default_factory=dict)
    answers: dict[str, Observed | None] = field(default_factory=dict)
    reachable_before: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)

    @property
    def resumed(self) -> bool:
        """True when the deployment had ended and continues because it was asked to."""
        return any(line.step == RESUME for line in self.journal)

    @property
    def has_begun(self) -> bool:
        """True when it did something outside of control already: a sequence that stops something began, or it recorded."""
        return self.is_done(RECORD) or any(line.step == BEFORE for line in self.journal)

    @property
    def broken(self) -> bool:
        """True when its lock was broken since it was begun, or resumed last."""
        last = next((line.step for line in reversed(self.journal) if line.step in (RESUME, LOCK)), "")
        return last == LOCK

    @classmethod
    def of(cls, deployment: Deployment, work: Work, *, journal: list[JournalLine]) -> Run:
        """A run from a deployment's row, its work and its journal."""
        run = cls(
            deployment=deployment,
            plan=work.plan,
            changes=work.changes,
            stages=stages_of(work.changes),
            rows=table.rows_of(work.changes),
            journal=journal,
            reachable_before=_noted(journal, "reachable_before"),
        )
        for stage in run.stages_named(AFTER):
            run.note(stage, run.acted(stage) or "")
        return run

    def acted(self, stage: Stage) -> str | None:
        """What the journal says of a sequence that has ended: "" when it is done, else why not; None when it says nothing."""
        for line in reversed(self.journal):
            if line.step == stage.step and line.subject == stage.subject and line.state in ("done", "failed"):
                return "" if line.state == "done" else str(line.detail.get("message", "it failed"))
        return None

    def note(self, stage: Stage, problem: str) -> None:
        """Keep the problem of a sequence after the change, of each device that it runs for; "" is none."""
        if problem:
            self.problems |= dict.fromkeys(stage.paths, f"sequence '{stage.subject}' after the change: {problem}")

    def stages_named(self, name: str) -> list[Stage]:
        """The stages of one step."""
        return [stage for stage in self.stages if stage.step == name]

    def is_done(self, name: str) -> bool:
        """Whether the journal says that a step was done before this try."""
        return any(line.step == name and line.state == "done" for line in self.journal)

    def moves(self) -> list[tuple[str, str]]:
        """(old, new) path of every tag that moves."""
        tags = [tag for change in self.changes for tag in change.tags]
        return [(tag.previous_path, tag.path) for tag in tags if tag.previous_path is not None]

    def returning(self) -> Returning:
        """Forgotten series that an entry takes to a tag which begins with it: `nexus adopt series --move`."""
        tags = [tag for change in self.changes for tag in change.tags]
        created = {tag.path for tag in tags if tag.action is Action.CREATE}
        moved = self.plan.moved
        return Returning(
            below=[old for old, _ in moved],
            created=created,
            choose=lambda forgotten, present: forgotten_moves(
                moved, forgotten=forgotten, created=created, present=present
            ),
        )


def notice(*, deployment: int, digest: str, again: bool = False) -> bytes:
    """The message on a gateway's `config` topic; `again` has it publish every tag of its live view once more."""
    return encode(Notice(deployment=deployment, digest=digest, again=again or msgspec.UNSET))


def gateway_digest(devices: Mapping[str, str]) -> str:
    """One digest over what a gateway has to run: of the sorted `[path, digest]` pairs."""
    return digest([list(pair) for pair in sorted(devices.items())])


def _noted(journal: list[JournalLine], key: str) -> list[str]:
    return next((list(line.detail[key]) for line in journal if key in line.detail), [])
