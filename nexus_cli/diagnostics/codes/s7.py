"""Band 3, the protocol S7: addresses and limits."""

from nexus_cli.diagnostics.codes.code import Code, text, yaml

CODES: tuple[Code, ...] = (
    Code(
        id="NX3301",
        slug="s7-address",
        summary="The text is not an S7 address.",
        why="A tag that can't be located can't be read; nothing is guessed.",
        bad=yaml("level: {address: 'DB1-10', type: float32}"),
        good=yaml("level: {address: 'DB1.DBD10', type: float32}"),
    ),
    Code(
        id="NX3302",
        slug="s7-type",
        summary="The address and the type of the tag do not match.",
        why="An S7 address gives bytes, not a type; a DINT read as REAL gives plausible nonsense.",
        bad=yaml("level: {address: 'DB1.DBD10:REAL', type: int32}"),
        good=yaml("level: {address: 'DB1.DBD10:REAL', type: float32}"),
    ),
    Code(
        id="NX3303",
        slug="s7-symbolic",
        summary="An S7 address is symbolic.",
        why="Optimised data blocks have no offsets; S7 communication can't read them, the CPU's OPC UA server can.",
        bad=yaml("level: {address: 'Tank.Level', type: float32}"),
        good=text("a device with protocol: opcua, or a data block without optimised access"),
    ),
    Code(
        id="NX3304",
        slug="s7-bit",
        summary="The bit is missing or does not exist.",
        why="A byte has the bits 0 to 7, and a BOOL is one of them.",
        bad=yaml("running: {address: 'DB1.DBX0.8', type: bool}"),
        good=yaml("running: {address: 'DB1.DBX1.0', type: bool}"),
    ),
    Code(
        id="NX3305",
        slug="s7-string-length",
        summary="S7 does not have strings of this length.",
        why="A STRING has at most 254 characters and two bytes before them; a wrong length reads the neighbour.",
        bad=yaml("name: {address: '%DB1:0:STRING(300)', type: string}"),
        good=yaml("name: {address: '%DB1:0:STRING(254)', type: string}"),
    ),
    Code(
        id="NX3306",
        slug="s7-extent",
        summary="The address is beyond the limits of an S7 CPU.",
        why="Data blocks are numbered 1 to 65535 and have at most 65536 bytes.",
        bad=yaml("level: {address: 'DB0.DBD10', type: float32}"),
        good=yaml("level: {address: 'DB1.DBD10', type: float32}"),
    ),
    Code(
        id="NX3307",
        slug="s7-read-only",
        summary="A writable tag is overwritten by the CPU.",
        why="The CPU copies inputs from the terminals in every cycle; a written value is overwritten at once.",
        bad=yaml("start: {address: 'I0.1', type: bool, writable: true}"),
        good=yaml("start: {address: 'M10.1', type: bool, writable: true}"),
    ),
)
