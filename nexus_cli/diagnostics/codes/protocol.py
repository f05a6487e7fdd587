"""Band 3, the protocol: addresses, limits, connections."""

from nexus_cli.diagnostics.codes.code import Code

CODES: tuple[Code, ...] = ()
