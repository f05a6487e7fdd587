"""`nexus rollout` and `nexus apply` in waves, as processes, and their JSON by its schemas."""

from __future__ import annotations

import threading
from typing import Any

import orjson
import pytest

from tests.integration.control_world import World, world
from tests.integration.test_control_cli import SITE, Shell, running, shell
from tests.integration.test_undo_cli import _checked, _ok
from tests.waiting import wait_until

__all__ = ["shell", "world"]

RUN = {"GITHUB_SERVER_URL": "https://github.example", "GITHUB_REPOSITORY": "acme/plant", "GITHUB_RUN_ID": "91"}
PAGE = "https://github.example/acme/plant/actions/runs/91"
METER = SITE[SITE.index("          meter:") :]
OTHERS = "".join(METER.replace("meter", name) for name in ("gauge", "pump"))


@pytest.fixture
def plant(world: World, shell: Shell, request: pytest.FixtureRequest) -> Shell:
    """Three devices, applied once, whose first one is the canary; the parameter is how a rollout is declared."""
    rollout = f"rollout: {request.param}\n"
    shell.site.write_text(SITE.replace("areas:", rollout + "areas:") + OTHERS)
    return shell


def _change(plant: Shell) -> None:
    text = plant.site.read_text()
    plant.site.write_text(text.replace("unit: kWh", "unit: MWh"))


def _shown(plant: Shell, *arguments: str) -> Any:
    return _checked(plant("rollout", "show", *arguments, "--format", "json"), "rollout")


CANARY = "waves: [{name: canary, devices: [packaging/line-1/meter], soak: %s}]"


@pytest.mark.parametrize("plant", ["{" + CANARY % "1s" + ", gates: {alarms: none}}"], indirect=True)
def test_waves_pass_and_each_deployment_links_the_ci_run(world: World, plant: Shell) -> None:
    with running(world):
        _ok(plant("apply", "--yes"))
        assert "no rollouts" in _ok(plant("rollout", "list"))
        missing = plant("rollout", "show")
        assert missing.returncode == 1 and "NX5041" in missing.stderr
        _change(plant)
        allow = ("--allow", "series-break")
        done = _checked(plant("apply", "--yes", *allow, "--reason", "megawatts", "--format", "json", **RUN), "rollout")
        assert (done["state"], done["run_url"], done["reason"]) == ("applied", PAGE, "megawatts")
        assert [(each["name"], each["state"], each["devices"]) for each in done["waves"]] == [
            ("canary", "passed", 1),
            ("rest", "passed", 2),
        ]
        listed = _checked(plant("rollout", "list", "--format", "json"), "rollouts")["rollouts"]
        assert listed == [_shown(plant)] == [_shown(plant, "1")]
        deployments = _checked(plant("deployments", "--format", "json"), "deployments")["deployments"]
        assert [each["run_url"] for each in deployments] == [PAGE, PAGE, ""]
        text = _ok(plant("rollout", "show"))
        assert "Rollout 1: applied in 2 waves" in text and f"run: {PAGE}" in text and "1. canary  passed" in text


@pytest.mark.parametrize("plant", ["{" + CANARY % "1s" + ", gates: {good: 99%}}"], indirect=True)
def test_a_canary_whose_values_are_bad_stops_it_until_it_is_resumed_or_taken_back(world: World, plant: Shell) -> None:
    with running(world, spoilt=("packaging/line-1/meter/energy", "packaging/line-1/meter/power")):
        _ok(plant("apply", "--yes"))
        _change(plant)
        stopped = plant("apply", "--yes", "--allow", "series-break", **RUN)
        assert stopped.returncode == 4 and "canary failed its gates" in stopped.stdout + stopped.stderr, stopped.stderr
        assert "unit: kWh" not in plant.site.read_text()
        assert '"kWh"' in _ok(plant("show", "packaging/line-1/pump"))
        again = plant("apply", "--resume")
        assert again.returncode == 4, again.stderr
        assert [each["state"] for each in _shown(plant)["waves"]] == ["failed", "pending"]
        undone = plant("rollout", "rollback", "--yes", "--reason", "no values")
        assert undone.returncode == 0, undone.stderr
        assert "recording" in stopped.stderr and "recording" not in again.stderr, "what was followed is not said again"
        assert undone.stderr.count("recording") == undone.stderr.count("waiting for gateway gw-1") == 1
        back = _shown(plant)
        assert (back["state"], back["undone_by"]) == ("rolled-back", 3)
        assert '"kWh"' in _ok(plant("show", "packaging/line-1/meter"))
        newest = _checked(plant("deployments", "show", "3", "--format", "json"), "deployment")
        assert newest["run_url"] == "", "no CI run took it back"


@pytest.mark.parametrize("plant", ["{" + CANARY % "10m" + ", gates: {good: 99%}}"], indirect=True)
def test_one_that_soaks_can_be_stopped_and_nothing_else_is_applied_meanwhile(world: World, plant: Shell) -> None:
    ends: list[int] = []
    with running(world):
        _ok(plant("apply", "--yes"))
        _change(plant)
        first = threading.Thread(
            target=lambda: ends.append(plant("apply", "--yes", "--allow", "series-break").returncode)
        )
        first.start()
        try:
            wait_until(lambda: b'"soaking"' in plant("rollout", "list", "--format", "json").stdout.encode(), "no soak")
            other = plant("apply", "--yes", "--allow", "series-break")
            assert other.returncode == 5 and "NX5032" in other.stderr and "nexus rollout stop 1" in other.stderr
            stopped = _checked(plant("rollout", "stop", "--reason", "line 2 runs", "--format", "json"), "rollout")
            assert stopped["state"] == "stopped" and "line 2 runs" in stopped["why"]
            assert [each["state"] for each in stopped["waves"]] == ["stopped", "pending"], "no gate failed"
        finally:
            first.join(60)
        assert ends == [4], "the command that followed it ends with it"
        twice = plant("rollout", "stop")
        assert twice.returncode == 1 and "NX5037" in twice.stderr
        audit = [orjson.loads(line) for line in [_ok(plant("audit", "--what", "rollout-stop", "--format", "json"))]]
        assert "line 2 runs" in orjson.dumps(audit).decode()
