"""Band 7, access: roles, users, grants."""

from nexus_cli.diagnostics.codes.code import Code

CODES: tuple[Code, ...] = ()
