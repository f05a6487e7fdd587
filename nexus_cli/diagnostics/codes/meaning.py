"""Band 2, the meaning: names, references, units, ranges."""

from nexus_cli.diagnostics.codes.code import Code

CODES: tuple[Code, ...] = ()
