"""Band 3, the protocols OPC UA and ADS: addresses and limits."""

from nexus_cli.diagnostics.codes.code import Code

CODES: tuple[Code, ...] = ()
