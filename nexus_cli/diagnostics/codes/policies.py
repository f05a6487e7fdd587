"""Policies, effect digests and approvals: findings of the site file, hazards and refusals of a plan."""

from nexus_cli.diagnostics.codes.code import Code, console, text, yaml
from nexus_cli.diagnostics.diagnostic import Severity
from nexus_cli.exit_codes import Exit

LANGUAGE: tuple[Code, ...] = (
    Code(
        id="NX1060",
        slug="policy-test",
        summary="A policy has neither `require` nor `deny`, or both.",
        why="It has one test: what must hold, or what must not.",
        bad=yaml("policies: {units: {for: tag}}"),
        good=yaml("policies: {units: {for: tag, require: unit != ''}}"),
    ),
    Code(
        id="NX1061",
        slug="policy-name",
        summary="A policy uses a name that its subject does not have.",
        why="A rule about something that does not exist would never hold, or always. `docs/policies.md` lists the names.",
        bad=yaml("policies: {units: {for: tag, require: unti != ''}}"),
        good=yaml("policies: {units: {for: tag, require: unit != ''}}"),
    ),
    Code(
        id="NX1062",
        slug="policy-expression",
        summary="An expression of a policy can't be read, or does not give true or false.",
        why="A rule that can't be judged forbids everything or nothing.",
        bad=yaml("policies: {fast: {for: tag, deny: poll_ms}}"),
        good=yaml("policies: {fast: {for: tag, deny: poll_ms < 100}}"),
    ),
    Code(
        id="NX1063",
        slug="policy-not-met",
        summary="What the site declares violates one of its policies.",
        why="Someone decided so, and answers for it: `owner` of the policy says who. Control refuses it as well. The severity "
        "is the policy's; a policy that is `overridable` is a warning here, and needs a consent in the plan.",
        bad=yaml(
            "policies: {units: {for: tag, require: unit != ''}}\ntags: {speed: {address: 'holding:1', type: int16}}"
        ),
        good=yaml("tags: {speed: {address: 'holding:1', type: int16, unit: rpm}}"),
    ),
    Code(
        id="NX1064",
        slug="approvals-unusable",
        summary="`approvals` names keys that can't be used, or fewer than it requires.",
        why="No one could approve a plan any more, or one person could do it for two.",
        bad=yaml('approvals: {required: 2, keys: {ann: "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="}}'),
        good=yaml('approvals: {required: 1, keys: {ann: "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="}}'),
    ),
)

PLAN: tuple[Code, ...] = (
    Code(
        id="NX4030",
        slug="policy-change",
        summary="A policy on record changes or goes, the rules of approvals do, or the site's limits are raised.",
        why="What a policy forbids would be allowed from then on. The plan that takes it away still has to keep to it. So with `limits: {mass_change: …}`: a higher one, or none, "
        "frees the next plan; the scope is `limits`.",
        good=console("nexus apply --allow policy-change=NAME"),
        severity=Severity.WARNING,
    ),
    Code(
        id="NX4031",
        slug="policy",
        summary="The plan violates a policy that may be overridden.",
        why="The policy says `overridable: true`: a person may decide otherwise, by name, and the audit trail has it.",
        good=console("nexus apply --allow policy=NAME"),
        severity=Severity.WARNING,
    ),
    Code(
        id="NX4032",
        slug="policy-violated",
        exit=Exit.BLOCKED,
        summary="The plan violates a policy.",
        why="The policies on record and those of the plan hold, both; the clock is that of control, in the site's time zone.",
        bad=text("nexus apply on a Friday, with a tag that becomes writable"),
        good=text("change what the policy names, or wait until it permits it; its owner can change the policy"),
    ),
    Code(
        id="NX4033",
        slug="effect-differs",
        exit=Exit.CONFLICT,
        hint="look at the plan again, and approve its effect: nexus plan",
        summary="The plan does something else than what was approved.",
        why="The effect digest names what a plan does to the plant. Formatting, comments and the order of files don't change it; "
        "another change does, and another state of what it changes.",
        bad=console("nexus apply --effect sha256:…"),
        good=console("nexus apply --effect sha256:…   # the effect of a new `nexus plan`"),
    ),
    Code(
        id="NX4034",
        slug="approval-missing",
        exit=Exit.BLOCKED,
        summary="The plan needs more approvals than were given.",
        why="`approvals` of the recorded state says how many, for what, and whose keys count.",
        bad=console("nexus apply monday.plan"),
        good=console(
            "nexus approve monday.plan --key ann.pem\nnexus apply monday.plan --approval monday.plan.ann.approval.json"
        ),
    ),
    Code(
        id="NX4035",
        slug="approval-refused",
        exit=Exit.BLOCKED,
        summary="An approval does not count.",
        why="It is forged, expired, used up, for another site or another effect, or of someone who signed already. The audit "
        "trail has the refusal.",
        bad=console("nexus apply --approval last-months.approval.json"),
        good=console("nexus approve monday.plan --key ann.pem"),
    ),
    Code(
        id="NX4036",
        slug="approval-unusable",
        exit=Exit.FINDINGS,
        summary="A signing key or an approval can't be read.",
        why="A key is a file with an Ed25519 private key in PEM (PKCS #8), or `NAME:ed25519:BASE64` as in NEXUS_SIGNING_KEY.",
        bad=console("nexus approve monday.plan --key ann.pub"),
        good=console("nexus approve monday.plan --key ann.pem"),
    ),
)
CODES: tuple[Code, ...] = LANGUAGE + PLAN
