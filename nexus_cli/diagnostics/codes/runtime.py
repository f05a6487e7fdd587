"""Band 6, runtime: brokers, databases, devices."""

from nexus_cli.diagnostics.codes.code import Code

CODES: tuple[Code, ...] = ()
