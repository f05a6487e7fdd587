"""The result of `nexus status`, in the form of its JSON. Times of links and devices are µs since 1970 UTC, of processes seconds."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

UP = "up"
DOWN = "down"
DEGRADED = "degraded"


class ProcessReport(msgspec.Struct, frozen=True, kw_only=True):
    """A process that runs for this folder."""

    name: str
    pid: int


class SupervisorReport(msgspec.Struct, frozen=True, kw_only=True):
    """Whether what ends is started again: `state`, the supervisors' process ids, and what is odd about them."""

    state: str
    pids: list[int]
    detail: str


class ServerReport(msgspec.Struct, frozen=True, kw_only=True):
    """The broker or the database.

    Attributes:
        kind: Such as `mosquitto` or `external`; `none` where there is none.
        url: Without passwords.
        state: `up`, `degraded` or `down`.
        detail: Why it is not up.
        limits: What this kind of broker can't do.
        pid: 0 when its process is not known.
        restarts: Since the supervisor began.
        since: Of its state, seconds since 1970; 0 when it is not known.
        log: What to give to `nexus logs`.
    """

    kind: str
    url: str
    state: str
    detail: str
    limits: str | UnsetType = UNSET
    pid: int = 0
    restarts: int | UnsetType = UNSET
    since: float | UnsetType = UNSET
    log: str | UnsetType = UNSET


class RoleReport(msgspec.Struct, frozen=True, kw_only=True):
    """Control, the historian, web or a gateway.

    Attributes:
        name: `control`, `historian`, `web`, `worker` or `gateway-NAME`.
        state, detail, pid, restarts, since, log: As in `ServerReport`.
        port: Of its HTTP on this machine.
        url: Of its HTTP with TLS; left out without.
        status: What it answers on `/status`, as it came; `{}` when it does not answer.
    """

    name: str
    state: str
    detail: str
    port: int
    url: str | UnsetType = UNSET
    pid: int = 0
    restarts: int = 0
    since: float = 0.0
    status: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"{}"))
    log: str | UnsetType = UNSET

    @property
    def gateway(self) -> str:
        """The gateway's name; "" of another role."""
        prefix, _, name = self.name.partition("-")
        return name if prefix == "gateway" else ""

    @property
    def mute(self) -> bool:
        """Whether it did not answer."""
        return bytes(self.status) == b"{}"


class LinkReport(msgspec.Struct, frozen=True, kw_only=True):
    """A link, as its gateway says."""

    gateway: str
    link: str
    state: str = ""
    detail: str = ""
    since: int = 0


class DeviceReport(msgspec.Struct, frozen=True, kw_only=True):
    """A device without a value that counts, as its gateway says (see `wire.health.SilentDevice`)."""

    gateway: str
    path: str
    reason: str = ""
    code: int = 0
    detail: str = ""
    since: int = 0
    answers: bool = False


class AccessReport(msgspec.Struct, frozen=True, kw_only=True):
    """The broker's rules: whether they are ours to manage, how many there are, and whether it follows them."""

    managed: bool
    rules: int
    in_force: bool


class CertificateReport(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate that the runtime depends on.

    Attributes:
        name: Of its file, or `broker-server` and `database-server` for what these show.
        file: "" for what a server shows.
        not_after: Its end, seconds since 1970 UTC.
        doubt: A sentence once it ends within 30 days; "" before.
    """

    name: str
    file: str
    not_after: int
    doubt: str = ""


class OldPathReport(msgspec.Struct, frozen=True, kw_only=True):
    """An old path under which values are published until a time, beside where they are now.

    Attributes:
        old, to: `area`, `area/line`, `area/line/device` or `area/line/device/tag`, both as deep.
        until: When it ends by itself.
    """

    old: str
    to: str
    until: int


class StatusReport(msgspec.Struct, frozen=True, kw_only=True):
    """The whole status.

    Attributes:
        format_version: Of this document.
        state: `up`, `degraded` (something is not well) or `down` (nothing of it runs).
        site: `enterprise/site`; "" where nothing was started.
        environment: `live`, `mock` or `replay`.
        environment_detail: A sentence about it; "" of the plant.
        simulator: Of a mock: the process with the simulators.
        supervisor, processes: What runs for this folder.
        home: The folder.
        original: Of a copied folder: the folder whose runtime runs.
        control_url: "" where nothing runs.
        broker, database, roles: The parts.
        links: Of every gateway that answers.
        devices: Those without a value that counts, as far as their gateways name them.
        devices_left_out: How many more there are.
        device_reasons: Devices by reason, those that are not named included, the most frequent first.
        tags: Tags by the quality of their newest sample, over every gateway that answers.
        access: The broker's rules.
        certificates: Those that the runtime depends on.
        old_paths: Old paths under which values are still published; left out where control does not say.
    """

    format_version: str = "1.0"
    state: str
    site: str
    supervisor: SupervisorReport
    processes: list[ProcessReport]
    home: str
    original: str | UnsetType = UNSET
    control_url: str
    broker: ServerReport
    database: ServerReport
    roles: list[RoleReport]
    links: list[LinkReport]
    devices: list[DeviceReport]
    devices_left_out: int
    device_reasons: dict[str, int]
    tags: dict[str, int]
    access: AccessReport
    certificates: list[CertificateReport] = []
    environment: str = "live"
    environment_detail: str = ""
    simulator: ServerReport | UnsetType = UNSET
    old_paths: list[OldPathReport] | UnsetType = UNSET
