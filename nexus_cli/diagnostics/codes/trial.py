"""Band 4, plan: what a trial read of a new or changed address found (`nexus plan --probe`)."""

from nexus_cli.diagnostics.codes.code import Code, console, yaml
from nexus_cli.diagnostics.diagnostic import Severity

CODES: tuple[Code, ...] = (
    Code(
        id="NX4020",
        slug="trial-read-refused",
        summary="A device refuses a new or changed address in the trial read.",
        why="After apply the tag would be BAD: the device has no such address, or does not let us read it. The text has the "
        "device's own code.",
        bad=yaml('speed: {address: "holding:9000", type: int16}     # the device ends at 4999'),
        good=yaml('speed: {address: "holding:900", type: int16}'),
        severity=Severity.WARNING,
    ),
    Code(
        id="NX4021",
        slug="trial-read-does-not-fit",
        summary="A device answers the trial read, and the value does not fit the tag.",
        why="It is not a number of that type, has another type on the device, or is outside of the range: most often the type, "
        "the byte order or the scale is wrong.",
        bad=yaml('pressure: {address: "input:10", type: float32, order: ABCD, range: [0, 16]}     # reads 4.6e-41'),
        good=yaml('pressure: {address: "input:10", type: float32, order: CDAB, range: [0, 16]}'),
        severity=Severity.WARNING,
    ),
    Code(
        id="NX4022",
        slug="trial-read-unanswered",
        summary="A device does not answer the trial read.",
        why="It is off, its connection is wrong, or its gateway can't reach it. The plan can be applied all the same: its tags "
        "are BAD until it answers.",
        bad=console("nexus plan --probe, with the address of a device that is switched off"),
        good=console("nexus plan --probe, once the device is on and its connection is right"),
        severity=Severity.WARNING,
    ),
)
