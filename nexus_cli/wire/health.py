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
from nexus_cli.wire.clock_health import ClockHealth
from nexus_cli.wire.device_reads import DeviceReads
from nexus_cli.wire.field_types import Count, Instance, Microseconds, one_of
from nexus_cli.wire.latency_health import OperationLatency
from nexus_cli.wire.live_health import LiveHealth

LINK_STATES = ("idle", "connecting", "connected", "backoff")
ROLES = ("control", "gateway", "historian", "web")


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


class LinkHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One link: its state, why it is not connected or what limits it, and since when (µs since 1970 UTC)."""

    state: Annotated[str, one_of(LINK_STATES)] = ""
    detail: str = ""
    since: Microseconds = 0


class SilentDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A device that is enabled and gives no usable value.

    Attributes:
        path: `area/line/device`.
        reason: Of most of its tags.
        code: The protocol's own.
        detail: The reason in words; "" when they are about an earlier time.
        since: When its last tag became BAD, µs since 1970 UTC.
        answers: Whether it answers requests.
    """

    path: str
    reason: str = ""
    code: int = 0
    detail: str = ""
    since: int = 0
    answers: bool = False


class LimitedDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A device that does not report all that it should.

    Attributes:
        polled: Tags that are polled instead, 200 at most.
        count: How many there are.
        why: What the device or its server said.
    """

    polled: Annotated[list[str], Meta(description="Tags that are polled instead, 200 at most.")] = []
    count: Annotated[int, Meta(description="How many there are.", extra_json_schema={"minimum": 0})] = 0
    why: Annotated[str, Meta(description="What the device or its server said.")] = ""


class PausedDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A device that a person took out of service for a while.

    Attributes:
        since: When the gateway learned of it, µs since 1970 UTC.
        until: When it ends, by the database's clock, µs since 1970 UTC; the gateway counts the time itself.
        who, reason: Who asked for it, and why.
        closed: Whether the device's session is closed, or on a shared link its part of it.
    """

    since: Microseconds = 0
    until: Microseconds = 0
    who: str = ""
    reason: str = ""
    closed: bool = False


class OutboxHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The record's part of a gateway.

    Attributes:
        epoch: Of the disk log that is open.
        bytes: Its size.
        uncommitted: Durable frames without a receipt.
        failing: Why the disk takes no frames; "": it does.
        lost: Frames lost, by the loss.
        waiting_topics: Topics whose records the broker does not pass on, 100 at most.
        limit_bytes: Size of messages that the broker does not pass on; 0 when no limit is known.
        free_bytes: Free on its disk; None when that can't be asked.
    """

    epoch: str = ""
    bytes: int = 0
    uncommitted: int = 0
    failing: str = ""
    lost: dict[str, int] = {}
    waiting_topics: list[str] = []
    limit_bytes: int = 0
    free_bytes: int | None = None


class CommandsHealth(msgspec.Struct, frozen=True, kw_only=True):
    """Commands of a gateway by how they ended, those that wait, and its journal of them.

    Attributes:
        done, refused, failed, unknown: Commands by how they ended, since the start.
        waiting: Commands that wait or are at a device.
        remembered: Ids in the journal.
        failing: Why the journal can't be written; "": it can.
        connected: Whether commands are received.
    """

    done: int = 0
    refused: int = 0
    failed: int = 0
    unknown: int = 0
    waiting: int = 0
    remembered: int = 0
    failing: str = ""
    connected: bool = False


class GatewayCounters(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of a gateway since its start.

    Attributes:
        accepted: Frames and gaps made durable.
        published, repeated: Frames handed to the broker; those sent again for want of a receipt.
        missed_cycles: Poll cycles skipped because the one before was late.
        live_published, live_conflated: Live values published; replaced before they were.
    """

    accepted: int = 0
    published: int = 0
    repeated: int = 0
    missed_cycles: int = 0
    live_published: int = 0
    live_conflated: int = 0


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


class GatewayHealth(Health, frozen=True, kw_only=True):
    """A gateway.

    Attributes:
        ready, detail: Whether it does its work, and why not; in `/status` alone.
        tags: Tags by the quality of their newest sample, `UNKNOWN` before the first; in `/status` alone.
        instance, host, pid: The process.
        term: When it took its name over from another instance, µs since 1970 UTC.
        waiting: Why it is not on duty; "" when it is.
        accounted_since: It declares what it did not read since then, µs since 1970 UTC; 0 for always.
        deployment, digest: What runs.
        configuration: Why control's configuration is not taken; "" when it is.
        devices: How many it has.
        silent: Those that give no value that counts, by path, at most 1,000.
        silent_left_out: How many more there are.
        silent_reasons: How many of each reason, the most frequent first; unset in older versions.
        limited: Devices that do not report all that they should, by path.
        out_of_service: Devices that a person took out of service for a while, by path; their sessions are closed.
        links: By link id.
        reads: How each device is read, by path, at most 1,000.
        canary: State of the publish check (does the broker deliver what it acknowledges?): `waiting`, `echoed` or `silent`.
        stalled: What has work and does none of it.
        gaps: Gaps declared, by reason.
        live: How well the live view keeps up.
        latencies: Of `read`, `poll`, `publish`, `live` and `write`.
    """

    ready: bool | UnsetType = UNSET
    detail: str | UnsetType = UNSET
    tags: dict[str, int] | UnsetType = UNSET
    instance: Instance = ""
    host: Annotated[str, Meta(description="Name of the machine.")] = ""
    pid: Count = 0
    term: Annotated[int, Meta(description="When this gateway took its name over from another instance.")] = 0
    waiting: str = ""
    accounted_since: Annotated[
        int, Meta(description="Of a gateway: it declares what it did not read since then; 0 for always.")
    ] = 0
    deployment: int = 0
    digest: str = ""
    configuration: str = ""
    devices: int = 0
    silent: list[SilentDevice] = []
    silent_left_out: int = 0
    silent_reasons: dict[str, int] | UnsetType = UNSET
    out_of_service: dict[str, PausedDevice] = {}
    limited: dict[str, LimitedDevice] = {}
    links: dict[str, LinkHealth] = {}
    reads: dict[str, DeviceReads] = {}
    commands: CommandsHealth = CommandsHealth()
    canary: str = ""
    clock: ClockHealth = ClockHealth()
    stalled: Stalled = []
    outbox: OutboxHealth = OutboxHealth()
    gaps: dict[str, int] = {}
    live: LiveHealth = LiveHealth()
    latencies: Latencies = {}
    counters: GatewayCounters = GatewayCounters()


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
        gateways_lost, gateways_stopped: By name.
        gateways_waiting: Processes that wait because another one of their name works, by gateway.
        links: State of every link by gateway, as the gateways say.
        sequences_running: By name.
        alerts_active: Alerts that are not cleared.
        alert_changes_waiting: Changes of alerts that are not stored yet.
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
    gateways_lost: list[str] | UnsetType = UNSET
    gateways_stopped: list[str] | UnsetType = UNSET
    gateways_waiting: dict[str, str] | UnsetType = UNSET
    links: dict[str, dict[str, str]] | UnsetType = UNSET
    sequences_running: list[str] | UnsetType = UNSET
    alerts_active: int | UnsetType = UNSET
    alert_changes_waiting: int | UnsetType = UNSET


_gateway = msgspec.json.Decoder(GatewayHealth)
H = TypeVar("H", bound=Health)


def encode(health: Health) -> bytes:
    """JSON bytes."""
    return msgspec.json.encode(health)


def decode_gateway(payload: bytes) -> GatewayHealth:
    """Read a gateway's health, also of another version: a field of another type has its default.

    Raises:
        msgspec.MsgspecError: Not a JSON object; UnicodeDecodeError and RecursionError likewise.
    """
    try:
        return _gateway.decode(payload)
    except msgspec.ValidationError:
        document = msgspec.json.decode(payload)
        if not isinstance(document, dict):
            raise
        return read_fields(document, GatewayHealth)


def decode_status(payload: bytes, kind: type[H]) -> H:
    """Read what a role answers on `/status`; a field of another type has its default."""
    try:
        return read_fields(msgspec.json.decode(payload), kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return kind()
