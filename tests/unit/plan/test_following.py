"""`nexus apply` follows a deployment while control goes away and comes back."""

from __future__ import annotations

from typing import Any

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.project.change import _follow
from nexus_cli.wire.control import DeploymentProgress, JournalLine


class _Control:
    """Answers what it is given, one after the other."""

    def __init__(self, *answers: DeploymentProgress | NexusError) -> None:
        self._answers = list(answers)

    async def deployment(self, number: int, *, after: int, wait_s: float) -> DeploymentProgress:
        answer = self._answers.pop(0)
        if isinstance(answer, NexusError):
            raise answer
        return answer


async def test_that_control_is_away_is_told_once_for_each_time() -> None:
    away = NexusError("Control does not answer.", code="NX6400", retriable=True)
    line = JournalLine(id=1, step="observe", state="done", subject="gw")
    begun = DeploymentProgress(number=1, state="running", outcome="running", journal=[line])
    ended = DeploymentProgress(number=1, state="ended", outcome="applied")
    heard: list[str] = []
    control: Any = _Control(away, away, begun, away, ended)
    assert await _follow(control, 1, on_event=lambda each: heard.append(each.step)) == ended
    assert heard == ["away", "observe", "away"]
