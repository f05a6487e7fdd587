"""What the gateways say that they run against what is recorded for them. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from nexus_cli.drift.kinds import found
from nexus_cli.wire.configuration import Observed
from nexus_cli.wire.control_drift import DriftFinding, DriftUnknown

HINT = "nexus drift --revert notifies it again; nexus logs shows why it does not follow"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySeen:
    """One gateway as control sees it.

    Attributes:
        name: Its name.
        digest: Of all that it has to run, as recorded.
        devices: Paths that are recorded for it.
        answer: What it said last that it runs; None when it has never said.
        state: Of its health: `running`, or what else; "" when it has never reported.
    """

    name: str
    digest: str
    devices: Collection[str] = ()
    answer: Observed | None = None
    state: str = ""


def observed_drift(gateways: Collection[GatewaySeen]) -> tuple[list[DriftFinding], list[DriftUnknown]]:
    """Findings and unknown parts of every gateway, in order."""
    findings: list[DriftFinding] = []
    unknown: list[DriftUnknown] = []
    for one in gateways:
        if not one.devices and one.answer is None:
            continue
        path = f"gateway.{one.name}"
        if one.answer is None or one.state != "running":
            why = f"it is {one.state}" if one.state else "it has not said what it runs"
            unknown.append(DriftUnknown(path=path, plane="observed", why=why))
            continue
        answer = one.answer
        if answer.digest != one.digest:
            findings.append(
                found(
                    "gateway-behind",
                    path,
                    "observed",
                    f"the gateway {one.name} runs the configuration of deployment {answer.deployment}, which is not the recorded one",
                    recorded=one.digest,
                    now=answer.digest,
                    hint=HINT,
                )
            )
        findings += [
            found(
                "device-failed",
                device,
                "observed",
                f"the gateway {one.name} could not take up {device}: {seen.detail}",
                recorded="running",
                now=seen.state,
                hint="correct it in the site file, then nexus apply",
            )
            for device, seen in sorted(answer.devices.items())
            if seen.state == "failed" and device in one.devices
        ]
    return findings, unknown
