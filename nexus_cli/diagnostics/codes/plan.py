"""Band 4, plan: hazards and refusals."""

from nexus_cli.diagnostics.codes.code import Code, console, text, yaml
from nexus_cli.diagnostics.diagnostic import Severity
from nexus_cli.exit_codes import Exit

REFUSALS: tuple[Code, ...] = (
    Code(
        id="NX4001",
        slug="driver-not-installed",
        summary="The runtime has no driver for the protocol of a device.",
        why="Drivers of other packages must be installed where the site is validated and where the runtime runs; "
        "a device that no gateway can read would stay BAD for ever.",
        bad=yaml(
            "filler: {protocol: bacnet, connection: {...}, tags: {...}}     # its package is installed on the laptop alone"
        ),
        good=text("pip install the driver's package on the machines of control and gateways, and start them again"),
    ),
    Code(
        id="NX4002",
        slug="hazard-without-consent",
        exit=Exit.BLOCKED,
        summary="The plan holds a hazard without consent.",
        why="Some changes can't be undone, or give people more rights: they need consent by name and scope.",
        bad=text("nexus apply, with a tag removed from the file"),
        good=console("nexus apply --allow data-loss=packaging/line-1/filler/old-tag"),
    ),
    Code(
        id="NX4003",
        slug="planfile-unreadable",
        exit=Exit.FINDINGS,
        summary="The saved plan can't be read.",
        why="A damaged or edited plan must not be applied in part.",
        bad=console("nexus apply broken.plan"),
        good=console("nexus plan SITE --out new.plan && nexus apply new.plan"),
    ),
    Code(
        id="NX4004",
        slug="plain-secret",
        summary="A secret is in the file as plain text.",
        why="Plans, state and the gateways' local copies hold what the file holds; a reference is resolved only "
        "where the connection is opened.",
        bad=yaml("connection: {password: hunter2}"),
        good=yaml('connection: {password: "${env:FILLER_PASSWORD}"}'),
    ),
    Code(
        id="NX4005",
        slug="moved-without-effect",
        summary="A `moved` entry has no effect: it matches neither a recorded tag nor a declared one.",
        why="A typing error here loses the history that the entry was meant to keep.",
        bad=yaml("moved: [{from: packaging/line-1/filler/tepm, to: packaging/line-1/filler/temperature}]"),
        good=yaml("moved: [{from: packaging/line-1/filler/temp, to: packaging/line-1/filler/temperature}]"),
        severity=Severity.WARNING,
    ),
    Code(
        id="NX4006",
        slug="planfile-version",
        exit=Exit.FINDINGS,
        hint="plan again with this version: nexus plan SITE --out FILE",
        summary="The saved plan was written by another version of nexus, or for another site.",
        why="Its fields may have another meaning in this version.",
        bad=console("nexus apply last-years.plan"),
        good=console("nexus plan SITE --out new.plan"),
    ),
    Code(
        id="NX4007",
        slug="unknown-hazard",
        summary="`--allow` names a hazard that does not exist.",
        why="A consent that covers nothing is usually a typing error.",
        bad=console("nexus apply --allow dataloss"),
        good=console("nexus apply --allow data-loss"),
    ),
)

IMPACT: tuple[Code, ...] = (
    Code(
        id="NX4010",
        slug="over-budget",
        summary="A link could not keep its poll intervals after the change, or what protects a device is raised.",
        why="Polls that come late are missed, on every device of the link and not only on the one that changes. The "
        "load is counted from the requests that the gateway would send, with the time that one took where a runtime "
        "measured it, else with a typical one. The scope is the path of each device that asks more of the link. A device whose connection allows larger requests "
        "than before (`max_read`, `max_write`, `max_gap`, `max_subscribe`, `max_items`) or a shorter `pause` needs the same "
        "consent: one that is asked more than it can answer may refuse everyone.",
        bad=yaml("defaults: {poll: 10ms}     # of 40 devices on one serial line"),
        good=console("nexus apply --allow over-budget=packaging/line-1/filler"),
        severity=Severity.WARNING,
    ),
    Code(
        id="NX4011",
        slug="mass-change",
        summary="More devices, tags, series or rights change at once than the site allows.",
        why="One edit of a template or a default reaches every device below it, and a half-read file looks like many "
        "removals. `limits: {mass_change: 20%}` of the site says how large a share of the recorded devices, tags, series "
        "and principals is usual; `{mass_change: {devices: 20%, series: 1%}}` sets them apart. The limit that is "
        "recorded counts, so that a plan can't lift it for itself. What is new does not count. The scopes are `site` "
        "(devices), `site/tags`, `site/series` and `site/rights`.",
        good=console("nexus apply --allow mass-change"),
        severity=Severity.WARNING,
    ),
    Code(
        id="NX4012",
        slug="consent-without-effect",
        summary="`--allow` covers no hazard of this plan.",
        why="It is a typing error, or it was left over from an earlier plan, and would let a later one pass unseen.",
        bad=console("nexus apply --allow data-loss=packaging/line-1/filer/old-tag"),
        good=console("nexus apply --allow data-loss=packaging/line-1/filler/old-tag"),
        severity=Severity.WARNING,
    ),
)

HAZARDS: tuple[Code, ...] = (
    Code(
        id="NX4101",
        slug="data-loss",
        summary="History ends or is cut: a tag is forgotten, a retention class keeps less, or a tag goes to one that does.",
        why="A forgotten series gets no more samples; a shorter `keep` drops old samples for good, and so does a class "
        "that is not archived, or whose archive keeps less.",
        good=console("nexus apply --allow data-loss=GLOB"),
        severity=Severity.WARNING,
    ),
    Code(
        id="NX4102",
        slug="acl-widen",
        summary="A user or an application may do more than before.",
        why="Who gains a right should be a decision, not a side effect. What it comes from makes no difference: a role, "
        "a group, a new user, a clearance, a denial that goes, a label, a class of data, a device that moves or changes "
        "its gateway, a longer period or more hours. The scope is the name of who gains; for the members of a group of "
        "the login provider it is `oidc:GROUP`. A new tag below an old right is no gain, and a tag that becomes writable "
        "is asked for by `write-enable`.",
        good=console("nexus apply --allow acl-widen=ann --allow acl-widen=bob"),
        severity=Severity.WARNING,
    ),
    Code(
        id="NX4103",
        slug="write-enable",
        summary="A tag that was read-only becomes writable.",
        why="From then on a command can move something in the plant.",
        good=console("nexus apply --allow write-enable=GLOB"),
        severity=Severity.WARNING,
    ),
    Code(
        id="NX4104",
        slug="series-break",
        summary="A tag changes its type or published unit: its series starts a new segment.",
        why="Old and new samples are no longer comparable without conversion.",
        good=console("nexus apply --allow series-break=GLOB"),
        severity=Severity.WARNING,
    ),
    Code(
        id="NX4105",
        slug="empty-target",
        summary="The plan removes every device of the site.",
        why="An empty or half-read file looks exactly like this.",
        good=console("nexus apply --allow empty-target"),
        severity=Severity.WARNING,
    ),
    Code(
        id="NX4106",
        slug="running-sequence",
        summary="A sequence is running and reads or writes what the plan changes.",
        why="A run keeps the units and addresses that were valid when it started; after the change its next write would be a different one. `on_change` of the sequence decides: `refuse`, `wait` or `abort`.",
        good=console("nexus apply --allow running-sequence=NAME"),
        severity=Severity.WARNING,
    ),
)

CODES: tuple[Code, ...] = REFUSALS + IMPACT + HAZARDS
