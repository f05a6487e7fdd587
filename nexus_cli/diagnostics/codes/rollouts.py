"""Bands 1 and 5: rollouts in waves, maintenance windows, and parts of a plan."""

from nexus_cli.diagnostics.codes.code import Code, console, text, yaml
from nexus_cli.diagnostics.diagnostic import Severity
from nexus_cli.exit_codes import Exit

ROLLOUT_SHAPE: tuple[Code, ...] = (
    Code(
        id="NX1070",
        slug="not-a-percentage",
        summary="A gate of a rollout that is not a percentage.",
        why="99 may mean a share, a percentage or a count; a gate that is read wrongly stops every rollout, or none.",
        bad=yaml("gates: {good: 99}"),
        good=yaml("gates: {good: 99%}"),
    ),
    Code(
        id="NX1071",
        slug="not-a-number-of-alarms",
        summary="A gate of a rollout that is neither `none` nor a number of alarms.",
        why="The gate counts alarms that came on the wave's devices.",
        bad=yaml("gates: {alarms: few}"),
        good=yaml("gates: {alarms: none}"),
    ),
    Code(
        id="NX1072",
        slug="wave-without-devices",
        summary="A glob of a wave matches no device.",
        why="The devices that were meant would go out in another wave, or with the rest, untried.",
        bad=yaml("rollout: {waves: [{name: canary, devices: [packaging/line-1/filer]}]}"),
        good=yaml("rollout: {waves: [{name: canary, devices: [packaging/line-1/filler]}]}"),
    ),
    Code(
        id="NX1073",
        slug="device-in-two-waves",
        summary="A device is in two waves, and the later one does not widen the earlier one.",
        why="It goes out once, with the first of them; the second one suggests that it goes later. A wave that contains a whole earlier one (a line and its canary) is fine.",
        bad=yaml(
            "waves: [{name: line-1, devices: [packaging/line-1]}, {name: fillers, devices: [packaging/*/filler]}]"
        ),
        good=yaml(
            "waves: [{name: canary, devices: [packaging/line-1/filler]}, {name: line-1, devices: [packaging/line-1]}]"
        ),
    ),
    Code(
        id="NX1074",
        slug="wave-name",
        summary="A wave's name is taken: by another wave, or by the last one, `rest`.",
        why="A wave is named in plans, in the journal and in the audit trail.",
        bad=yaml("waves: [{name: rest, devices: [packaging/line-1]}]"),
        good=yaml("waves: [{name: line-1, devices: [packaging/line-1]}]"),
    ),
    Code(
        id="NX1075",
        slug="unknown-window",
        summary="A maintenance window that is not declared.",
        why="Without it the place could be changed at any time.",
        bad=yaml("window: night"),
        good=yaml('windows: {nights: {from: "22:00", to: "05:00"}}\nwindow: nights'),
    ),
    Code(
        id="NX1076",
        slug="window-unused",
        summary="A maintenance window that is attached to nothing.",
        why="It holds nothing: changes go out at any time.",
        bad=yaml('windows: {nights: {from: "22:00", to: "05:00"}}'),
        good=yaml('windows: {nights: {from: "22:00", to: "05:00"}}\nwindow: nights'),
        severity=Severity.WARNING,
    ),
    Code(
        id="NX1077",
        slug="gates-without-soak",
        summary="A rollout has gates, and none of its waves soaks.",
        why="Gates are measured at the end of a soak: without one nothing stops a wave.",
        bad=yaml("rollout: {waves: [{name: canary, devices: [packaging/line-1]}], gates: {good: 99%}}"),
        good=yaml("rollout: {waves: [{name: canary, devices: [packaging/line-1], soak: 10m}], gates: {good: 99%}}"),
        severity=Severity.WARNING,
    ),
)

ROLLOUT_CODES: tuple[Code, ...] = (
    Code(
        id="NX5030",
        slug="target-matches-nothing",
        exit=Exit.FINDINGS,
        summary="A glob of --target or --exclude matches nothing.",
        why="With a misspelt --exclude everything would be applied.",
        bad=console("nexus apply --target packging/line-1"),
        good=console("nexus apply --target packaging/line-1"),
    ),
    Code(
        id="NX5031",
        slug="excluded-and-needed",
        exit=Exit.FINDINGS,
        summary="Something is excluded that the rest needs.",
        why="The part would be a state that can't be right: a device without its gateway, a rename without its other side.",
        bad=console("nexus apply --target packaging/line-1/filler --exclude gateway.gw-2"),
        good=console("nexus apply --target packaging/line-1/filler"),
    ),
    Code(
        id="NX5032",
        slug="rollout-in-flight",
        exit=Exit.CONFLICT,
        hint="`nexus rollout show` says where it is",
        summary="A rollout is in flight.",
        why="What is recorded is only a part of what it makes: nothing else is planned against that, or applied.",
        bad=text("nexus apply, while the canary of another rollout soaks"),
        good=console("nexus rollout show"),
    ),
    Code(
        id="NX5033",
        slug="wave-stopped",
        exit=Exit.PARTLY,
        hint="`nexus apply --resume` measures it again and continues, `nexus rollout rollback` takes it back",
        summary="A wave of a rollout failed its gates, or was stopped.",
        why="Later waves keep their configuration, so that a mistake reaches a few devices, not the plant.",
        good=console("nexus rollout show"),
    ),
    Code(
        id="NX5034",
        slug="rollout-refused",
        exit=Exit.FINDINGS,
        summary="The waves that were asked for are not those of the plan, or are to be confirmed.",
        why="Each change goes out exactly once, and gates decide over a wave, not a confirmation.",
        good=console("nexus apply"),
    ),
    Code(
        id="NX5035",
        slug="window-shut",
        exit=Exit.BLOCKED,
        hint="`--wait-for-window` has control wait; `--now --reason TEXT` goes ahead",
        summary="A maintenance window is shut.",
        why="A change may stop a machine; the window is when that does no harm.",
        bad=text("nexus apply at 14:00, with a window from 22:00 to 05:00"),
        good=console("nexus apply --wait-for-window"),
    ),
    Code(
        id="NX5036",
        slug="windows-never-meet",
        exit=Exit.BLOCKED,
        hint="declare waves that separate them, or apply parts with --target",
        summary="The maintenance windows of one wave are never open at the same time.",
        why="A wave changes all of its devices together; it would wait for ever.",
        good=console("nexus apply --target packaging"),
    ),
    Code(
        id="NX5037",
        slug="rollout-not-so",
        exit=Exit.FINDINGS,
        hint="`nexus rollout show` says where it is",
        summary="The rollout is not in a state in which this can be done.",
        why="Only one in flight can be stopped, and only one that stopped continues, while what it recorded is the newest.",
        good=console("nexus rollout show"),
    ),
    Code(
        id="NX5041",
        slug="no-such-rollout",
        exit=Exit.FINDINGS,
        hint="`nexus rollout list` names them",
        summary="There is no rollout with this number, or there was none yet.",
        why="Numbers count from 1 within the site; a deployment without waves is no rollout.",
        good=console("nexus rollout list"),
    ),
    Code(
        id="NX5038",
        slug="plan-during-rollout",
        summary="The plan was made while a rollout is in flight.",
        why="It compares with what is recorded so far; the changes of later waves are in it again.",
        good=console("nexus rollout show"),
        severity=Severity.WARNING,
    ),
    Code(
        id="NX5039",
        slug="left-by-stopped-rollout",
        exit=Exit.BLOCKED,
        hint="`nexus apply --resume` has the wave measured again and continues, `nexus rollout rollback` takes it back; `nexus apply --all-at-once` applies it all the same",
        summary="A rollout stopped, and what its later waves had left would be applied without its gates.",
        why="To apply the same files once more would take to the whole plant what a few devices had proven wrong.",
        bad=text("nexus apply, after the canary failed its gates"),
        good=console("nexus apply --resume"),
    ),
)

CODES: tuple[Code, ...] = ROLLOUT_SHAPE + ROLLOUT_CODES
