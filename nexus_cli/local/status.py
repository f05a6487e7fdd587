"""The state of a runtime: from its processes, the supervisor, and each role's own status."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from nexus_cli.access.grants import CONTROL, HISTORIAN, WEB, WORKER, gateway_principal
from nexus_cli.access.grants_file import NOTHING, in_force, read_wanted
from nexus_cli.certificates.expiry import utc_now
from nexus_cli.diagnostics.groups import Group
from nexus_cli.local import broker_amqtt, broker_mosquitto
from nexus_cli.local.expiring import of_files, of_servers
from nexus_cli.local.instances import Part, original_of, parts_of
from nexus_cli.local.layout import AMQTT, EXTERNAL, MOSQUITTO, SUPERVISOR, Home, Runtime
from nexus_cli.local.lock import holder_of, lock_folder
from nexus_cli.local.old_paths import old_paths
from nexus_cli.local.ports import in_url
from nexus_cli.local.probe import (
    PATIENT_S,
    PLAIN,
    Door,
    Problem,
    broker_problem,
    database_problem,
    role_ready,
    role_status,
    slow,
)
from nexus_cli.local.running import read_state
from nexus_cli.local.service_state import ServiceState, States
from nexus_cli.local.services import door_of
from nexus_cli.local.simulator_probe import simulator_serves
from nexus_cli.local.status_report import (
    DEGRADED,
    DOWN,
    UP,
    AccessReport,
    CertificateReport,
    DeviceReport,
    LinkReport,
    ProcessReport,
    RoleReport,
    ServerReport,
    StatusReport,
    SupervisorReport,
)
from nexus_cli.local.stop import left_behind, supervisors_of
from nexus_cli.model.secrets import without_passwords
from nexus_cli.setting_values import MOCK
from nexus_cli.settings import Settings
from nexus_cli.wire.gateway_health import GatewayHealth
from nexus_cli.wire.health import HistorianHealth, decode_status

RENEWED_S, LOOK_S = 2.0, 0.1
"""How long, in seconds, the broker of `nexus up` may refuse a password: it takes a new one (`nexus access rotate`) a moment after the
roles could read it."""
OFTEN = 3
"""Failed starts in a row after which a restarting part counts as down."""


async def collect(home: Home, settings: Settings) -> StatusReport:
    """The whole status."""
    runtime = home.read_runtime()
    processes = await asyncio.to_thread(_processes, home)
    original = None if processes else await asyncio.to_thread(original_of, home)
    if original is not None:
        return _copy(home, runtime, str(original))
    seen = await asyncio.to_thread(read_state, home)
    principals = {"control": CONTROL, "historian": HISTORIAN}
    principals |= {"web": WEB} if WEB in runtime.http_ports else {}  # one that an older version started has none
    principals |= {"worker": WORKER} if WORKER in runtime.http_ports else {}
    principals |= {f"gateway-{name}": gateway_principal(name) for name in runtime.gateways}
    async with Group() as group:
        broker = group.create_task(_broker(runtime, settings, seen), name="ask broker")
        database = group.create_task(_database(runtime, settings, seen), name="ask database")
        papers = group.create_task(_certificates(home, settings), name="look at certificates")
        roles = [
            group.create_task(
                _role(name, runtime.http_ports.get(principal, 0), seen.get(name), door_of(runtime)), name=f"ask {name}"
            )
            for name, principal in principals.items()
        ]
    pids = {one.name: one.pid for one in processes}
    answers = [
        replace(role, pid=role.pid or pids.get(role.name, 0), log=home.log_of(role.name))
        for role in (asked.result() for asked in roles)
    ]
    said = Answers.of(answers)
    servers = {
        name: _judged(
            replace(report, pid=report.pid or pids.get(name, 0), log=home.log_of(name)), problem, said.witness(name)
        )
        for name, (report, problem) in (("broker", broker.result()), ("database", database.result()))
    }
    simulator = await _simulator(home, runtime, seen)
    links, devices = said.links(), said.silent()
    supervisor = await asyncio.to_thread(_supervisor, home, processes)
    states = [
        supervisor.state,
        *([simulator.state] if simulator else []),
        *(part.state for part in servers.values()),
        *(role.state for role in answers),
    ]
    well = (
        all(state == UP for state in states)
        and all(link.state in ("", "connected", "idle") for link in links)
        and not devices
    )
    alive = bool(processes) or any(role.state != DOWN for role in answers)
    return StatusReport(
        state=UP if well else DEGRADED if alive else DOWN,
        site=runtime.site,
        supervisor=supervisor,
        processes=processes,
        home=str(home.path),
        control_url=runtime.control_url,
        broker=servers["broker"],
        database=servers["database"],
        roles=answers,
        links=links,
        devices=devices,
        devices_left_out=sum(gateway.silent_left_out for gateway in said.gateways.values()),
        device_reasons=said.reasons(),
        tags=said.tags(),
        access=_access(home, runtime),
        certificates=papers.result(),
        environment=settings.environment,
        environment_detail=settings.environment_detail,
        simulator=simulator,
        old_paths=await old_paths(settings, next((role for role in answers if role.name == "control"), None)),
    )


async def _certificates(home: Home, settings: Settings) -> list[CertificateReport]:
    found = await asyncio.to_thread(of_files, home.path, settings)
    found += await of_servers(settings)
    now = utc_now()
    return [
        CertificateReport(name=one.name, file=one.file, not_after=int(one.not_after.timestamp()), doubt=one.doubt(now))
        for one in found
    ]


def _copy(home: Home, runtime: Runtime, original: str) -> StatusReport:
    """The status of a copied folder, whose addresses are those of the original's runtime."""
    detail = f"nothing runs for this folder; it is a copy of {original}, whose runtime runs"
    server = ServerReport(kind="none", url="", state=DOWN, detail="", limits="")
    return StatusReport(
        state=DOWN,
        site=runtime.site,
        supervisor=SupervisorReport(state=DOWN, pids=[], detail=detail),
        processes=[],
        home=str(home.path),
        original=original,
        control_url="",
        broker=server,
        database=server,
        roles=[],
        links=[],
        devices=[],
        devices_left_out=0,
        device_reasons={},
        tags={},
        access=AccessReport(managed=False, rules=0, in_force=False),
    )


def _processes(home: Home) -> list[ProcessReport]:
    """The running processes of this folder, by name: from their environment, the lock and the pid files."""
    found = [(SUPERVISOR, process.pid) for process in supervisors_of(home)]
    found += [(name, process.pid) for name, process in left_behind(home)]
    return [ProcessReport(name=name, pid=pid) for name, pid in found]


def _supervisor(home: Home, processes: list[ProcessReport]) -> SupervisorReport:
    """Whether a supervisor runs, and what is unusual about it."""
    pids = [one.pid for one in processes if one.name == SUPERVISOR]
    detail = ""
    if not pids:
        detail = "no supervisor runs: what ends is not started again; `nexus up` starts it" if processes else ""
    elif len(pids) > 1:
        detail = f"{len(pids)} supervisors run (processes {', '.join(map(str, pids))}): `nexus down` ends them all"
    elif not home.there():
        detail = f"the folder {home.path} was removed while its runtime ran: `nexus down` ends it"
    elif (moved := _moved_from(home)) is not None:
        detail = f"the folder was moved from {moved} while its runtime ran: `nexus down`, then `nexus up`"
    state = UP if pids and not detail else DEGRADED if processes else DOWN
    return SupervisorReport(state=state, pids=pids, detail=detail)


def _moved_from(home: Home) -> str | None:
    holder = holder_of(home, lock_folder())
    if holder is not None and holder.home != str(home.path):
        return holder.home
    elsewhere: list[Part] = [part for part in parts_of(home) if part.home != home.path]
    return str(elsewhere[0].home) if elsewhere else None


async def _broker(runtime: Runtime, settings: Settings, seen: States) -> tuple[ServerReport, Problem]:
    limits = {AMQTT: broker_amqtt.LIMITS, EXTERNAL: "its rights are not ours to manage"}
    problem = await broker_problem(settings) if settings.broker_url else Problem("no address")
    until_s = time.monotonic() + RENEWED_S
    while problem.refused and runtime.broker_kind in (MOSQUITTO, AMQTT) and time.monotonic() < until_s:
        await asyncio.sleep(LOOK_S)
        problem = await broker_problem(settings)
    report = _server(runtime.broker_kind, settings.broker_url, problem, seen.get("broker"))
    return replace(report, limits=limits.get(runtime.broker_kind, broker_mosquitto.LIMITS)), problem


async def _database(runtime: Runtime, settings: Settings, seen: States) -> tuple[ServerReport, Problem]:
    problem = await database_problem(settings) if settings.database_url else Problem("no address")
    url = without_passwords(settings.database_url)
    return _server(runtime.database_kind, url, problem, seen.get("database")), problem


async def _simulator(home: Home, runtime: Runtime, seen: States) -> ServerReport | UnsetType:
    if runtime.environment != MOCK:
        return UNSET
    problem = Problem(await simulator_serves(home.path))
    return replace(_server("of every device", "", problem, seen.get("simulator")), log=home.log_of("simulator"))


def _server(kind: str, url: str, problem: Problem, seen: ServiceState | None) -> ServerReport:
    return ServerReport(
        kind=kind or "none",
        url=url,
        state=UP if not problem.text else DEGRADED if _starts(seen) else DOWN,
        detail=_with_state(seen, problem.text) if problem.text else "",
        pid=seen.pid if seen is not None else 0,
        restarts=seen.restarts if seen is not None else 0,
        since=seen.since if seen is not None else 0.0,
    )


def _judged(server: ServerReport, problem: Problem, witness: str) -> ServerReport:
    """Correct the state of a server that could not be used: one that refuses *these* credentials answers, and a role
    with the right ones knows its state; a slow one has not ended while its process runs or a role works with it."""
    if problem.slow and server.state == DOWN and (witness or server.pid):
        server = replace(server, state=DEGRADED)
    if problem.refused and witness:
        detail = f"{witness} works with it; it refuses this shell: {server.detail}"
        server = replace(server, state=UP, detail=detail)
    return server


async def _role(name: str, port: int, seen: ServiceState | None, door: Door = PLAIN) -> RoleReport:
    late = False
    try:
        said = await role_status(port, door) if port else None
    except TimeoutError:
        said, late = None, True
    ready, why = await role_ready(port, door) if said is not None else (False, slow(PATIENT_S) if late else "")
    why = _with_state(seen, why)
    state = UP if said is not None and ready else DEGRADED if said is not None or late or _starts(seen) else DOWN
    return RoleReport(
        name=name,
        state=state,
        detail=_doubt(said or b"") if state == UP else why or "does not answer",
        port=port,
        url=f"https://{in_url(door.host)}:{port}" if door.ca else UNSET,
        pid=seen.pid if seen is not None else 0,
        restarts=seen.restarts if seen is not None else 0,
        since=seen.since if seen is not None else 0.0,
        status=msgspec.Raw(said or b"{}"),
    )


def _starts(seen: ServiceState | None) -> bool:
    """True while the supervisor waits for it, or for what it needs, and it has not failed `OFTEN` times."""
    return seen is not None and seen.state in ("waiting", "starting") and seen.failed < OFTEN


def _with_state(seen: ServiceState | None, why: str) -> str:
    """The supervisor's state of a part that does not run, with its reason if it has one."""
    if seen is None or seen.state == "running":
        return why
    if seen.state == "waiting":
        return seen.detail or "waits for what it needs"
    return f"{seen.state}: {seen.detail or why}".rstrip(": ")


def _doubt(said: bytes) -> str:
    """A gateway's doubtful clock; the gateway is up, and its samples are UNCERTAIN."""
    doubt = decode_status(said, GatewayHealth).clock.doubt
    return f"samples are UNCERTAIN: {doubt}" if doubt else ""


@dataclass(frozen=True, slots=True)
class Answers:
    """The roles' own answers."""

    historian: HistorianHealth
    gateways: Mapping[str, GatewayHealth]

    @classmethod
    def of(cls, roles: Sequence[RoleReport]) -> Answers:
        """Read the answers; one of another shape gives an empty document."""
        historian = next((bytes(role.status) for role in roles if role.name == "historian"), b"")
        gateways = {role.gateway: decode_status(bytes(role.status), GatewayHealth) for role in roles if role.gateway}
        return cls(decode_status(historian, HistorianHealth), gateways)

    def witness(self, server: str) -> str:
        """The role that says it works with `broker` or `database`; "" when none does."""
        works = self.historian.broker if server == "broker" else self.historian.database
        return "historian" if works == "connected" else ""

    def links(self) -> list[LinkReport]:
        """Every link of every gateway, as its gateway reports it."""
        return [
            LinkReport(gateway=name, link=link, state=one.state, detail=one.detail, since=one.since)
            for name, health in self.gateways.items()
            for link, one in sorted(health.links.items())
        ]

    def silent(self) -> list[DeviceReport]:
        """Devices that give no value that counts, as their gateways report them."""
        return [
            DeviceReport(gateway=name, **msgspec.structs.asdict(device))
            for name, health in self.gateways.items()
            for device in health.silent
        ]

    def reasons(self) -> dict[str, int]:
        """Devices without a value by reason, including unnamed ones, most frequent first."""
        counts: Counter[str] = Counter()
        for health in self.gateways.values():
            if health.silent_reasons is not UNSET:
                counts.update(health.silent_reasons)
            else:  # an older gateway: only the named ones
                counts.update(one.reason for one in health.silent)
        return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))

    def tags(self) -> dict[str, int]:
        """Tags by the quality of their newest sample, of all gateways that answer."""
        counts: dict[str, int] = {}
        for health in self.gateways.values():
            for quality, count in (health.tags or {}).items():
                counts[quality] = counts.get(quality, 0) + count
        return counts


def _access(home: Home, runtime: Runtime) -> AccessReport:
    if runtime.broker_kind in ("", EXTERNAL):
        return AccessReport(managed=False, rules=0, in_force=False)
    wanted = read_wanted(home.path) or NOTHING
    return AccessReport(managed=True, rules=len(wanted.grants), in_force=in_force(home.path) == wanted.digest)
