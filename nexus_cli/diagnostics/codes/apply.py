"""Band 5, apply: locks, stale plans, failed stages."""

from nexus_cli.diagnostics.codes.code import Code, console, text
from nexus_cli.diagnostics.codes.undo import UNDO_CODES
from nexus_cli.diagnostics.diagnostic import Severity
from nexus_cli.exit_codes import Exit

CODES: tuple[Code, ...] = (
    Code(
        id="NX5000",
        slug="deployment-refused",
        exit=Exit.FINDINGS,
        summary="Control refused the deployment.",
        why="The request is not a valid site state; nothing changed.",
        good=text("read the findings, correct the file, plan again"),
    ),
    Code(
        id="NX5001",
        slug="lock-held",
        exit=Exit.CONFLICT,
        hint="wait until it ends; `nexus show` shows since when, and how far it is",
        summary="Another deployment holds the site's lock.",
        why="Two deployments never run at once: the second would be planned against a changing state.",
        bad=text("nexus apply, while a colleague's apply is running"),
        good=text("wait for it; the message names owner, reason and age"),
    ),
    Code(
        id="NX5002",
        slug="plan-stale",
        exit=Exit.CONFLICT,
        summary="The plan is stale: the recorded state or the files changed since it was made.",
        why="Applying it would not do what the plan shows.",
        bad=text("nexus apply monday.plan, after somebody applied on Tuesday"),
        good=console("nexus plan SITE --out new.plan, look again, apply that"),
    ),
    Code(
        id="NX5003",
        slug="gateway-silent",
        summary="A gateway did not confirm the new configuration in time.",
        why="The state is recorded and the gateway applies it when it is back; until then it runs the old configuration.",
        good=text("nexus status; start or repair the gateway"),
        severity=Severity.WARNING,
    ),
    Code(
        id="NX5004",
        slug="device-failed",
        summary="A device could not be configured, or was reachable before and is not any more.",
        why="The change may have broken its connection or its addresses.",
        good=text("nexus status shows the link's error; correct the file and apply again"),
    ),
    Code(
        id="NX5005",
        slug="lock-lost",
        summary="The lock was broken or expired while the deployment was running.",
        why="Without the lock nothing more is recorded; the journal shows how far the deployment got.",
        good=text("nexus show; plan again"),
    ),
    Code(
        id="NX5006",
        slug="no-such-deployment",
        exit=Exit.FINDINGS,
        hint="`nexus deployments` lists them",
        summary="There is no deployment with this number.",
        why="Numbers count from 1 within the site.",
        good=console("nexus deployments"),
    ),
    Code(
        id="NX5007",
        slug="digest-mismatch",
        exit=Exit.FINDINGS,
        hint="use the same version of nexus on both sides and plan again",
        summary="The resources sent do not match the state in the plan.",
        why="The plan was modified, or client and control have different versions.",
        good=text("use the same version of nexus on both sides and plan again"),
    ),
    Code(
        id="NX5008",
        slug="device-unverified",
        summary="No GOOD value of the device has been seen since the change.",
        why="It is new or was unreachable before, so it is unknown whether the change works.",
        good=text("switch the device on; its state shows in nexus status"),
        severity=Severity.WARNING,
    ),
    Code(
        id="NX5010",
        slug="sequence-running",
        exit=Exit.CONFLICT,
        summary="A running sequence uses what the deployment changes.",
        why="`on_change: refuse` is the default: the next steps rely on the current units and addresses.",
        bad=text("nexus apply, while warm-up runs on the device that changes"),
        good=text(
            "wait for its end, or nexus sequence abort RUN; or declare on_change: wait (or abort) at the sequence"
        ),
    ),
    Code(
        id="NX5009",
        slug="rights-not-in-force",
        exit=Exit.OUTSIDE,
        hint="`nexus status` shows the broker; messages may be refused until its rights are right",
        summary="The broker's rights could not be brought in line with the deployment.",
        why="A gateway may be refused when it publishes a new device, and a refusal can be silent (MQTT 3.1.1).",
        good=text("nexus status shows the broker; nexus apply tries again"),
        severity=Severity.WARNING,
    ),
    Code(
        id="NX5040",
        slug="gateway-unreachable",
        exit=Exit.OUTSIDE,
        hint="`nexus status` shows the broker and the gateways; apply again when they run: nothing was begun",
        summary="Control can't reach what the deployment needs: the broker, or a gateway for whose change a sequence would run.",
        why="No gateway would take the change up, or a machine would be stopped for a change that can't be made. So nothing begins: no sequence runs, and nothing is recorded.",
        bad=text("nexus apply, while the broker is down"),
        good=console("nexus status\nnexus apply"),
    ),
    *UNDO_CODES,
)
