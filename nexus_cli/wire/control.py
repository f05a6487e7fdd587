"""The bodies of control's HTTP API, in both directions: control makes and reads them, `wire/http` is the other side.

The order of the fields is the order on the wire. What PostgreSQL keeps as JSONB has the order of JSONB there (by length,
then by bytes). Unknown fields of an answer pass; a field that an older control does not send has a default. All times are
µs since 1970 UTC. Sequences and messages are in `control_sequences.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import orjson

from nexus_cli.json_value import JsonObject
from nexus_cli.wire.alert import Alert as Alert
from nexus_cli.wire.confirmation import Confirmation
from nexus_cli.wire.control_aliases import Alias
from nexus_cli.wire.reach import Reach
from nexus_cli.wire.rollout import RolloutOf, RolloutRequest
from nexus_cli.wire.signature import SignatureRules

if TYPE_CHECKING:
    from nexus_cli.wire.sample import Value
else:
    Value = Any  # recursive, as in wire/frame.py

MOST_RESOURCES = 100_000
"""Resources in one deployment."""
MOST_NAMES = 20_000
"""Addresses or paths in one question."""
LEAST_CONFIRM_S, MOST_CONFIRM_S = 10, 7 * 86_400
"""Limits of `confirm_within_s`, both included."""
NO_NUL = r"^[^\x00]*$"
"""A NUL can't be stored as text."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=500, pattern=NO_NUL)]
Count = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
Absent = msgspec.UnsetType
"""The type of a field that is left out; `msgspec.UNSET` is its value."""


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """Base of every answer. A reader ignores unknown fields."""


class Question(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every request body. Control refuses unknown fields."""


def as_object(body: object) -> dict[str, object]:
    """One body as a JSON object, absent fields left out; what it holds stays as it is.

    Made for `orjson.dumps(…, default=as_object)`. Raises TypeError for anything but a Struct.
    """
    if not isinstance(body, msgspec.Struct):
        raise TypeError(f"{type(body).__name__} is no body of the API")
    fields = ((name, getattr(body, name)) for name in body.__struct_fields__)
    return {name: value for name, value in fields if value is not msgspec.UNSET}


def encode(body: msgspec.Struct) -> bytes:
    """JSON bytes."""
    return orjson.dumps(body, default=as_object)


class Failure(Body, frozen=True, kw_only=True):
    """Every answer that is not a success.

    Attributes:
        code: `NXnnnn`.
        message: One sentence.
        hint: What to do about it, "" where there is nothing to say.
        cause: What was underneath, "" where nothing was.
    """

    code: str
    message: str
    hint: str = ""
    cause: str = ""


class Running(Body, frozen=True, kw_only=True):
    """A sequence on its way.

    Attributes:
        run: Id of the run.
        name: Of the sequence.
        on_change: `refuse`, `wait` or `abort`: what a deployment does that changes what the run uses.
        tags: Paths that it reads or writes.
        messages: Names of the messages that it publishes.
    """

    run: str
    name: str
    on_change: str = "refuse"
    tags: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()


class State(Body, frozen=True, kw_only=True):
    """The recorded state.

    Attributes:
        deployment: The one that recorded it last; 0 before the first.
        digest: Of everything.
        digests: Of each resource, by address.
        running: Sequences on their way.
        aliases: Old paths that are declared for a while, by path, also those whose time is over.
        in_flight: What is being applied at the moment, in words; "" is nothing.
    """

    deployment: int
    digest: str
    digests: dict[str, str]
    running: list[Running] = []
    aliases: list[Alias] = []
    in_flight: str = ""


class Addresses(Question, frozen=True, kw_only=True):
    """The requested resources."""

    addresses: Annotated[list[Name], msgspec.Meta(max_length=MOST_NAMES)]


class Resources(Body, frozen=True, kw_only=True):
    """Recorded attributes by address; of what is not recorded, nothing.

    Attributes:
        resources: By address.
        renamed: Present address by the one asked for (`device.…` or `tag.…`) of what was renamed since.
    """

    resources: dict[str, JsonObject]
    renamed: dict[str, str] = {}


class PlanSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a plan that control needs; it computes the rest itself.

    Attributes:
        moved: Old and new name of tags, devices or whole lines.
        summary: How many resources the plan creates, updates, …
        reach: What it does to the devices of templates and defaults, which only the files know.
    """

    moved: Annotated[list[tuple[Name, Name]], msgspec.Meta(max_length=10_000)] = []
    summary: Annotated[dict[Name, Count], msgspec.Meta(max_length=100)] = {}
    reach: Reach | Absent = msgspec.UNSET


class DeploymentRequest(Question, frozen=True, kw_only=True):
    """A deployment that is asked for.

    Attributes:
        base_digest, desired_digest: Of the recorded state that the plan was made against, and of the one it makes.
        changed: Attributes to record by address; None removes.
        plan: What of the plan control needs.
        reason: For the journal, the lock and the audit trail.
        allow: Consents to hazards, `NAME` or `NAME=GLOB`.
        effect: The effect that it must have, `sha256:…`; "" is any.
        approvals: Signed approvals of that effect.
        confirm_within_s: Control takes it back by itself when it is not confirmed so long after its end.
        undoes: The first deployment that it takes back; later ones are taken back with it.
        run_url: Page of the CI run that asks for it.
        rollout: In which waves it goes out, and what is done outside a maintenance window; None is all at once, and refuse.
    """

    base_digest: Name
    desired_digest: Name
    changed: Annotated[dict[Name, JsonObject | None], msgspec.Meta(min_length=1, max_length=MOST_RESOURCES)]
    plan: PlanSummary = PlanSummary()
    reason: Annotated[str, msgspec.Meta(max_length=1000, pattern=NO_NUL)] = ""
    allow: Annotated[list[Name], msgspec.Meta(max_length=1000)] = []
    effect: Annotated[str, msgspec.Meta(max_length=100)] | Absent = msgspec.UNSET
    approvals: Annotated[list[JsonObject], msgspec.Meta(max_length=20)] | Absent = msgspec.UNSET
    confirm_within_s: Annotated[int, msgspec.Meta(ge=LEAST_CONFIRM_S, le=MOST_CONFIRM_S)] | Absent = msgspec.UNSET
    undoes: Annotated[int, msgspec.Meta(ge=1, lt=2**31)] | Absent = msgspec.UNSET
    run_url: Annotated[str, msgspec.Meta(max_length=1000, pattern=r"^https?://[^\x00-\x20]+$")] | Absent = msgspec.UNSET
    rollout: RolloutRequest | Absent = msgspec.UNSET


class Accepted(Body, frozen=True, kw_only=True):
    """A deployment was accepted and got this number, from 1 upwards; or a rollout, whose waves get theirs one by one.

    Attributes:
        number: Of the deployment; 0 of a rollout.
        rollout: Number of the rollout; 0 of a deployment that goes out at once.
    """

    number: int
    rollout: int = 0


class Deployment(Body, frozen=True, kw_only=True):
    """One deployment.

    Attributes:
        number: From 1 upwards.
        who: Principal.
        reason: As it was given.
        state: `running` or `ended`.
        outcome: `running`, `applied`, `partly`, `failed`, `nothing`, or `stopped`: a wave whose gates failed.
        started, ended: `ended` is None while it runs.
        counts: Rows of its table by state and verification.
        left_out: Rows that its table does not have.
        allow: Consents to hazards that it had.
        run_url: Page of the CI run that made it; "" of one that a person made.
        undoes: The first deployment that it takes back; 0 when it takes none back.
        confirmation: How long it waits to be confirmed, or what became of that; None when it had not to be.
        rollout: The rollout of which it is a wave.
    """

    number: int
    who: str = ""
    reason: str = ""
    state: str
    outcome: str
    started: int = 0
    ended: int | None = None
    counts: dict[str, int] = {}
    left_out: int = 0
    allow: list[str] = []
    run_url: str = ""
    undoes: int = 0
    confirmation: Confirmation | None = None
    rollout: RolloutOf | Absent = msgspec.UNSET


class Deployments(Body, frozen=True, kw_only=True):
    """The newest first."""

    deployments: list[Deployment]


class JournalLine(Body, frozen=True, kw_only=True):
    """One line of a deployment's journal: every step is here before it happens.

    Attributes:
        id: Rises; a later line has a larger one.
        step: As in `plan/stages.py`.
        subject: What the step is about, such as a gateway; "" for the whole.
        state: `begun`, `done`, `failed` or `skipped`.
        detail: Facts of the step, which each has of its own kind; of a failed one `message`, `code`, `cause`.
        at: When it was written.
    """

    id: int
    step: str
    subject: str = ""
    state: str
    detail: JsonObject = {}
    at: int = 0


class TableRow(Body, frozen=True, kw_only=True):
    """How one changed resource ended.

    Attributes:
        state: `applied`, `failed`, `skipped` or `unknown`.
        action: `create`, `update`, `move` or `forget`.
        detail: Why, when it is not simply well.
        address: Of the resource.
        gateway: Who runs it; "" of what no gateway runs.
        verification: `verified`, `unverified`, `failed`, or "" where there is nothing to verify.
    """

    state: str
    action: str = ""
    detail: str = ""
    address: str
    gateway: str = ""
    verification: str = ""


class DeploymentProgress(Deployment, frozen=True, kw_only=True):
    """A deployment with its journal beyond the line that was asked for, and its table once it has ended."""

    journal: list[JournalLine] = []
    table: list[TableRow] = []


class ServicePause(Body, frozen=True, kw_only=True):
    """A device of a gateway that is out of service for a while.

    Attributes:
        until: When it ends, by the database's clock: what people see.
        left_us: How long from this answer on: the gateway counts it on its own clock, which may be another one.
        who, reason: Who asked for it, and why.
    """

    until: int
    left_us: int
    who: str
    reason: str


class GatewayIndex(Body, frozen=True, kw_only=True):
    """The configuration of a gateway.

    Attributes:
        deployment: The one that recorded it.
        digest: Of everything; "" from a control that does not send it.
        devices: Digest by device path.
        frames, compress: How it sends the record: `columns` or `json`; compressed `never`, `auto` or `always`.
        out_of_service: Devices that it leaves alone for a while, by path; they are among `devices` all the same.
        signatures: Which commands it takes only with a signature, and the keys.
        aliases: Old paths under which it publishes live values for a while.
    """

    deployment: int
    digest: str = ""
    devices: dict[str, str]
    frames: str = "columns"
    compress: str = "never"
    out_of_service: dict[str, ServicePause] = {}
    signatures: SignatureRules = SignatureRules()
    aliases: list[Alias] = []


class DevicePaths(Question, frozen=True, kw_only=True):
    """The requested devices of a gateway."""

    paths: Annotated[list[Name], msgspec.Meta(max_length=MOST_NAMES)]


class Devices(Body, frozen=True, kw_only=True):
    """A `DeviceConfig` in JSON by device path. Each is decoded by itself: one that can't be read spoils no other."""

    devices: dict[str, Any]


class Lock(Body, frozen=True, kw_only=True):
    """The holder of the site's lock.

    Attributes:
        owner: Principal.
        reason: Of the deployment that holds it.
        acquired, heartbeat, expires: When it was taken, prolonged, and runs out.
        expired: True when the term that it belongs to is over: the next deployment takes it.
        deployment: Number of the deployment that holds it; 0 is not known.
    """

    owner: str
    reason: str
    acquired: int
    heartbeat: int = 0
    expires: int = 0
    expired: bool = False
    deployment: int = 0


class LockHeld(Body, frozen=True, kw_only=True):
    """The holder of the lock; None when it is free."""

    lock: Lock | None


class LockBroken(Body, frozen=True, kw_only=True):
    """Whether the lock was held before it was taken away, and by whom."""

    broken: bool
    lock: Lock | None = None


class Alerts(Body, frozen=True, kw_only=True):
    """Every declared alert that the caller may see, by name."""

    alerts: list[Alert]


class AlertChange(Body, frozen=True, kw_only=True):
    """One change of an alert: `at` is when, `kind` what (`wire.alert.KINDS`), `who` did it and for which `reason`; the rest is as in
    `Alert`."""

    at: int
    state: str
    value: Value
    severity: str
    tag: str
    acknowledged_by: str
    kind: str = ""
    who: str = ""
    reason: str = ""


class AlertChanges(Body, frozen=True, kw_only=True):
    """Oldest first."""

    changes: list[AlertChange]
