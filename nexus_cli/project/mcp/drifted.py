"""What control's newest look for drift found on gateways and devices, for agents: the worst first."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel, Field

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.wording import counted
from nexus_cli.project.mcp.answers import short
from nexus_cli.project.mcp.words import time_text
from nexus_cli.wire.web_client import WebClient

MOST = 50
"""Findings of an answer; the look's counts are of all."""


class DriftFound(BaseModel):
    """One difference between the record and a gateway or device."""

    path: str
    severity: str
    kind: str
    text: str


class Looked(BaseModel):
    """The newest look of the schedule (`drift:` in the site file)."""

    at: str = Field(default="", description="When; empty: none is stored.")
    why_not: str = Field(default="", description="Why there is none.")
    counts: dict[str, int] = Field(default_factory=dict, description="Findings by severity.")
    findings: list[DriftFound] = Field(default_factory=list, description="The worst first.")
    not_known: int = Field(default=0, description="Parts that could not be looked at: none of them is without drift.")

    def lines(self) -> Iterator[str]:
        """The same for people."""
        if self.why_not:
            yield f"Devices against the record: not known, {self.why_not}"
            return
        counts = ", ".join(f"{count} {severity}" for severity, count in self.counts.items() if count) or "no drift"
        unknown = f"; {counted(self.not_known, 'part')} could not be looked at" if self.not_known else ""
        yield f"Devices and gateways against the record, looked at {self.at}: {counts}{unknown}."
        yield from (f"{one.severity} {one.kind}: {one.text}" for one in self.findings)


async def newest_look(web: WebClient) -> Looked:
    """The newest look that control stored; why there is none, where there is none or the caller may not see it."""
    try:
        reports = (await web.get("/drift/reports", limit=1))["reports"]
    except NexusError as error:
        return Looked(why_not=f"{error.code}, {error.message}")
    if not reports:
        return Looked(why_not="control has not looked: `drift: {every: 6h}` in the site file has it look on a schedule")
    (report,) = reports
    found = [
        DriftFound(path=each["path"], severity=each["severity"], kind=each["kind"], text=short(each["text"], most=300))
        for each in report["findings"][:MOST]
    ]
    return Looked(
        at=time_text(report["time"]), counts=report["counts"], findings=found, not_known=len(report["unknown"])
    )
