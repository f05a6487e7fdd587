"""`nexus apply`: a deployment is followed while control goes away and comes back; a saved plan shows the consents of now."""

from __future__ import annotations

from typing import Any

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.project.following import follow
from nexus_cli.project.ready import Ready
from nexus_cli.wire.control import DeploymentProgress, JournalLine

pytestmark = pytest.mark.simulated_time


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
    assert await follow(control, 1, on_event=lambda each: heard.append(each.step)) == ended
    assert heard == ["away", "observe", "away"]


HAZARD = {
    "name": "data-loss",
    "scope": "a/l/d/t",
    "address": "device.a/l/d",
    "message": "rows are lost",
    "allowed": False,
}


def test_hazards_are_marked_by_the_consents_given_now() -> None:
    ready = Ready(site="acme/x", document={"hazards": [HAZARD], "errored": False}, changed={}, source={})
    assert [each["allowed"] for each in ready.consented(["data-loss"])["hazards"]] == [True]
    assert [each["allowed"] for each in ready.consented(["data-loss=b/**"])["hazards"]] == [False]
    assert ready.document["hazards"][0]["allowed"] is False
