"""The files in `.nexus/`, and `runtime.json` with the addresses, which are kept over restarts so that URLs stay the
same."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from nexus_cli.access.grants import CLI, CONTROL, HISTORIAN, WEB, WORKER, gateway_principal
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.local.credentials import write_private
from nexus_cli.local.ports import LOOPBACK, free_port, in_url, reached_at
from nexus_cli.settings import CREDENTIALS_FILE, RUNTIME_FILE, Settings

EXTERNAL = "external"
MOSQUITTO = "mosquitto"
AMQTT = "amqtt"
EMBEDDED = "embedded"
SUPERVISOR = "supervisor"


class Runtime(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`runtime.json`. `settings` reads the fields before `broker_kind`; the rest is for the supervisor.

    Attributes:
        site: `enterprise/site`.
        http_ports: HTTP port of each role by principal.
        broker_accounts: `site` when the broker knows our principals by names with the site behind them.
        broker_kind: `mosquitto`, `amqtt` or `external`.
        database_kind: `embedded` or `external`.
        gateways: Names, sorted.
        folder: Working directory of the roles (relative `${file:…}` references).
        references: Variables in `${env:…}`, by gateway.
        notification_references: Variables in `${env:…}` of channels, which the worker reads.
        password_references: Variables in `${env:…}` of users' passwords, which control reads.
        signing_references: Variables of signing keys, by principal.
        instance: Id of this runtime, independent of its folder; its processes have it in their environment.
        beside: True when it may run beside another runtime of its site.
        listen: Address that the parts listen on; "" is the loopback interface.
        mutual_tls: True when broker and database ask clients for a certificate.
        http_cert, http_key, http_ca: Files of HTTP: what the roles show, and whom to trust.
        database_tls: True when the embedded database listens there too.
        database_programs: The `bin` folder of another PostgreSQL than the embedded one; "" for that.
        environment: `mock` or `replay`; "" is the plant. Written when the folder is made, and never changed.
        environment_detail: A sentence about it.
        mock_folder: Where the CSV files of simulated signals are looked for: the site's folder.
    """

    site: str = ""
    control_url: str = ""
    broker_url: str = ""
    broker_ca: str = ""
    broker_cert: str = ""
    broker_key: str = ""
    broker_accounts: str = ""
    database_url: str = ""
    database_ca: str = ""
    database_cert: str = ""
    database_key: str = ""
    http_ports: dict[str, int] = {}
    broker_kind: str = ""
    database_kind: str = ""
    gateways: list[str] = []
    folder: str = ""
    references: dict[str, list[str]] = {}
    password_references: list[str] = []
    notification_references: list[str] = []
    signing_references: dict[str, list[str]] = {}
    instance: str = ""
    beside: bool = False
    listen: str = ""
    mutual_tls: bool = False
    http_cert: str = ""
    http_key: str = ""
    http_ca: str = ""
    database_tls: bool = False
    database_programs: str = ""
    environment: str = ""
    environment_detail: str = ""
    mock_folder: str = ""

    @property
    def web_url(self) -> str:
        """Where the page is; "" before a port was chosen."""
        port = self.http_ports.get(WEB, 0)
        scheme = "https" if self.listen else "http"
        return f"{scheme}://{in_url(reached_at(self.listen))}:{port}" if port else ""

    @property
    def principals(self) -> tuple[str, ...]:
        """The principals of the roles and of the command line."""
        return (CONTROL, HISTORIAN, WEB, WORKER, *(gateway_principal(name) for name in self.gateways), CLI)


@dataclass(frozen=True, slots=True)
class Home:
    """The `.nexus` folder of one runtime."""

    path: Path

    @property
    def run(self) -> Path:
        """Process ids and the supervisor's state."""
        return self.path / "run"

    @property
    def logs(self) -> Path:
        """The folder of log files, one per process."""
        return self.path / "logs"

    @property
    def runtime_file(self) -> Path:
        """`runtime.json`."""
        return self.path / RUNTIME_FILE

    @property
    def state_file(self) -> Path:
        """The supervisor's state of each service, written on every change."""
        return self.run / "state.json"

    def pid_file(self, name: str) -> Path:
        """`run/NAME.pid`."""
        return self.run / f"{name}.pid"

    def log_file(self, name: str) -> Path:
        """`logs/NAME.log`."""
        return self.logs / f"{name}.log"

    def log_of(self, name: str) -> str:
        """The log to show for a service: its own, or the supervisor's if it never wrote one."""
        return name if self.log_file(name).exists() else "supervisor"

    def make(self) -> None:
        """Create the folder, accessible only to its owner."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.run.mkdir(mode=0o700, exist_ok=True)
        self.logs.mkdir(mode=0o700, exist_ok=True)

    def remove_empty(self) -> None:
        """Remove the folder if it contains only what `make` creates, so that a refused start leaves nothing behind."""
        if set(self.path.iterdir()) <= {self.run, self.logs}:
            with contextlib.suppress(OSError):  # one of them is not empty
                for folder in (self.run, self.logs, self.path):
                    folder.rmdir()

    def there(self) -> bool:
        """False once the folder, or all its important files, were removed."""
        return self.runtime_file.exists() or (self.path / CREDENTIALS_FILE).exists()

    def read_runtime(self) -> Runtime:
        """Read `runtime.json`; an empty `Runtime` when there is none.

        Raises:
            NexusError: NX6501, the file is not valid.
        """
        try:
            return msgspec.json.decode(self.runtime_file.read_bytes(), type=Runtime)
        except FileNotFoundError:
            return Runtime()
        except (OSError, msgspec.MsgspecError) as error:
            raise NexusError(
                f"The file {self.runtime_file} can't be read.",
                code="NX6501",
                cause=str(error),
                hint="remove it; `nexus up` writes a new one (data and credentials stay)",
                exit_code=1,
            ) from None

    def instance(self) -> str:
        """The id of the runtime of this folder; "" when unknown (no folder, an older or damaged file)."""
        try:
            return self.read_runtime().instance
        except NexusError:
            return ""

    def write_runtime(self, runtime: Runtime) -> None:
        """Write `runtime.json` atomically."""
        if runtime == Runtime():
            self.runtime_file.unlink(missing_ok=True)
            return
        data = msgspec.json.format(msgspec.json.encode(runtime), indent=2)
        write_private(self.runtime_file, data, mode=0o644)


def assign_ports(runtime: Runtime, *, running: bool) -> None:
    """Assign a port to each server that the supervisor runs: the previous one if it is free (or in use by that server),
    else another.

    Args:
        runtime: Changed in place: URLs and `http_ports`.
        running: True when the runtime is up: then assigned ports are kept.
    """
    taken: list[int] = []

    def keep(port: int) -> int:
        chosen = port if running and port else free_port(preferred=port, taken=taken, host=runtime.listen or LOOPBACK)
        taken.append(chosen)
        return chosen

    host, tls = in_url(reached_at(runtime.listen)), "s" if runtime.listen else ""
    if runtime.broker_kind != EXTERNAL:
        runtime.broker_url = f"mqtt{tls}://{host}:{keep(port_of(runtime.broker_url))}"
    if runtime.database_kind != EXTERNAL:
        server = host if runtime.database_tls else LOOPBACK
        runtime.database_url = f"postgresql://nexus@{server}:{keep(port_of(runtime.database_url))}/nexus"
    wanted = [principal for principal in runtime.principals if principal != CLI]
    runtime.http_ports = {principal: keep(runtime.http_ports.get(principal, 0)) for principal in wanted}
    runtime.control_url = f"http{tls}://{host}:{runtime.http_ports[CONTROL]}"


def port_of(url: str) -> int:
    """The port of a URL in `runtime.json`; 0 when there is none."""
    tail = url.rpartition("@")[2].rpartition("//")[2].partition("/")[0].rpartition(":")[2]
    return int(tail) if tail.isdecimal() else 0


def home_of(settings: Settings) -> Home:
    """The `.nexus` folder that the settings name."""
    return Home(Path(settings.home).resolve())
