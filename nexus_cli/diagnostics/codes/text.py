"""Band 0, the text itself: encoding, YAML, files."""

from nexus_cli.diagnostics.codes.code import Code

CODES: tuple[Code, ...] = ()
