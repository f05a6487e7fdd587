"""`nexus rollback`, `confirm`, `deployments`, `diff`, `lock` and `apply --resume` as processes, and their JSON by its schemas."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest

from tests.integration.control_world import World, world
from tests.integration.test_control_cli import Shell, running, shell

__all__ = ["shell", "world"]

SCHEMAS = Path(__file__).parents[2] / "schemas"


def _checked(found: subprocess.CompletedProcess[str], schema: str) -> Any:
    """The answer, which has to be of its published schema."""
    assert found.returncode == 0, found.stderr
    answer = orjson.loads(found.stdout)
    jsonschema.validate(answer, orjson.loads((SCHEMAS / f"{schema}.schema.json").read_bytes()))
    return answer


def _ok(found: subprocess.CompletedProcess[str]) -> str:
    assert found.returncode == 0, found.stderr + found.stdout
    return found.stdout + found.stderr


def test_applied_confirmed_rolled_back_and_shown(world: World, shell: Shell) -> None:
    with running(world):
        ci = {"GITHUB_SERVER_URL": "https://github.example", "GITHUB_REPOSITORY": "acme/plant", "GITHUB_RUN_ID": "77"}
        _ok(shell("apply", "--yes", "--reason", "first", **ci))
        shell.edit("host: 10.0.0.9", "host: 10.0.0.7")
        said = _ok(shell("apply", "--yes", "--confirm-within", "1h", "--allow", "data-loss"))
        assert "deployment 2 waits to be confirmed" in said
        shell.edit("host: 10.0.0.7", "host: 10.0.0.8")
        refused = shell("apply", "--yes", "--allow", "data-loss")
        assert refused.returncode == 5 and "NX5011" in refused.stderr and "nexus confirm 2" in refused.stderr
        assert "waits to be confirmed" in _ok(shell("deployments"))
        assert _ok(shell("confirm")) == "deployment 2 stays\n"
        assert shell("confirm", "2").returncode == 1

        plan = _ok(shell("rollback", "--plan"))
        assert "takes back deployment 2: the state after deployment 1 comes back" in plan and "10.0.0.9" in plan
        _ok(shell("rollback", "--yes", "--allow", "data-loss", "--reason", "too fast"))
        all_ = _checked(shell("deployments", "--format", "json"), "deployments")["deployments"]
        assert [(each["number"], each["outcome"], each["undoes"]) for each in all_] == [
            (3, "applied", 2),
            (2, "applied", 0),
            (1, "applied", 0),
        ]
        assert all_[2]["run_url"] == "https://github.example/acme/plant/actions/runs/77"
        assert all_[1]["confirmation"]["state"] == "confirmed"
        one = _checked(shell("deployments", "show", "3", "--format", "json"), "deployment")
        assert one["reason"] == "too fast" and one["journal"][-1]["step"] == "verify"
        assert "reason: too fast" in _ok(shell("deployments", "show", "3"))
        assert shell("deployments", "show", "9").returncode == 1
        assert "10.0.0.7" in _ok(shell("show", "2"))
        back = shell("rollback", "--to", "3")
        assert back.returncode == 1 and "NX5014" in back.stderr
        resumed = shell("apply", "--resume")
        assert resumed.returncode == 1 and "NX5015" in resumed.stderr
        assert _checked(shell("lock", "list", "--format", "json"), "lock") == {"lock": None}
        assert _ok(shell("lock", "break", "--reason", "none")) == "the lock is free: nothing was broken\n"
        assert (
            _checked(shell("lock", "break", "--reason", "none", "--format", "json"), "lock-broken")["broken"] is False
        )
        assert shell("lock", "break").returncode == 64
        lines = _ok(shell("audit", "--what", "confirm", "--format", "csv")).splitlines()
        assert lines[0].startswith("at,kind,what,who,subject,") and ",confirm,nexus.cli,deployment 2," in lines[1]
        assert len(lines) == 2
        assert "nothing on record" in _ok(shell("audit", "--since", "2d", "--until", "1d"))


def test_what_goes_out_beside_its_window_is_confirmed_as_any_other(world: World, shell: Shell) -> None:
    with running(world):
        opens = datetime.now(UTC) + timedelta(hours=3)
        hours = f"from: '{opens:%H:%M}', to: '{opens + timedelta(hours=2):%H:%M}'"
        shell.edit("areas:", f"windows: {{nights: {{{hours}, zone: UTC}}}}\nwindow: nights\nareas:")
        _ok(shell("apply", "--yes"))
        shell.edit("10.0.0.9", "10.0.0.7")
        wish = ("apply", "--yes", "--allow", "data-loss", "--confirm-within", "1h")
        refused = shell(*wish)
        assert refused.returncode == 3 and "NX5035" in refused.stderr
        waits = shell(*wish, "--wait-for-window")
        assert "NX5034" in waits.stderr, "a wait is no deployment that could be confirmed, and is not left out in silence"
        assert "deployment 2 waits to be confirmed" in _ok(shell(*wish, "--now", "--reason", "a leak"))
        lines = _ok(shell("audit", "--what", "outside-window", "--format", "csv")).splitlines()
        assert len(lines) == 2 and "deployment 2" in lines[1]


def test_states_are_compared_wherever_they_are(world: World, shell: Shell) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=shell.folder, check=True, capture_output=True)

    git("init", "-b", "main")
    git("add", "site.yaml")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-m", "first")
    with running(world):
        _ok(shell("apply", "--yes"))
        shell.edit("host: 10.0.0.9", "host: 10.0.0.7")
        for sides in (
            ("git:main", "site.yaml"),
            ("main:site.yaml", "."),
            ("1", "site.yaml"),
            ("recorded", "site.yaml"),
        ):
            found = _checked(shell("diff", *sides, "--format", "json"), "diff")
            (change,) = found["plan"]["resource_changes"]
            assert (change["address"], found["from"]["name"]) == ("device.packaging/line-1/meter", sides[0])
        assert shell("diff", "1", "site.yaml", "--detailed-exitcode").returncode == 2
        assert shell("diff", "1", "git:main:site.yaml", "--detailed-exitcode").returncode == 0
        assert _checked(shell("diff", "0", "1", "--format", "json"), "diff")["plan"]["resource_changes"] != []
        for side, code, hint in (
            ("sitee.yaml", "NX5017", "did you mean 'site.yaml'?"),
            ("git:mian", "NX5018", "did you mean 'main'?"),
            ("main:sit.yaml", "NX5018", "did you mean 'site.yaml'?"),
            ("7", "NX5006", ""),
        ):
            wrong = shell("diff", side, "site.yaml")
            assert wrong.returncode == 1 and code in wrong.stderr and hint in wrong.stderr, wrong.stderr


@pytest.mark.parametrize("within", ["9s", "8d", "soon"])
def test_a_time_to_confirm_has_limits(shell: Shell, within: str) -> None:
    wrong = shell("apply", "--confirm-within", within)
    assert wrong.returncode == 64 and within in wrong.stderr
