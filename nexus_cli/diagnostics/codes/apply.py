"""Band 5, apply: locks, stale plans, failed stages."""

from nexus_cli.diagnostics.codes.code import Code

CODES: tuple[Code, ...] = ()
