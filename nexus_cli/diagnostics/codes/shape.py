"""Band 1, the shape: keys, types, allowed values."""

from nexus_cli.diagnostics.codes.code import Code

CODES: tuple[Code, ...] = ()
