"""Band 3, the protocol ADS: addresses and limits."""

from nexus_cli.diagnostics.codes.code import Code, yaml
from nexus_cli.diagnostics.diagnostic import Severity

CODES: tuple[Code, ...] = (
    Code(
        id="NX3401",
        slug="ads-symbol",
        summary="The text is not an ADS symbol or memory address.",
        why="The PLC finds a variable by its full name, program or variable list included; anything else is an unknown symbol (error 1808).",
        bad=yaml("speed: {address: fSpeed, type: float32}"),
        good=yaml("speed: {address: MAIN.fSpeed, type: float32}"),
    ),
    Code(
        id="NX3402",
        slug="ads-type",
        summary="The PLC does not have this type, or it contradicts `plc_type`.",
        why="The driver checks the declared type against the PLC's; one that can't match is BAD type_mismatch from the first read on.",
        bad=yaml("cycle: {address: MAIN.tCycle, type: int32, plc_type: LTIME}"),
        good=yaml("cycle: {address: MAIN.tCycle, type: duration, plc_type: LTIME}"),
    ),
    Code(
        id="NX3403",
        slug="ads-raw-size",
        summary="Raw memory without a size.",
        why="A symbol has a size; an index group and offset do not, so the type must give it.",
        bad=yaml('name: {address: "0x4040,0x100", type: string}'),
        good=yaml('name: {address: "0x4040,0x100", type: "string[80]"}'),
    ),
    Code(
        id="NX3404",
        slug="ads-notifications",
        summary="An ADS link has more subscribed tags than the PLC should handle.",
        why="Beckhoff recommends at most 550 notifications per connection; the gateway refuses the rest (BAD device_error, ADS error 1814). Sum reads carry 500 values in one request.",
        bad=yaml("poll: 1s   # 800 tags with the default mode: subscribe"),
        good=yaml("mode: poll   # for the device; `mode: subscribe` for the tags that must be fast"),
        severity=Severity.WARNING,
    ),
)
