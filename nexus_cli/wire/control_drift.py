"""The report of `nexus drift`, and bodies of control's API about drift; rules as in `control.py`."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from nexus_cli.wire.control import MOST_NAMES, NO_NUL, Body, Question
from nexus_cli.wire.field_types import Count, DeploymentNumber, Microseconds, one_of

PLANES = ("declared", "recorded", "observed", "device", "database")
SEVERITIES = ("critical", "high", "medium", "low")
"""The worst first; they are the priorities of alarms."""
Text = Annotated[str, Meta(max_length=500, pattern=NO_NUL)]


class DriftFinding(Body, frozen=True, kw_only=True):
    """One difference.

    Attributes:
        path: Of the tag or device, else the address of the resource (`role.operator`, `gateway.gw-1`).
        plane: Where the difference shows: `declared` (in the files), `recorded` (in control alone), `observed` (a gateway runs
            something else), `device`, `database` (an object of the schema is gone).
        kind: As in `drift/kinds.py`.
        severity: One of `SEVERITIES`.
        recorded: What control recorded; null is nothing.
        found: What is there instead; null is nothing.
        text: A sentence.
        hint: What to do.
        adoptable: Whether `nexus drift --adopt` can take what the device has.
    """

    path: str
    plane: Annotated[str, one_of(PLANES)]
    kind: str
    severity: Annotated[str, one_of(SEVERITIES)]
    recorded: Annotated[Any, Meta(description="What control recorded; null is nothing.")]
    found: Annotated[Any, Meta(description="What is there instead; null is nothing.")]
    text: str
    hint: str = ""
    adoptable: bool = False


class DriftUnknown(Body, frozen=True, kw_only=True):
    """A part that could not be looked at: whether it drifted is not known."""

    path: str
    plane: Annotated[str, one_of(PLANES)]
    why: str


class DriftReport(Body, frozen=True, kw_only=True):
    """One look at a site.

    Attributes:
        format_version: Of this document.
        site: `enterprise/site`.
        time: When it was looked at.
        deployment: The deployment that recorded the state.
        running: The deployment in flight, 0 for none: what it changes is no drift.
        planes: What was looked at.
        devices: Devices that were asked.
        findings: The worst first, then by path.
        unknown: By path.
        ignored: Findings that `--ignore`, `ignore:` or the least severity leave out.
        counts: Findings by severity; each severity is there.
        notes: Sentences to know with it.
        identities: What the devices say of themselves, by path.
    """

    format_version: str = "1.0"
    site: str
    time: Microseconds
    deployment: DeploymentNumber = 0
    running: Count = 0
    planes: list[Annotated[str, one_of(PLANES)]] = []
    devices: Count = 0
    findings: list[DriftFinding] = []
    unknown: list[DriftUnknown] = []
    ignored: Count = 0
    counts: dict[str, int] = {}
    notes: list[str] = []
    identities: dict[str, dict[str, str]] = {}


class DriftFacts(Body, frozen=True, kw_only=True):
    """What control knows without asking a device: the answer of `GET …/drift`.

    Attributes:
        deployment, running: As of a report.
        changing: Addresses that the deployment in flight changes.
        findings, unknown, notes: Of what the gateways say, against what is recorded.
        identities: What the devices said of themselves when that was recorded, by path.
        every_ms: The schedule in ms; 0 is none.
        newest: The newest result of the schedule; null is none.
        planes: What was looked at for the answer; a control of an earlier version looks at no database.
    """

    deployment: DeploymentNumber = 0
    running: Count = 0
    changing: list[str] = []
    findings: list[DriftFinding] = []
    unknown: list[DriftUnknown] = []
    notes: list[str] = []
    identities: dict[str, dict[str, str]] = {}
    every_ms: Count = 0
    newest: DriftReport | None = None
    planes: list[Annotated[str, one_of(PLANES)]] = msgspec.field(default_factory=lambda: ["observed"])


class DriftReports(Body, frozen=True, kw_only=True):
    """Results of the schedule, the newest first."""

    reports: list[DriftReport]


class RevertRequest(Question, frozen=True, kw_only=True):
    """Put back what can be put back; `preview` changes nothing."""

    preview: bool = False


class Reverted(Body, frozen=True, kw_only=True):
    """What was put back, or would be, and what can't be: sentences.

    Attributes:
        done: In order.
        left: What stays, each with the reason.
        preview: True: nothing was changed.
    """

    done: list[str]
    left: list[str]
    preview: bool = False


class IdentitiesRequest(Question, frozen=True, kw_only=True):
    """Take what devices say of themselves as what is recorded, by path."""

    identities: Annotated[dict[Text, dict[Text, Text]], Meta(max_length=MOST_NAMES)]


class IdentitiesTaken(Body, frozen=True, kw_only=True):
    """The paths whose identity was recorded; others are not recorded devices."""

    paths: list[str]


_report = msgspec.json.Decoder(DriftReport)


def decode_report(stored: str | bytes) -> DriftReport:
    """Read a stored report. Raises msgspec.MsgspecError."""
    return _report.decode(stored)
