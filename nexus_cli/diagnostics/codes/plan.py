"""Band 4, plan: hazards and refusals."""

from nexus_cli.diagnostics.codes.code import Code

CODES: tuple[Code, ...] = ()
