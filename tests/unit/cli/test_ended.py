"""What is said at the end of a deployment, beside its table."""

from __future__ import annotations

import pytest

from nexus_cli.cli.changing import show_end
from nexus_cli.cli.rolling import show_rollout
from nexus_cli.exit_codes import Exit
from nexus_cli.wire.control import DeploymentProgress
from nexus_cli.wire.control_rollouts import Rollout, RolloutWave


@pytest.mark.parametrize("format_", ["text", "json"])
def test_a_deployment_that_ended_partly_says_how_to_continue_it(
    format_: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show_end(DeploymentProgress(number=7, state="ended", outcome="partly"), not_good=(), format_=format_)
    said = capsys.readouterr()
    assert "`nexus apply --resume 7` continues it, `nexus rollback 7` takes it back" in said.err
    assert "--resume" not in said.out, "a program reads it"
    show_end(DeploymentProgress(number=8, state="ended", outcome="applied"), not_good=(), format_=format_)
    assert capsys.readouterr().err == ""


def test_a_rollout_that_stopped_says_how_to_go_ahead_and_how_to_go_back(capsys: pytest.CaptureFixture[str]) -> None:
    wave = RolloutWave(name="canary", state="failed")
    stopped = Rollout(number=2, state="stopped", wave=1, waves=[wave], why="wave canary failed its gates")
    assert show_rollout(stopped, format_="text") == Exit.PARTLY
    said = capsys.readouterr()
    assert "`nexus apply --resume`" in said.err and "`nexus rollout rollback`" in said.err
    assert "--resume" not in said.out
