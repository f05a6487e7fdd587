"""State of a gateway: its health message and `/status`. See `health` for what is unset."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from nexus_cli.json_value import read_fields
from nexus_cli.wire.clock_health import ClockHealth
from nexus_cli.wire.device_reads import DeviceReads
from nexus_cli.wire.field_types import Count, Instance, Microseconds, one_of
from nexus_cli.wire.health import Health, Latencies, Stalled
from nexus_cli.wire.live_health import LiveHealth

LINK_STATES = ("idle", "connecting", "connected", "backoff")
MOST_NAMED = 1_000
"""Devices that a list of a health message names; so it stays small enough for a broker, whatever fails."""
MARK_DIGITS = 8


class LinkHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One link.

    Attributes:
        state: One of `LINK_STATES`.
        detail: Why it is not connected, or what limits it.
        since: Of the state, µs since 1970 UTC.
        devices, answering: Devices that are switched on; those of them that give values.
        connect_ms: How long the newest connect took; 0: not measured, as in every measure here.
        cycle_ms, requests: The longest of the newest poll turns, and its requests.
        request_ms: How long one request takes, smoothed.
    """

    state: Annotated[str, one_of(LINK_STATES)] = ""
    detail: str = ""
    since: Microseconds = 0
    devices: Count = 0
    answering: Count = 0
    connect_ms: float = 0.0
    cycle_ms: float = 0.0
    requests: Count = 0
    request_ms: float = 0.0


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
        runs: By path, the mark of the recorded document that it runs (`mark_of`), at most 1,000, those of the first paths.
            A device that could not be taken up is not there; unset in older versions.
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
    runs: (
        Annotated[
            dict[str, str],
            Meta(description="By device path: the first 8 hexadecimal digits of the digest of what it runs."),
        ]
        | UnsetType
    ) = UNSET
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


_gateway = msgspec.json.Decoder(GatewayHealth)


def mark_of(digest: str) -> str:
    """What health says of a digest (`sha256:…`): enough to see that two differ, short since there may be a thousand."""
    return digest.removeprefix("sha256:")[:MARK_DIGITS]


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
