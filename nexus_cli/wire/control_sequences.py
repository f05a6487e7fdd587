"""The bodies of control's HTTP API about sequences and messages; rules as in `control.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from nexus_cli.json_value import JsonObject
from nexus_cli.wire.control import NO_NUL, Absent, Body, Question
from nexus_cli.wire.sample import Scalar

if TYPE_CHECKING:
    from nexus_cli.wire.sample import Value
else:
    Value = Any  # recursive, as in wire/frame.py


class Parameter(Body, frozen=True, kw_only=True):
    """One parameter of a sequence; a field that is left out has its default.

    Attributes:
        type: `bool`, `string`, an integer or a float; `string` by default.
        default: Without one a value is required.
        range: Lowest and highest value, None is open.
        values: The only ones that are taken.
        description: For people.
    """

    type: str | Absent = msgspec.UNSET
    default: Value | Absent = msgspec.UNSET
    range: tuple[float | None, float | None] | Absent | None = msgspec.UNSET
    values: list[Value] | Absent = msgspec.UNSET
    description: str | Absent = msgspec.UNSET


class DeclaredSequence(Body, frozen=True, kw_only=True):
    """A sequence as it was applied.

    Attributes:
        name: As declared.
        steps: How many it has, the abort branch left out.
        writes: Paths of the tags that it writes, sorted.
        parameters: By name.
        description: For people.
    """

    name: str
    steps: int
    writes: list[str]
    parameters: dict[str, Parameter] = {}
    description: str = ""


class RunEnd(Body, frozen=True, kw_only=True):
    """Why a run did not simply end; every field is absent of one that runs or is done.

    Attributes:
        code: `NXnnnn`.
        step: At which it ended.
        detail: The reason in a sentence.
        aborted_by: Who ended it.
        abort_branch: `done`, `none`, or how many of its steps failed.
    """

    code: str | Absent = msgspec.UNSET
    step: int | Absent = msgspec.UNSET
    detail: str | Absent = msgspec.UNSET
    aborted_by: str | Absent = msgspec.UNSET
    abort_branch: str | Absent = msgspec.UNSET


class SequenceRun(Body, frozen=True, kw_only=True):
    """One run of a sequence.

    Attributes:
        id: The caller's choice.
        name: Of the sequence.
        who: Principal.
        reason: For the audit trail.
        state: `running`, `done`, `refused`, `aborted`, `failed` or `interrupted`.
        detail: Why it ended so.
        steps: How many the sequence had when it began, the abort branch left out.
        set: Values of its parameters.
        started, ended: `ended` is None while it runs.
    """

    id: str
    name: str
    who: str
    reason: str
    state: str
    detail: RunEnd = RunEnd()
    steps: int = 0
    set: dict[str, Value] = {}
    started: int
    ended: int | None = None


class Sequences(Body, frozen=True, kw_only=True):
    """The declared sequences by name, and the newest runs first."""

    sequences: list[DeclaredSequence]
    runs: list[SequenceRun]


class StepFacts(Body, frozen=True, kw_only=True):
    """Details of one step; which ones depends on its kind and outcome.

    Attributes:
        old, written, read_back: Of a write, in the published unit: before, what was written, and afterwards.
        code, detail: Why it did not succeed, or is tried again.
        topic: Of a publish.
        command: Id of the command that a write sent.
    """

    old: Value | Absent = msgspec.UNSET
    code: str | Absent = msgspec.UNSET
    topic: str | Absent = msgspec.UNSET
    detail: str | Absent = msgspec.UNSET
    command: str | Absent = msgspec.UNSET
    written: Value | Absent = msgspec.UNSET
    read_back: Value | Absent = msgspec.UNSET


class RunLine(Body, frozen=True, kw_only=True):
    """One line of a run's journal: there is one before each step and one after it.

    Attributes:
        id: Rises; a later line has a larger one.
        step: From 1; the steps of the abort branch continue the numbers.
        branch: `requires`, `steps` or `on_abort`.
        text: The step, for people.
        state: `begun`, `waiting`, `done`, `refused`, `failed` or `unknown`.
        detail: Facts.
        at: When it was written.
    """

    id: int
    step: int
    branch: str
    text: str
    state: str
    detail: StepFacts = StepFacts()
    at: int = 0


class RunProgress(SequenceRun, frozen=True, kw_only=True):
    """A run with its journal beyond the line that was asked for."""

    journal: list[RunLine] = []


class RunAborted(RunProgress, frozen=True, kw_only=True):
    """A run that is being aborted; `again` when it was being aborted already."""

    again: bool = False


class RunRequest(Question, frozen=True, kw_only=True):
    """A run to begin.

    Attributes:
        run: Its id, the caller's choice; the same id gives the same run.
        reason: For the audit trail.
        set: Values of its parameters; absent without any.
        agreed: What the caller was shown (`plan.running.agreement`); absent or "" is nothing.
    """

    run: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    reason: Annotated[str, msgspec.Meta(max_length=500, pattern=NO_NUL)] = ""
    set: Annotated[dict[str, Scalar], msgspec.Meta(max_length=100)] | Absent = msgspec.UNSET
    agreed: Annotated[str, msgspec.Meta(max_length=100)] | Absent = msgspec.UNSET


class SequenceBrief(Body, frozen=True, kw_only=True):
    """A sequence with what it uses and nothing else of the site: enough to look at every step before it runs.

    Attributes:
        sequence: Its recorded attributes.
        tags: Recorded attributes by path.
        gateways: By device path.
        messages: Recorded attributes by name.
        agreed: Digest of all that, `plan.running.agreement`.
    """

    sequence: JsonObject
    tags: dict[str, JsonObject]
    gateways: dict[str, str]
    messages: dict[str, JsonObject]
    agreed: str = ""


class DeclaredMessage(Body, frozen=True, kw_only=True):
    """The recorded attributes of a message."""

    message: JsonObject


class PublishRequest(Question, frozen=True, kw_only=True):
    """A message to publish: its fields, as its schema types them."""

    set: Annotated[dict[str, Value], msgspec.Meta(max_length=1000)] = {}


class Published(Body, frozen=True, kw_only=True):
    """The message that the broker acknowledged."""

    topic: str
    payload: JsonObject
