"""Band 3, the protocols Modbus and S7: addresses and limits."""

from nexus_cli.diagnostics.codes.code import Code

CODES: tuple[Code, ...] = ()
