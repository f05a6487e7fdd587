"""Band 4, drift."""

from nexus_cli.diagnostics.codes.code import Code, console, text, yaml
from nexus_cli.exit_codes import Exit

CODES: tuple[Code, ...] = (
    Code(
        id="NX4201",
        slug="drift-unknown-kind",
        summary="What drift is to leave out names no path, or no kind of drift.",
        why="An entry that covers nothing is usually a typing error, and the findings that it was meant for still raise alarms.",
        bad=yaml('drift: {every: 6h, ignore: ["packaging/**:descripton-changed"]}'),
        good=yaml('drift: {every: 6h, ignore: ["packaging/**:description-changed"]}'),
    ),
    Code(
        id="NX4202",
        slug="drift-not-adopted",
        summary="What a device has can't be written into the site file.",
        why="Only what is certain is written: a value that comes from a variable, a template's parameter or an alias, or an address "
        "that nobody knows, a person has to correct.",
        bad=console("nexus drift --adopt, with a tag whose node is gone and is in no other namespace"),
        good=text("correct the tag in the site file by hand, then nexus plan"),
    ),
    Code(
        id="NX4203",
        slug="drift-deployment-in-flight",
        exit=Exit.CONFLICT,
        summary="A deployment is in flight: nothing is put back meanwhile.",
        why="Gateways and rights are about to change to what it records; to put the former state back would work against it.",
        bad=console("nexus drift --revert, while nexus apply runs"),
        good=console("nexus status, and again when the deployment has ended"),
    ),
)
