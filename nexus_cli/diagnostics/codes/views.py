"""Codes of views, recordings, replays and mock runtimes."""

from __future__ import annotations

from nexus_cli.diagnostics.codes.code import Code, console, text, yaml
from nexus_cli.diagnostics.diagnostic import Severity
from nexus_cli.exit_codes import Exit

CODES = (
    Code(
        id="NX2622",
        slug="view-filter",
        summary="A filter of a view that no broker could be asked for.",
        why="A view is subscribed as MQTT filters: `+` and `#` are whole levels, `#` is the last one, and `line-*` is none. "
        "Below the site `*` and `**` say the same.",
        bad=yaml("views: {presses: {priority: 1, filters: ['partner/press#']}}"),
        good=yaml("views: {presses: {priority: 1, filters: ['partner/press/#']}}"),
    ),
    Code(
        id="NX2623",
        slug="view-matches-nothing",
        summary="A filter of a view that matches no declared tag.",
        why="Nobody would miss what never comes; usually a name was mistyped, or a line was renamed.",
        bad=yaml("filters: ['packing/line-1/**']"),
        good=yaml("filters: ['packaging/line-1/**']"),
        severity=Severity.WARNING,
    ),
    Code(
        id="NX2624",
        slug="view-empty",
        summary="A view without filters.",
        why="It would show nothing.",
        bad=yaml("views: {line-1: {priority: 1}}"),
        good=yaml("views: {line-1: {priority: 1, filters: ['packaging/line-1/**']}}"),
    ),
    Code(
        id="NX2625",
        slug="view-filter-twice",
        summary="Two views, or one twice, have the same filter.",
        why="Its messages would be counted and shown twice, in two priorities.",
        bad=yaml("a: {priority: 1, filters: ['packaging/**']}\nb: {priority: 3, filters: ['packaging/**']}"),
        good=yaml("a: {priority: 1, filters: ['packaging/**']}"),
        severity=Severity.WARNING,
    ),
    Code(
        id="NX6960",
        slug="recording-file",
        summary="A recording can't be written there, or the file is not a recording.",
        why="`nexus tail --record` begins a new file and never writes over one that is there. `nexus replay` reads files that it wrote.",
        bad=console("nexus tail --record monday.nxr     # the file exists"),
        good=console("nexus tail --record tuesday.nxr"),
        exit=Exit.FINDINGS,
    ),
    Code(
        id="NX6961",
        slug="recording-version",
        summary="A recording of a later version.",
        why="Its blocks may mean something else; half an understanding would be played as if it were the plant.",
        bad=text("a file whose header says nexus-recording 2"),
        good=text("the version of nexus that wrote it"),
        exit=Exit.FINDINGS,
    ),
    Code(
        id="NX6962",
        slug="replay-into-the-plant",
        summary="A replay into the plant's own name, or into a site that a control leads.",
        why="Old values would be taken for live ones: by people, alerts, the historian and other systems. A replay has a site name "
        "of its own. Dead letters are tried again at their own site by other means.",
        bad=console("nexus replay monday.nxr --into acme/springfield"),
        good=console("nexus replay monday.nxr --into acme/springfield-replay"),
        exit=Exit.USAGE,
    ),
    Code(
        id="NX6963",
        slug="replay-source",
        summary="It is not clear what to replay, or there is nothing in it.",
        why="A replay has one source: a recorded file, the stored history of tags over a span, or the dead letters.",
        bad=console("nexus replay --into acme/springfield-replay"),
        good=console("nexus replay --history 'bottling/**' --since 2h --until 1h --into acme/springfield-replay"),
        exit=Exit.FINDINGS,
    ),
    Code(
        id="NX6964",
        slug="environment-differs",
        summary="What runs, or ran, in this folder is of another kind: the plant, a mock or a replay.",
        why="Rows and pages of simulated or replayed values must not be taken for those of the plant, nor mixed with them. A folder "
        "keeps its kind for good.",
        bad=console("nexus up --mock sites/springfield     # where the plant's own runtime has its rows"),
        good=console("nexus --home .nexus-mock up --mock sites/springfield"),
        exit=Exit.FINDINGS,
    ),
    Code(
        id="NX6965",
        slug="mock-with-servers",
        summary="A mock runtime with a broker or database of the plant.",
        why="Simulated values would reach everybody who listens there. A mock has servers of its own.",
        bad=console("nexus up --mock --broker mqtt://broker.plant:1883 sites/springfield"),
        good=console("nexus up --mock sites/springfield"),
        exit=Exit.USAGE,
    ),
    Code(
        id="NX6966",
        slug="not-simulated",
        summary="A device that the mock's simulator does not serve.",
        why="A gateway of a mock connects to simulators alone, never to the address in the site; a device without one stays BAD.",
        bad=text("a device of a driver without a simulator"),
        good=text("a driver with `serve` (docs/write-a-driver.md)"),
    ),
)
