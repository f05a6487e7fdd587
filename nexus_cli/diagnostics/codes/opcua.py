"""Band 3, the protocols OPC UA and ADS: addresses and limits."""

from nexus_cli.diagnostics.codes.code import Code
from nexus_cli.diagnostics.diagnostic import Severity

CODES: tuple[Code, ...] = (
    Code(
        id="NX3201",
        slug="opcua-node",
        summary="The text is not an OPC UA node id.",
        why="A node id names one variable of one server. An invalid one can't be read, and a guess could read another variable.",
        bad="temperature: {node: Filler.Temp, type: float64}",
        good='temperature: {node: "nsu=http://acme/plc;s=Filler.Temp", type: float64}',
    ),
    Code(
        id="NX3202",
        slug="opcua-range",
        summary="The array element or slice behind a node id can't be read.",
        why="The server answers Bad_IndexRangeInvalid at run time; the tag would be BAD from the first read on.",
        bad='zone-1: {node: "ns=2;s=Zones[3:1]", type: "float32[3]"}',
        good='zone-1: {node: "ns=2;s=Zones[1:3]", type: "float32[3]"}',
    ),
    Code(
        id="NX3203",
        slug="opcua-range-type",
        summary="The type does not fit the array element or slice that the node names.",
        why="One element is a single value and a slice is an array; the other way round every sample is BAD type_mismatch.",
        bad='zone-1: {node: "ns=2;s=Zones[1]", type: "float32[3]"}',
        good='zone-1: {node: "ns=2;s=Zones[1]", type: float32}',
    ),
    Code(
        id="NX3204",
        slug="opcua-deadband-type",
        summary="A deadband on the server needs a numeric tag.",
        why="Servers refuse such an item (Bad_FilterNotAllowed), and the tag would never report.",
        bad='state: {node: "ns=2;s=State", type: string, device_deadband: 1}',
        good='state: {node: "ns=2;s=State", type: string}',
    ),
    Code(
        id="NX3401",
        slug="ads-symbol",
        summary="The text is not an ADS symbol or memory address.",
        why="The PLC finds a variable by its full name, program or variable list included; anything else is an unknown symbol (error 1808).",
        bad="speed: {address: fSpeed, type: float32}",
        good="speed: {address: MAIN.fSpeed, type: float32}",
    ),
    Code(
        id="NX3402",
        slug="ads-type",
        summary="The PLC does not have this type, or it contradicts `plc_type`.",
        why="The driver checks the declared type against the PLC's; one that can't match is BAD type_mismatch from the first read on.",
        bad="cycle: {address: MAIN.tCycle, type: int32, plc_type: LTIME}",
        good="cycle: {address: MAIN.tCycle, type: duration, plc_type: LTIME}",
    ),
    Code(
        id="NX3403",
        slug="ads-raw-size",
        summary="Raw memory without a size.",
        why="A symbol has a size; an index group and offset do not, so the type must give it.",
        bad='name: {address: "0x4040,0x100", type: string}',
        good='name: {address: "0x4040,0x100", type: "string[80]"}',
    ),
    Code(
        id="NX3404",
        slug="ads-notifications",
        summary="An ADS link has more subscribed tags than the PLC should handle.",
        why="Beckhoff recommends at most 550 notifications per connection; the gateway refuses the rest (BAD device_error, ADS error 1814). Sum reads carry 500 values in one request.",
        bad="poll: 1s   # 800 tags with the default mode: subscribe",
        good="mode: poll   # for the device; `mode: subscribe` for the tags that must be fast",
        severity=Severity.WARNING,
    ),
)
