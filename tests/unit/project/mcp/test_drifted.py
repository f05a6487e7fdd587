"""The newest look for drift as agents get it."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.drift.kinds import counted, found
from nexus_cli.project.mcp.drifted import MOST, newest_look
from nexus_cli.wire.control_drift import DriftReport, DriftReports, DriftUnknown
from nexus_cli.wire.web_client import WebClient


class Web:
    """A web that has these reports, or refuses."""

    def __init__(self, *reports: DriftReport, refuses: bool = False) -> None:
        self.reports, self.refuses = list(reports), refuses

    async def get(self, path: str, **given: Any) -> Any:
        assert (path, given) == ("/drift/reports", {"limit": 1})
        if self.refuses:
            raise NexusError("vera may not do this.", code="NX6403")
        return msgspec.to_builtins(DriftReports(reports=self.reports[:1]))


def web(*reports: DriftReport, refuses: bool = False) -> WebClient:
    return cast(WebClient, Web(*reports, refuses=refuses))


async def test_findings_come_the_worst_first_and_what_is_not_known_is_counted() -> None:
    found_ = [
        found("read-only", "a/l/d/t", "device", "t takes no writes"),
        found("identity-changed", "a/l/d", "device", "x" * 900),
    ]
    unknown = [DriftUnknown(path="gateway.gw-2", plane="observed", why="it is lost")]
    report = DriftReport(
        site="e/s", time=1_796_283_436_000_000, findings=found_, counts=counted(found_), unknown=unknown
    )
    looked = await newest_look(web(report))
    assert [(one.path, one.severity) for one in looked.findings] == [("a/l/d/t", "critical"), ("a/l/d", "low")]
    assert len(looked.findings[1].text) == 300
    assert (looked.counts["critical"], looked.not_known, looked.why_not) == (1, 1, "")
    first, *rest = looked.lines()
    assert first.startswith("Devices and gateways against the record, looked at 20")
    assert first.endswith(": 1 critical, 1 low; 1 part could not be looked at.")
    assert rest[0] == "critical read-only: t takes no writes"


async def test_a_long_look_is_cut_and_its_counts_are_whole() -> None:
    every = [found("address-gone", f"a/l/d/t{number}", "device", "gone") for number in range(MOST + 30)]
    looked = await newest_look(web(DriftReport(site="e/s", time=1, findings=every, counts=counted(every))))
    assert (len(looked.findings), looked.counts["medium"]) == (MOST, MOST + 30)


@pytest.mark.parametrize(
    ("refuses", "why"), [(False, "control has not looked"), (True, "NX6403, vera may not do this.")]
)
async def test_no_look_is_not_no_drift(refuses: bool, why: str) -> None:
    looked = await newest_look(web(refuses=refuses))
    assert looked.why_not.startswith(why)
    (line,) = looked.lines()
    assert line.startswith("Devices against the record: not known, ")
