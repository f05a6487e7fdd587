"""State of a process: the health message (retained, with a last will) and `/status` on its HTTP port.

One document per role. A field is unset where it belongs to the other of the two: `state`, `time`, `version` to the
message, `ready`, `detail` and `tags` to `/status`. Every other field has a default, so that a reader takes the document
of an older version; a writer names them all.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from nexus_cli.json_value import read_fields
from nexus_cli.wire.confirmation import Confirmation
from nexus_cli.wire.field_types import Instance, Microseconds, one_of
from nexus_cli.wire.latency_health import OperationLatency

ROLES = ("control", "gateway", "historian", "web", "worker")


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The head of every health message; the last will is this alone.

    Attributes:
        state: `running`, `waiting`, `stopping` or `lost`.
        time: When it was said, µs since 1970 UTC; unset in a last will.
        version: Of nexus.
        role, name: Whose it is.
    """

    state: (
        Annotated[
            str,
            Meta(
                description="waiting: another process of this name works; such a message is not retained.",
                extra_json_schema={"enum": ["running", "waiting", "stopping", "lost"]},
            ),
        ]
        | UnsetType
    ) = UNSET
    time: Microseconds | UnsetType = UNSET
    version: str | UnsetType = UNSET
    role: Annotated[str, one_of(ROLES)] | UnsetType = UNSET
    name: str | UnsetType = UNSET


class LastWill(Health, frozen=True, kw_only=True):
    """The message that the broker publishes for a lost process; `instance` is that process."""

    instance: str | UnsetType = UNSET


Stalled: TypeAlias = Annotated[
    list[str],
    Meta(description="What has work and does none of it, as sentences; empty while everything moves."),
]
Latencies: TypeAlias = Annotated[
    dict[str, OperationLatency],
    Meta(description="How long its operations take, by kind."),
]


class OperatingHealth(Health, frozen=True, kw_only=True):
    """What the health of every role has, for who reads the latencies of all of them."""

    latencies: Latencies = {}


class QueueHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The queue of a historian: messages and their bytes."""

    messages: int = 0
    bytes: int = 0


class KnownOutbox(msgspec.Struct, frozen=True, kw_only=True):
    """One epoch of a gateway's disk log as the historian knows it, with its number of ranges."""

    gateway: str
    epoch: str
    ranges: int


class HistorianHealth(Health, frozen=True, kw_only=True):
    """A historian.

    Attributes:
        site: `enterprise/site`; in `/status` alone.
        broker, database: `connected`, else `away` or why.
        shared_subscription: Whether the broker gives each message to one of several historians.
        stalled: What has work and does none of it.
        stores_others_alone: Whether it has the turn to store messages of others.
        clock_doubt: Why frames are held; "": they are not.
        queue: What waits.
        waiting_aside: Samples that wait aside.
        clock_steps: Steps of the machine's clock over 1 s.
        counters: By name, since the start (`runtime/historian/counters.py`).
        latencies: Of `commit` and `queue`.
        undeclared_topics: Messages by topic that nothing declares; in `/status` alone.
        outboxes: In `/status` alone.
    """

    site: str | UnsetType = UNSET
    broker: str = ""
    database: str = ""
    shared_subscription: bool = False
    stalled: Stalled = []
    stores_others_alone: bool = False
    clock_doubt: str = ""
    queue: QueueHealth = QueueHealth()
    waiting_aside: int = 0
    clock_steps: int = 0
    counters: dict[str, int] = {}
    latencies: Latencies = {}
    undeclared_topics: dict[str, int] | UnsetType = UNSET
    outboxes: list[KnownOutbox] | UnsetType = UNSET


class BrokerLink(msgspec.Struct, frozen=True, kw_only=True):
    """Control's connection to the broker."""

    connected: bool = False
    reconnects: int = 0


class WebHealth(Health, frozen=True, kw_only=True):
    """A web.

    Attributes:
        site: `enterprise/site`; in `/status` alone.
        ready, detail: Whether it serves everything, and what is missing; in `/status` alone.
        instance: The process.
        deployment: Number of the deployment that it shows.
        tags, topics: Declared tags; topics that it keeps the newest message of.
        broker, database: `connected`, else why not.
        clients: Open WebSockets and event streams.
        latencies: Of `api`.
        stalled: What has work and does none of it.
    """

    site: str | UnsetType = UNSET
    ready: bool | UnsetType = UNSET
    detail: str | UnsetType = UNSET
    instance: Instance = ""
    deployment: int = 0
    tags: int = 0
    topics: int = 0
    broker: str = ""
    database: str = ""
    clients: int = 0
    latencies: Latencies = {}
    stalled: Stalled = []


class ArchiveHealth(msgspec.Struct, frozen=True, kw_only=True):
    """State of the archive.

    Attributes:
        waiting: Days that are due and not in the archive.
        oldest: The first of them.
        behind_s: How long it has been due, in seconds.
        problem: What to do something about: days have been due for more than a day. Nothing is dropped meanwhile.
    """

    waiting: int = 0
    oldest: str = ""
    behind_s: int = 0
    problem: str = ""


class WorkerHealth(Health, frozen=True, kw_only=True):
    """A worker.

    Attributes:
        site: `enterprise/site`; in `/status` alone.
        ready, detail: Whether it takes jobs, and what is missing; in `/status` alone.
        instance: The process.
        broker, database: `connected`, else why not.
        kinds: Of the jobs that it takes.
        running: Jobs in hand.
        counters: Tries since the start: `done`, `again` (failed, tried again later), `failed` (given up), and `late_results`
            (refused: another worker had the job).
        stalled: What has work and does none of it.
        archive: State of the archive.
    """

    site: str | UnsetType = UNSET
    ready: bool | UnsetType = UNSET
    detail: str | UnsetType = UNSET
    instance: Instance = ""
    broker: str = ""
    database: str = ""
    kinds: list[str] = []
    running: int = 0
    counters: dict[str, int] = {}
    stalled: Stalled = []
    archive: ArchiveHealth = ArchiveHealth()


class DriftHealth(msgspec.Struct, frozen=True, kw_only=True):
    """Control's look for drift.

    Attributes:
        every_ms: Time from one look to the next, in ms.
        looked: When it looked last, µs since 1970 UTC; 0 is never.
        findings: Of the newest look, by severity.
        unknown: Parts that it could not look at.
        problem: Why the last look failed.
    """

    every_ms: int = 0
    looked: Microseconds = 0
    findings: dict[str, int] = {}
    unknown: int = 0
    problem: str = ""


class ControlHealth(Health, frozen=True, kw_only=True):
    """A control; what belongs to a term is unset in a standby.

    Attributes:
        site: `enterprise/site`.
        ready, detail: Whether it does its work, and why not.
        leads: Whether it leads its site.
        term: In which it leads.
        instance: Of this process.
        leader: Where the one that leads is; "" when it is this one or none is known.
        latencies: Of `api`, and of `write` by its sequences.
        stalled: What has work and does none of it.
        broker: Its connection.
        deployment_running: Its number; 0 when none runs.
        unconfirmed: The deployment that waits to be confirmed; None when none does.
        rollout: Where the rollout in flight is, in words, or why the newest one was stopped; "" otherwise.
        gateways_lost, gateways_stopped: By name.
        gateways_waiting: Processes that wait because another one of their name works, by gateway.
        links: State of every link by gateway, as the gateways say.
        sequences_running: By name.
        alerts_active: Alerts that are not cleared.
        alert_changes_waiting: Changes of alerts that are not stored yet.
        drift: Its look for drift; unset without a schedule.
        audit_anchor: `NUMBER:DIGEST` of the audit trail's newest link; "" before the first.
    """

    site: str = ""
    ready: bool = False
    detail: str = ""
    leads: bool = False
    term: int = 0
    instance: str = ""
    leader: str = ""
    latencies: Latencies = {}
    stalled: list[str] | UnsetType = UNSET
    broker: BrokerLink | UnsetType = UNSET
    deployment_running: int | UnsetType = UNSET
    unconfirmed: Confirmation | UnsetType | None = UNSET
    rollout: str | UnsetType = UNSET
    gateways_lost: list[str] | UnsetType = UNSET
    gateways_stopped: list[str] | UnsetType = UNSET
    gateways_waiting: dict[str, str] | UnsetType = UNSET
    links: dict[str, dict[str, str]] | UnsetType = UNSET
    sequences_running: list[str] | UnsetType = UNSET
    alerts_active: int | UnsetType = UNSET
    alert_changes_waiting: int | UnsetType = UNSET
    audit_anchor: str | UnsetType = UNSET
    drift: DriftHealth | UnsetType = UNSET


H = TypeVar("H", bound=Health)


def encode(health: Health) -> bytes:
    """JSON bytes."""
    return msgspec.json.encode(health)


def decode_status(payload: bytes, kind: type[H]) -> H:
    """Read what a role answers on `/status`; a field of another type has its default."""
    try:
        return read_fields(msgspec.json.decode(payload), kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return kind()
