"""`nexus export --later` and `nexus exports` as commands, over a whole web and a whole worker."""

from __future__ import annotations

import asyncio
import csv
import os
import sys
from pathlib import Path

import orjson
import pytest

from nexus_cli.settings import Settings
from tests.integration.exports_world import ENERGY, SITE, fill, worker
from tests.integration.web_world import WebWorld, served_web
from tests.servers import TestBroker

pytestmark = [pytest.mark.needs_database, pytest.mark.needs_broker]


async def nexus(web: WebWorld, *arguments: str, cwd: Path, token: str = "cli-token") -> tuple[int, str, str]:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nexus_cli", *arguments),
        cwd=cwd,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(cwd),
            "NEXUS_SITE": SITE,
            "NEXUS_WEB_URL": web.url,
            "NEXUS_CONTROL_TOKEN": token,
        },
    )
    out, err = await child.communicate()
    assert child.returncode is not None
    return child.returncode, out.decode(), err.decode()


async def test_later_list_show_fetch_delete(database: Settings, broker: TestBroker, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    async with served_web(database, home, broker_url=broker.url) as web:
        await fill(web)
        assert (await nexus(web, "exports", "list", cwd=tmp_path))[:2] == (0, "no exports\n")
        code, out, said = await nexus(web, "export", ENERGY, "--from", "1h", "--format", "csv", "--later", cwd=tmp_path)
        assert code == 0, said
        made = out.split()[1]
        assert out == f"export {made} waits: 1 tags\n  nexus exports fetch {made} --out FILE.csv\n"
        code, _, said = await nexus(web, "exports", "fetch", made, cwd=tmp_path)
        assert (code, "NX6489" in said) == (6, True), said
        async with worker(web.people.settings):
            code, out, said = await nexus(web, "exports", "fetch", made, "--wait", "--out", "e.csv", cwd=tmp_path)
        assert (code, out.startswith("10 samples of 1 tags in e.csv")) == (0, True), said
        rows = list(csv.DictReader((tmp_path / "e.csv").open()))
        assert [float(row["value"]) for row in rows] == [float(minute) for minute in range(10)]
        code, out, _ = await nexus(web, "exports", "list", "--utc", cwd=tmp_path)
        assert out.splitlines()[1].split()[:6] == [made, "nexus.cli", "done", "1", "10", "0.0"]
        code, out, _ = await nexus(web, "exports", "show", made, "--format", "json", cwd=tmp_path)
        assert (orjson.loads(out)["rows"], orjson.loads(out)["selectors"]) == (10, [ENERGY])
        code, out, _ = await nexus(web, "exports", "show", made, cwd=tmp_path)
        assert f"size      {(tmp_path / 'e.csv').stat().st_size} bytes" in out
        token = await web.people.token("otto")
        code, _, said = await nexus(web, "exports", "show", made, cwd=tmp_path, token=token)
        assert (code, "NX6488" in said) == (6, True)
        assert (await nexus(web, "exports", "delete", made, cwd=tmp_path))[:2] == (0, f"export {made} was removed\n")
        code, _, said = await nexus(web, "exports", "fetch", made, cwd=tmp_path)
        assert (code, "NX6488" in said) == (6, True)
        code, _, said = await nexus(web, "export", "nothing/**", "--later", cwd=tmp_path)
        assert (code, "NX6802" in said) == (1, True)
        for arguments in (("--later", "--out", "a.csv"), ()):
            assert (await nexus(web, "export", ENERGY, *arguments, cwd=tmp_path))[0] == 64


async def test_a_file_that_arrives_changed_is_not_kept(database: Settings, broker: TestBroker, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    async with served_web(database, home, broker_url=broker.url) as web:
        await fill(web)
        code, out, _ = await nexus(web, "export", ENERGY, "--format", "csv", "--later", "--json", cwd=tmp_path)
        made = orjson.loads(out)["id"]
        async with worker(web.people.settings):
            assert (await nexus(web, "exports", "fetch", made, "--wait", cwd=tmp_path))[0] == 0
        assert (tmp_path / f"nexus-export-{made}.csv").is_file()
        (file,) = (each for each in (home / "exports").rglob("*.csv"))
        data = file.read_bytes()
        file.write_bytes(data[:-3] + b"BAD")
        code, _, said = await nexus(web, "exports", "fetch", made, "--out", "bad.csv", cwd=tmp_path)
        assert (code, "did not arrive" in said) == (6, True), said
        file.write_bytes(data[:-3])
        code, _, said = await nexus(web, "exports", "fetch", made, "--out", "bad.csv", cwd=tmp_path)
        assert (code, "NX6489" in said) == (6, True)
        assert not (tmp_path / "bad.csv").exists()
