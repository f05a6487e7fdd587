"""Band 3, the protocol OPC UA: addresses and limits."""

from nexus_cli.diagnostics.codes.code import Code, yaml

CODES: tuple[Code, ...] = (
    Code(
        id="NX3201",
        slug="opcua-node",
        summary="The text is not an OPC UA node id.",
        why="A node id names one variable of one server. An invalid one can't be read, and a guess could read another variable.",
        bad=yaml("temperature: {node: Filler.Temp, type: float64}"),
        good=yaml('temperature: {node: "nsu=http://acme/plc;s=Filler.Temp", type: float64}'),
    ),
    Code(
        id="NX3202",
        slug="opcua-range",
        summary="The array element or slice behind a node id can't be read.",
        why="The server answers Bad_IndexRangeInvalid at run time; the tag would be BAD from the first read on.",
        bad=yaml('zone-1: {node: "ns=2;s=Zones[3:1]", type: "float32[3]"}'),
        good=yaml('zone-1: {node: "ns=2;s=Zones[1:3]", type: "float32[3]"}'),
    ),
    Code(
        id="NX3203",
        slug="opcua-range-type",
        summary="The type does not fit the array element or slice that the node names.",
        why="One element is a single value and a slice is an array; the other way round every sample is BAD type_mismatch.",
        bad=yaml('zone-1: {node: "ns=2;s=Zones[1]", type: "float32[3]"}'),
        good=yaml('zone-1: {node: "ns=2;s=Zones[1]", type: float32}'),
    ),
    Code(
        id="NX3204",
        slug="opcua-deadband-type",
        summary="A deadband on the server needs a numeric tag.",
        why="Servers refuse such an item (Bad_FilterNotAllowed), and the tag would never report.",
        bad=yaml('state: {node: "ns=2;s=State", type: string, device_deadband: 1}'),
        good=yaml('state: {node: "ns=2;s=State", type: string}'),
    ),
)
