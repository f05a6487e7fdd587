"""`nexus plan`, `apply` and `show` as processes, against a real control: output, files written, exit codes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest

from tests.forks import run_nexus
from tests.integration.control_world import API, FakeGateway, World, world

__all__ = ["world"]

SITE = """\
nexus: 1
enterprise: acme
site: chicago
gateways: {gw-1: {}}
areas:
  packaging:
    lines:
      line-1:
        devices:
          meter:
            protocol: modbus
            connection: {host: 10.0.0.9}
            tags:
              energy: {address: "holding:0", type: float32, unit: kWh}
              power: {address: "holding:2", type: float32}
"""


class Shell:
    """Runs `nexus` with a world's settings in a folder."""

    def __init__(self, world: World, folder: Path) -> None:
        self.folder = folder
        self.site = folder / "site.yaml"
        self.site.write_text(SITE)
        self.environ = {
            **os.environ,
            "NEXUS_HOME": str(folder / ".nexus"),
            "NEXUS_SITE": "acme/chicago",
            "NEXUS_CONTROL_URL": world.settings.control_url,
            "NEXUS_CONTROL_TOKEN": API["nexus.cli"],
        }

    def __call__(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return run_nexus(arguments, folder=self.folder, environment={**self.environ, **environ}, timeout_s=60)

    def edit(self, old: str, new: str) -> None:
        text = self.site.read_text()
        assert old in text
        self.site.write_text(text.replace(old, new))


@contextmanager
def running(world: World, **gateway: object) -> Iterator[None]:
    """Control and a gateway on a loop of their own, beside the blocking shell."""
    up, stop = threading.Event(), threading.Event()

    async def live() -> None:
        async with world.control(), FakeGateway(world.settings, **gateway).up():  # type: ignore[arg-type]
            up.set()
            while not stop.is_set():
                await asyncio.sleep(0.02)

    thread = threading.Thread(target=lambda: asyncio.run(live()))
    thread.start()
    try:
        assert up.wait(20)
        yield
    finally:
        stop.set()
        thread.join(20)


@pytest.fixture
def shell(world: World, tmp_path: Path) -> Shell:
    folder = tmp_path / "work"
    folder.mkdir()
    return Shell(world, folder)


def test_plan_apply_and_plan_again(world: World, shell: Shell) -> None:
    with running(world):
        planned = shell("plan", "--detailed-exitcode")
        assert planned.returncode == 2, planned.stderr
        assert "+ device.packaging/line-1/meter (2 tags)" in planned.stdout
        assert shell("plan").returncode == 0
        assert sorted(path.name for path in shell.folder.iterdir()) == ["site.yaml"], "plan writes nothing"
        refused = shell("apply")
        assert refused.returncode == 64 and "--yes" in refused.stderr
        applied = shell("apply", "--yes", "--reason", "first")
        assert applied.returncode == 0, applied.stderr
        assert "Applied as deployment 1:" in applied.stdout and "1 verified" in applied.stdout
        assert "gateway gw-1 runs it" in applied.stderr
        again = shell("plan", "--detailed-exitcode")
        assert (again.returncode, again.stdout.splitlines()[-1]) == (
            0,
            "Nothing to do: what is recorded is what is declared.",
        )
        shown = shell("show")
        assert "acme/chicago, deployment 1" in shown.stdout and "applied   nexus.cli  first" in shown.stdout
        tag = orjson.loads(shell("show", "packaging/line-1/meter/energy").stdout)
        assert (tag["address"], tag["unit"]) == ("holding:0", "kWh")
        missing = shell("show", "packaging/line-1/metre")
        assert missing.returncode == 1
        assert "error[NX6406]: 'packaging/line-1/metre' is not recorded." in missing.stderr
        assert "did you mean 'device.packaging/line-1/meter'?" in missing.stderr
        assert "did you mean 'packaging/line-1/meter/energy'?" in shell("show", "packaging/line-1/meter/energi").stderr


def test_saved_plans_and_the_two_facts_that_make_them_stale(world: World, shell: Shell) -> None:
    with running(world):
        saved = shell("plan", "--out", "one.plan")
        assert saved.returncode == 0 and "saved in one.plan: `nexus apply one.plan` does exactly this" in saved.stderr
        assert "+ device.packaging/line-1/meter" in shell("show", "one.plan").stdout
        for command in (("show", "one.pln"), ("apply", "one.pln", "--yes"), ("approve", "one.pln", "--key", "ann.pem")):
            misspelt = shell(*command)
            assert misspelt.returncode == 1 and "= hint: did you mean 'one.plan'?" in misspelt.stderr
        original = shell.site.read_text()
        shell.edit("holding:2", "holding:4")
        stale = shell("apply", "one.plan", "--yes")
        assert stale.returncode == 5 and "files" in stale.stderr and "NX5002" in stale.stderr
        assert f"= hint: plan again: nexus plan {shell.site.name} --out one.plan" in stale.stderr
        shell.site.write_text(original)
        assert shell("apply", "one.plan", "--yes").returncode == 0
        stale = shell("apply", "one.plan", "--yes")
        assert stale.returncode == 5 and "it was deployment 0, it is now 1" in stale.stderr
        shell.edit("holding:2", "holding:4")
        assert shell("plan", "--out", "two.plan").returncode == 0
        shell.site.unlink()  # as in a job that has the plan and not the files
        assert shell("apply", "two.plan", "--yes").returncode == 0
        (shell.folder / "two.plan").write_text('{"kind":"nexus-plan"')
        assert shell("apply", "two.plan", "--yes").returncode == 1


def test_hazards_need_consent_by_name_and_scope(world: World, shell: Shell) -> None:
    with running(world):
        assert shell("apply", "--yes").returncode == 0
        shell.edit('              power: {address: "holding:2", type: float32}\n', "")
        blocked = shell("apply", "--yes")
        assert blocked.returncode == 3 and "NX4002" in blocked.stderr
        assert "consent: --allow data-loss=packaging/line-1/meter/power" in blocked.stdout
        assert shell("apply", "--yes", "--allow", "data-loss=other/**").returncode == 3
        unknown = shell("apply", "--yes", "--allow", "dataloss")
        assert unknown.returncode == 64 and "did you mean 'data-loss'?" in unknown.stderr
        assert shell("apply", "--yes", "--allow", "data-loss=packaging/**").returncode == 0


def test_a_change_of_rights_is_told_by_who_gains_and_loses(world: World, shell: Shell) -> None:
    """A saved plan carries what it told; the broker of the runtime here is known, another one's is not."""
    shell.site.write_text(
        SITE + "access:\n  roles: {look: {read: ['packaging/**']}}\n  users: {ann: {role: look}, bob: {roles: []}}\n"
    )
    home = shell.folder / ".nexus"
    home.mkdir()
    with running(world):
        first = shell("apply", "--yes")
        assert first.returncode == 0 and "Rights:" not in first.stdout, first.stdout
        shell.edit("ann: {role: look}, bob: {roles: []}", "ann: {roles: []}, bob: {role: look}")
        planned = shell("plan", "--out", "swap.plan")
        effect = next(line for line in planned.stdout.splitlines() if line.startswith("Effect: sha256:"))
        assert planned.stdout.partition("Rights:")[2] == (
            "\n"
            "  - ann may no longer read 2 tags: packaging/line-1/meter/energy, packaging/line-1/meter/power\n"
            "  + bob may now read 2 tags: packaging/line-1/meter/energy, packaging/line-1/meter/power\n"
            "    live sessions of ann on Mosquitto lose it as soon as the new rules are in force: each message is checked\n"
            "    live sessions of ann on EMQX keep what they subscribed until they end: `nexus access push` ends them\n"
            "    live sessions of ann on HiveMQ keep the rights that they connected with until they end: "
            "disconnect those clients\n"
            "\n"
            "Needs consent:\n"
            "  ! acl-widen: bob may now read 2 tags: packaging/line-1/meter/energy, packaging/line-1/meter/power"
            " [not allowed]\n"
            "    consent: --allow acl-widen=bob\n"
            "\n"
            f"{effect}\n"
            "Plan: 2 to update.\n"
        )
        (home / "runtime.json").write_bytes(
            orjson.dumps({"control_url": world.settings.control_url, "broker_kind": "mosquitto"})
        )
        known = shell("plan").stdout
        assert "live sessions of ann on mosquitto lose it" in known and "EMQX" not in known
        assert shell("show", "swap.plan").stdout == planned.stdout
        blocked = shell("apply", "swap.plan", "--yes", "--allow", "acl-widen=ann")
        assert blocked.returncode == 3 and "nexus apply swap.plan --yes --allow acl-widen=bob" in blocked.stderr
        assert shell("apply", "swap.plan", "--yes", "--allow", "acl-widen=bob").returncode == 0
        assert "Rights:" not in shell("plan").stdout


def test_formats(world: World, shell: Shell) -> None:
    with running(world):
        document = orjson.loads(shell("plan", "--format", "json").stdout)
        assert document["format_version"] == "1.0" and document["applyable"] is True
        assert {each["address"] for each in document["resource_changes"]} >= {"device.packaging/line-1/meter", "site"}
        assert shell("plan", "--format", "markdown").stdout.startswith(
            "<!-- nexus plan acme/chicago -->\n### NEXUS plan for `acme/chicago`"
        )
        summary = shell.folder / "summary.md"
        assert (
            "::notice title=NEXUS plan::Plan: "
            in shell("plan", "--format", "github", GITHUB_STEP_SUMMARY=str(summary)).stdout
        )
        assert summary.read_text().startswith("<!-- nexus plan acme/chicago -->")
        ended = orjson.loads(shell("apply", "--yes", "--format", "json").stdout)
        assert ended["outcome"] == "applied" and ended["counts"]["failed"] == 0
        assert orjson.loads(shell("apply", "--yes", "--format", "json").stdout)["outcome"] == "nothing"


def test_a_failing_device_is_exit_4(world: World, shell: Shell) -> None:
    with running(world, failing=("packaging/line-1/meter",)):
        partly = shell("apply", "--yes")
        assert partly.returncode == 4
        assert "device.packaging/line-1/meter  failed" in partly.stdout and "no such register" in partly.stdout


def test_without_runtime_a_plain_sentence_and_exit_6(shell: Shell) -> None:
    for arguments in (("plan",), ("apply", "--yes"), ("show",)):
        away = shell(*arguments)
        assert away.returncode == 6 and "error[NX6400]: Control at" in away.stderr and "Traceback" not in away.stderr
    nowhere = shell("plan", NEXUS_CONTROL_URL="")
    assert nowhere.returncode == 6 and "nexus up" in nowhere.stderr


def test_errors_in_the_files_are_exit_1_before_anything_is_asked(shell: Shell) -> None:
    shell.edit("type: float32, unit: kWh", "type: float33")
    found = shell("apply", "--yes")
    assert found.returncode == 1 and "float33" in found.stderr and "site.yaml:" in found.stderr


def test_another_token_and_another_site(world: World, shell: Shell) -> None:
    with running(world):
        wrong = shell("plan", NEXUS_CONTROL_TOKEN="wrong")
        assert wrong.returncode == 6 and "NX6401" in wrong.stderr and "wrong" not in wrong.stderr
        shell.edit("site: chicago", "site: berlin")
        other = shell("plan")
        assert other.returncode == 6 and "acme/chicago is served here, not acme/berlin." in other.stderr
