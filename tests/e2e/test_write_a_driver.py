"""`docs/write-a-driver.md`, followed: the package of its blocks is installed, and a running gateway reads with it."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.rows import wait_rows, wrong_rows
from tests.e2e.runtime import Runtime
from tests.servers import free_port

pytestmark = [pytest.mark.slow]

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "write-a-driver.md").read_text(encoding="utf-8")
SITE = re.search(r"```text\n(nexus: 1\n.*?)```", PAGE, re.DOTALL)
PARTS = ("cli", "control", "historian", "gateway")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package in a folder of its own; NEXUS and the libraries come from this environment."""
    source, target = tmp_path_factory.mktemp("nexus-textline"), tmp_path_factory.mktemp("installed")
    for name, text in re.findall(r"```(?:toml|python)\n# (\S+)\n(.*?)```", PAGE, re.DOTALL):
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and ("No matching distribution" in done.stderr or "Connection" in done.stderr):
        pytest.skip("the build backend (hatchling) could not be fetched: no package index answers")
    assert done.returncode == 0, done.stderr
    return target


def nexus(folder: Path, path: Path | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command with a folder of packages."""
    return subprocess.run(
        [sys.executable, "-m", "nexus_cli", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*([str(path)] if path else []), str(ROOT)])},
        capture_output=True,
        text=True,
        check=False,
    )


class Boiler:
    """The device of the page."""

    def __init__(self) -> None:
        self.values, self.port = {"boiler/temperature": "71.5"}, free_port()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(self.values.get(line.decode().split()[-1], "?").encode() + b"\n")
        writer.close()

    def __enter__(self) -> Boiler:
        self._thread.start()
        start = asyncio.start_server(self._serve, "127.0.0.1", self.port)
        asyncio.run_coroutine_threadsafe(start, self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Runtime, Boiler]]:
    assert SITE is not None
    runtime = Runtime(tmp_path / "site", site="acme/chicago")
    with Boiler() as boiler:
        text = SITE[1].replace("7100", str(boiler.port))
        (tmp_path / "site" / "site.yaml").write_text(text, encoding="utf-8")
        try:
            yield runtime, boiler
        finally:
            runtime.stop()


@pytest.mark.needs_broker
@pytest.mark.needs_database
def test_a_running_gateway_reads_with_it(site: tuple[Runtime, Boiler], installed: Path) -> None:
    runtime, boiler = site
    for part in PARTS:
        runtime.extra_environment[part] = {"PYTHONPATH": os.pathsep.join([str(installed), str(ROOT)])}
    runtime.start()
    runtime.apply()
    path = "hall/line-1/boiler/temperature"
    assert wrong_rows(wait_rows(runtime, {path: 71.5}), {path: 71.5}) == {}
    boiler.values["boiler/temperature"] = "72.25"
    assert wrong_rows(wait_rows(runtime, {path: 72.25}), {path: 72.25}) == {}
    assert "GET boiler/temperature" in runtime.nexus("explain", path)


def test_its_mistakes_are_found_where_they_are(installed: Path, tmp_path: Path) -> None:
    assert SITE is not None
    (tmp_path / "site.yaml").write_text(SITE[1].replace("boiler/temperature,", "boiler temperature,"), encoding="utf-8")
    done = nexus(tmp_path, installed, "validate")
    assert done.returncode == 1
    assert "'boiler temperature' is not a name" in done.stdout + done.stderr
    nexus(tmp_path, installed, "schema", "--out", "schemas")
    schema = (tmp_path / "schemas" / "site.schema.json").read_text(encoding="utf-8")
    assert "The name that follows GET" in schema


def test_without_the_package_its_protocol_is_unknown(tmp_path: Path) -> None:
    assert SITE is not None
    (tmp_path / "site.yaml").write_text(SITE[1], encoding="utf-8")
    done = nexus(tmp_path, None, "validate")
    assert done.returncode == 1 and "unknown protocol 'textline'" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import no_such_library", "can't be imported (ModuleNotFoundError: No module named 'no_such_library')"),
        ("PLUGIN = 5", "is a int, not a Plugin"),
        ("from nexus_cli.drivers.s7.plugin import PLUGIN", "brings a driver for 's7'"),
    ],
)
def test_a_broken_package_is_named_and_takes_nothing_down(tmp_path: Path, text: str, why: str) -> None:
    assert SITE is not None
    packages = tmp_path / "packages"
    (packages / "bad-1.dist-info").mkdir(parents=True)
    (packages / "bad-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: bad\nVersion: 1\n")
    (packages / "bad-1.dist-info" / "entry_points.txt").write_text("[nexus.drivers]\ntextline = bad_driver:PLUGIN\n")
    (packages / "bad_driver.py").write_text(f"{text}\n")
    (tmp_path / "site.yaml").write_text(SITE[1], encoding="utf-8")
    done = nexus(tmp_path, packages, "validate")
    assert done.returncode == 1 and "NX9000" not in done.stdout + done.stderr
    said = " ".join((done.stdout + done.stderr).split())
    assert why in said and "package bad" in said, said
    (tmp_path / "site.yaml").write_text(
        SITE[1].replace("textline", "modbus").replace("boiler/temperature,", '"input:0",')
    )
    assert nexus(tmp_path, packages, "validate").returncode == 0
