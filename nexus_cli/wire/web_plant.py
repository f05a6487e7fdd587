"""Bodies of the HTTP API of the role web about what runs: lineage, why there is no data, devices, health. Times are µs since 1970 UTC."""

from __future__ import annotations

from nexus_cli.wire.control import Body
from nexus_cli.wire.health import DriftHealth
from nexus_cli.wire.web_find import QualityCounts


class Step(Body, frozen=True, kw_only=True):
    """One step of a chain: its name, and what happens there."""

    step: str
    text: str


class Lineage(Body, frozen=True, kw_only=True):
    """The way of a tag from the device to the row, and what depends on it.

    Attributes:
        path: Of the tag, or of a topic that an external device's glob means.
        kind: `device`, `calculated` or `external`.
        steps: As `nexus explain PATH` shows them; the place in the site file is known to the command alone.
        inputs: Of a calculated tag: path by the name that its expression has for it.
        used_by: Calculated tags that it is an input of.
        alerts: Alerts on it.
    """

    path: str
    kind: str
    steps: list[Step]
    inputs: dict[str, str] = {}
    used_by: list[str] = []
    alerts: list[str] = []


class PartCheck(Body, frozen=True, kw_only=True):
    """One part between the device and the row.

    Attributes:
        part: `declared`, `gateway`, `link`, `device`, `value`, `outbox`, `broker`, `historian`, `database`, `gap` or
            `dead_letter`.
        name: Which one; "".
        state: `ok`, `bad`, or `unknown` where nothing was said.
        text: In words.
        since: Since when; 0 when it is not known.
    """

    part: str
    state: str
    text: str
    name: str = ""
    since: int = 0


class Why(Body, frozen=True, kw_only=True):
    """Why a tag has no value, or why its value is not GOOD.

    Attributes:
        path: Of the tag.
        quality, reason: Of its newest value.
        verdict: One sentence: the first part that is the cause; where nothing is wrong, how the tag is read.
        checks: Every part, from the declaration to the row.
        stored: When its newest stored sample was; 0 without one, null when the database can't be asked.
    """

    path: str
    quality: str
    reason: str
    verdict: str
    checks: list[PartCheck]
    stored: int | None = None


class DeviceState(Body, frozen=True, kw_only=True):
    """One device, as its gateway says.

    Attributes:
        path: `area/line/device`.
        protocol, gateway, link, description: As declared.
        enabled: False of one that is out of service by the site file.
        state: `answers`, `silent`, `link` (its link is not connected), `gateway` (its gateway does not run or has not
            reported), `unread` (nothing was read yet), `disabled` or `external`.
        detail: Why it does not answer; "".
        since: Of the state; 0 when it is not known.
        document: What it runs: `recorded` (the document that is recorded), `another`, `absent` (none); `unknown` when
            its gateway does not say.
        link_state: `idle`, `connecting`, `connected`, `backoff`; "" when it is not known.
        link_detail, link_since: Why, and since when.
        reason, code: Why it is silent, the protocol's own code.
        tags: How many the caller may read; `counts` by quality.
        polls, missed, skipped, errors: Since it was configured; null where its gateway gives none.
        errors_by_kind: Failures by reason.
        last_answer: When it answered last; 0 for never; null when it is not known.
        read_ms: How long a read takes, smoothed; null when it is not known.
        polled_instead: Tags that it does not report and that are polled.
        limits: Why.
    """

    path: str
    protocol: str
    gateway: str
    link: str
    description: str
    enabled: bool
    state: str
    detail: str = ""
    since: int = 0
    document: str = "unknown"
    link_state: str = ""
    link_detail: str = ""
    link_since: int = 0
    reason: str = ""
    code: int = 0
    tags: int = 0
    counts: QualityCounts = QualityCounts()
    polls: int | None = None
    missed: int | None = None
    skipped: int | None = None
    errors: int | None = None
    errors_by_kind: dict[str, int] = {}
    last_answer: int | None = None
    read_ms: float | None = None
    polled_instead: int = 0
    limits: str = ""


class Devices(Body, frozen=True, kw_only=True):
    """Devices in path order; `total` and `states` (how many of each) are of all that match."""

    devices: list[DeviceState]
    total: int
    states: dict[str, int]


class RoleHealth(Body, frozen=True, kw_only=True):
    """One process, from its health message.

    Attributes:
        role, name: Whose.
        state: `running`, `waiting`, `stopping`, `lost`, or `silent` where a running one has not reported for 30 s.
        time: When it said so; 0 in a last will.
        version: Of nexus.
        host: Of a gateway; "".
        detail: What is wrong; "".
    """

    role: str
    name: str
    state: str
    time: int = 0
    version: str = ""
    host: str = ""
    detail: str = ""


class PartHealth(Body, frozen=True, kw_only=True):
    """The broker or the database, as this web sees it: `up` or `down`, and why."""

    state: str
    detail: str = ""


class DatabaseHealth(PartHealth, frozen=True, kw_only=True):
    """The database; its size in bytes, null when it can't be asked."""

    size_bytes: int | None = None


class OutboxState(Body, frozen=True, kw_only=True):
    """The disk log of a gateway.

    Attributes:
        gateway: Whose.
        size_bytes, free_bytes: Its size, and what is free on its disk (null: not known).
        uncommitted: Frames without a receipt.
        failing: Why the disk takes no frames; "".
        lost: Frames lost, by the loss.
        waiting_topics: How many topics the broker does not pass on records of.
    """

    gateway: str
    size_bytes: int
    free_bytes: int | None
    uncommitted: int
    failing: str = ""
    lost: dict[str, int] = {}
    waiting_topics: int = 0


class DiskState(Body, frozen=True, kw_only=True):
    """The disk of a process's folder, in bytes."""

    where: str
    total_bytes: int
    free_bytes: int


class CertificateState(Body, frozen=True, kw_only=True):
    """A certificate in a file of this web's machine: its end, and a sentence once that is near."""

    name: str
    not_after: int
    doubt: str = ""


class PlantHealth(Body, frozen=True, kw_only=True):
    """How everything runs.

    Attributes:
        site: `enterprise/site`.
        deployment: Number of the newest one that is recorded.
        state: `up`, or `degraded` when there is a problem.
        problems: One sentence each.
        roles: Every process that has reported, by role and name.
        broker, database: As this web sees them.
        outboxes: By gateway.
        disks, certificates: Of this web's machine.
        links: Links by state, over all gateways.
        silent_devices: Devices that give no value that counts, by reason.
        counts: Tags that the caller may read, by quality.
        drift: Control's look for drift; null without a schedule.
    """

    site: str
    deployment: int
    state: str
    problems: list[str]
    roles: list[RoleHealth]
    broker: PartHealth
    database: DatabaseHealth
    outboxes: list[OutboxState]
    disks: list[DiskState]
    certificates: list[CertificateState]
    links: dict[str, int]
    silent_devices: dict[str, int]
    counts: QualityCounts
    drift: DriftHealth | None = None
